"""BillingPlan: what a subscription costs; pricing runs it, each changed spec as a new version."""

from collections.abc import Mapping
from typing import Any

from billplane.resources import BillingPlanSpec

from billplane_operator.conditions import PAUSED, READY, Condition
from billplane_operator.kinds.base import (
    APPROVE_ANNOTATION,
    Action,
    Actual,
    CompareBills,
    Desired,
    Rules,
    plan_apply,
    plan_provide,
    runs,
)

AWAITING = "AwaitingApproval"
APPROVAL_CHARACTERS = 12
BILL_DIFF = "billDiff"
SUBSCRIPTIONS = "activeSubscriptions"


def awaits_approval(desired: Desired, actual: Actual) -> bool:
    """Tell whether a new version would reach existing subscribers and nobody has approved it.

    Approval names the spec by the first characters of its hash, so that it is not given for the
    next change too.
    """
    spec = desired.spec
    if not isinstance(spec, BillingPlanSpec) or not reaches_subscribers(desired, actual):
        return False
    given = desired.annotations.get(APPROVE_ANNOTATION, "")
    approved = len(given) >= APPROVAL_CHARACTERS and desired.spec_hash.startswith(given)
    return spec.rollout.require_approval and not approved


def reaches_subscribers(desired: Desired, actual: Actual) -> bool:
    """Tell whether the spec is a new version that existing subscribers would take."""
    spec, applied = desired.spec, actual.applied
    if not isinstance(spec, BillingPlanSpec) or applied is None or runs(desired, actual):
        return False
    if applied.spec_hash == desired.spec_hash or applied.generation == desired.generation:
        return False  # it was applied before; what has come to differ since is mended
    return spec.rollout.apply_to != "New"


def plan(desired: Desired, actual: Actual) -> list[Action]:
    """Publish the spec where pricing does not run it and it needs no approval.

    What it does to bills is found out before, once a spec.
    """
    if desired.paused:
        return []
    compared = bill_diff(desired, actual) is not None or not actual.details.get(SUBSCRIPTIONS)
    first: list[Action] = []
    if reaches_subscribers(desired, actual) and not compared:
        first.append(CompareBills())
    applied = [] if awaits_approval(desired, actual) else plan_apply(desired, actual)
    return [*first, *applied, *plan_provide(desired, actual)]


def bill_diff(desired: Desired, actual: Actual) -> Mapping[str, Any] | None:
    """Return what the spec does to bills, if that was found out for this very spec."""
    found = actual.details.get(BILL_DIFF)
    return found if found and found.get("specHash") == desired.spec_hash else None


def described(diff: Mapping[str, Any]) -> str:
    """Say a bill-diff in a sentence."""
    return (
        f"of {diff['customers']} customers {diff['up']} would have paid more and {diff['down']} "
        f"less for their last period: {diff['oldTotal']} becomes {diff['newTotal']} "
        f"{diff['currency']}"
    )


def conditions(desired: Desired, actual: Actual) -> list[Condition]:
    """Tell whether pricing rates by the spec, and what it waits for."""
    if awaits_approval(desired, actual):
        needed = desired.spec_hash[:APPROVAL_CHARACTERS]
        message = f"a new version waits for the annotation {APPROVE_ANNOTATION}: {needed}"
        diff = bill_diff(desired, actual)
        message = f"{message}; {described(diff)}" if diff else message
        published = Condition("Published", "False", AWAITING, message)
        waiting = Condition(AWAITING, "True", "ApprovalRequired", message)
    elif runs(desired, actual):
        version = actual.details.get("version")
        message = f"version {version}{_effective(desired)}" if version else ""
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


def _effective(desired: Desired) -> str:
    spec = desired.spec
    if not isinstance(spec, BillingPlanSpec) or spec.rollout.effective_from is None:
        return ""
    return f", in effect from {spec.rollout.effective_from:%Y-%m-%dT%H:%M:%SZ}"


def status(desired: Desired, actual: Actual) -> dict[str, Any]:
    """Name the plan, the version that runs, who has it, and what a change does to their bills."""
    if actual.applied is None:
        return {}
    found: dict[str, Any] = {
        "planId": actual.applied.id,
        "specHash": actual.applied.spec_hash,
    }
    if awaits_approval(desired, actual):
        found["pendingSpecHash"] = desired.spec_hash
    for name in ("version", SUBSCRIPTIONS):
        if actual.details.get(name) is not None:
            found[name] = actual.details[name]
    diff = bill_diff(desired, actual)
    return found | ({BILL_DIFF: dict(diff)} if diff else {})


RULES = Rules(
    "BillingPlan",
    2,
    (READY, "Valid", "Published", "Applied", AWAITING, PAUSED),
    plan,
    conditions,
    status,
)
