"""UtilityProvider: a utility that bills are read from; on a laptop it is checked, not run."""

from typing import Any

from billplane_operator.conditions import PAUSED, READY, Condition
from billplane_operator.kinds.base import Action, Actual, Desired, Rules


def plan(_desired: Desired, _actual: Actual) -> list[Action]:
    """Do nothing: nothing here registers providers."""
    return []


def conditions(_desired: Desired, _actual: Actual) -> list[Condition]:
    """Tell that the spec is valid and that nothing more is known."""
    return [
        Condition(READY, "True", "Valid", "the spec is valid; nothing here reads bills"),
        Condition("Registered", "False", "NotSupported", "no service here registers providers"),
        Condition(PAUSED, "False", "NotPaused"),
    ]


def status(desired: Desired, _actual: Actual) -> dict[str, Any]:
    """Name the spec that was checked."""
    return {"specHash": desired.spec_hash}


RULES = Rules(
    "UtilityProvider",
    0,
    (READY, "Registered", "CredentialsValid", "Reachable", PAUSED),
    plan,
    conditions,
    status,
)
