"""Conditions: what is true of a resource, in the shape that Kubernetes gives them.

Source: metav1.Condition.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

READY: Final = "Ready"
PAUSED: Final = "Paused"

# What follows from a Secret or ConfigMap that is missing is not told instead of that.
_FOLLOWING: Final = frozenset({"FetchFailed", "NoRates"})

State = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is true, false or not known of a resource, and why."""

    type: str
    status: State
    reason: str
    message: str = ""


def not_ready(reason: str, message: str) -> Condition:
    """Say that a resource is not run, and why."""
    return Condition(READY, "False", reason, message)


def complete(known: Sequence[str], found: Iterable[Condition]) -> list[Condition]:
    """Return every condition that a kind knows, in its order; what is not told is unknown."""
    told = {condition.type: condition for condition in found}
    return [told.get(name) or Condition(name, "Unknown", "NotReconciled") for name in known]


def with_missing(
    found: list[Condition], secrets: Sequence[str], config_maps: Sequence[str]
) -> list[Condition]:
    """Return conditions that call nothing ready whose Secret or ConfigMap is missing."""
    if not secrets and not config_maps:
        return found
    reason = "SecretMissing" if secrets else "ConfigMapMissing"
    told = Condition(
        READY, "False", reason, f"there is no {', no '.join([*secrets, *config_maps])}"
    )
    return [
        told
        if item.type == READY and (item.status == "True" or item.reason in _FOLLOWING)
        else item
        for item in found
    ]


def documents(
    conditions: Iterable[Condition],
    before: Iterable[Mapping[str, Any]],
    generation: int,
    now: datetime,
) -> list[dict[str, Any]]:
    """Return conditions as JSON data; the time of a transition stays while the status does."""
    earlier = {str(item.get("type")): item for item in before}
    found = []
    for condition in conditions:
        last = earlier.get(condition.type, {})
        same = last.get("status") == condition.status and last.get("lastTransitionTime")
        found.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message,
                "observedGeneration": generation,
                "lastTransitionTime": same or now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
    return found


def camel(reason: str) -> str:
    """Return an error's reason as a condition's: NAME_TAKEN → NameTaken."""
    return re.sub("[^A-Za-z0-9]", "", reason.title()) or "Unknown"
