"""Meter: what is counted; metering runs it."""

from typing import Any

from billplane_operator.conditions import PAUSED, READY, Condition
from billplane_operator.kinds.base import Actual, Desired, Rules, plan_apply, runs


def conditions(desired: Desired, actual: Actual) -> list[Condition]:
    """Tell whether metering counts by the spec."""
    applied = (
        Condition("Applied", "True", "Applied")
        if runs(desired, actual)
        else Condition("Applied", "False", "Pending", "metering runs another spec")
    )
    return [
        Condition(READY, applied.status, applied.reason, applied.message),
        Condition("Valid", "True", "Valid"),
        applied,
        Condition(PAUSED, "False", "NotPaused"),
    ]


def status(_desired: Desired, actual: Actual) -> dict[str, Any]:
    """Name the meter that runs."""
    if actual.applied is None:
        return {}
    return {"meterId": actual.applied.id, "specHash": actual.applied.spec_hash}


RULES = Rules("Meter", 0, (READY, "Valid", "Applied", PAUSED), plan_apply, conditions, status)
