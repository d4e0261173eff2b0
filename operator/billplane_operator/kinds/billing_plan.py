"""BillingPlan: what a subscription costs; pricing runs it, each changed spec as a new version."""

from typing import Any

from billplane.resources import BillingPlanSpec

from billplane_operator.conditions import PAUSED, READY, Condition
from billplane_operator.kinds.base import (
    APPROVE_ANNOTATION,
    Action,
    Actual,
    Desired,
    Rules,
    plan_apply,
    runs,
)

AWAITING = "AwaitingApproval"
APPROVAL_CHARACTERS = 12


def awaits_approval(desired: Desired, actual: Actual) -> bool:
    """Tell whether a new version would reach existing subscribers and nobody has approved it.

    Approval names the spec by the first characters of its hash, so that it is not given for the
    next change too.
    """
    spec, applied = desired.spec, actual.applied
    if not isinstance(spec, BillingPlanSpec) or applied is None or runs(desired, actual):
        return False
    if applied.spec_hash == desired.spec_hash or applied.generation == desired.generation:
        return False  # it was applied before; what has come to differ since is mended
    if not spec.rollout.require_approval or spec.rollout.apply_to == "New":
        return False
    given = desired.annotations.get(APPROVE_ANNOTATION, "")
    return len(given) < APPROVAL_CHARACTERS or not desired.spec_hash.startswith(given)


def plan(desired: Desired, actual: Actual) -> list[Action]:
    """Publish the spec where pricing does not run it and it needs no approval."""
    return [] if awaits_approval(desired, actual) else plan_apply(desired, actual)


def conditions(desired: Desired, actual: Actual) -> list[Condition]:
    """Tell whether pricing rates by the spec, and what it waits for."""
    if awaits_approval(desired, actual):
        needed = desired.spec_hash[:APPROVAL_CHARACTERS]
        message = f"a new version waits for the annotation {APPROVE_ANNOTATION}: {needed}"
        published = Condition("Published", "False", AWAITING, message)
        waiting = Condition(AWAITING, "True", "ApprovalRequired", message)
    elif runs(desired, actual):
        version = actual.details.get("version")
        message = f"version {version}" if version else ""
        published = Condition("Published", "True", "Published", message)
        waiting = Condition(AWAITING, "False", "NotRequired")
    else:
        published = Condition("Published", "False", "Pending", "pricing runs another spec")
        waiting = Condition(AWAITING, "False", "NotRequired")
    return [
        Condition(READY, published.status, published.reason, published.message),
        Condition("Valid", "True", "Valid"),
        published,
        Condition("Applied", published.status, published.reason),
        waiting,
        Condition(PAUSED, "False", "NotPaused"),
    ]


def status(_desired: Desired, actual: Actual) -> dict[str, Any]:
    """Name the plan and the version that runs."""
    if actual.applied is None:
        return {}
    found = {"planId": actual.applied.id, "specHash": actual.applied.spec_hash}
    version = actual.details.get("version")
    return found | ({"version": version} if version else {})


RULES = Rules(
    "BillingPlan",
    2,
    (READY, "Valid", "Published", "Applied", AWAITING, PAUSED),
    plan,
    conditions,
    status,
)
