"""UtilityProvider: a utility that bills are read from; utility_provider registers it.

Where the spec asks for a simulated utility and one can be run, it runs beside the provider and is
asked in its place.
"""

from typing import Any

from billplane.resources import UtilityProviderSpec

from billplane_operator.conditions import PAUSED, READY, Condition
from billplane_operator.kinds.base import (
    Action,
    Actual,
    Apply,
    ChildName,
    DeleteChild,
    Desired,
    Document,
    EnsureChild,
    Probe,
    Rules,
    next_generation,
    runs,
)
from billplane_operator.specs.comparing import matches
from billplane_operator.specs.simulator import documents, endpoint_of


def children(desired: Desired) -> dict[ChildName, Document]:
    """Return the objects that belong to a provider, by kind and name."""
    return {(item["kind"], item["metadata"]["name"]): item for item in documents(desired)}


def plan(desired: Desired, actual: Actual) -> list[Action]:
    """Run the simulator as asked, register the spec, and ask the utility whether it is there."""
    if desired.paused:
        return []
    wanted = children(desired)
    actions: list[Action] = [
        EnsureChild(document)
        for name, document in wanted.items()
        if not matches(document, actual.children.get(name))
    ]
    actions += [DeleteChild(name) for name in sorted(actual.children.keys() - wanted.keys())]
    endpoint = endpoint_of(desired) if wanted else ""
    applied = actual.applied
    elsewhere = bool(endpoint) and (applied is None or applied.endpoint != endpoint)
    if elsewhere or not runs(desired, actual):
        actions.append(Apply(next_generation(desired, actual), endpoint))
    if actual.details.get("probeDue") and (not wanted or _available(desired, actual)):
        actions.append(Probe())
    return actions


def conditions(desired: Desired, actual: Actual) -> list[Condition]:
    """Tell whether the provider is registered, and whether it could be asked."""
    registered = (
        Condition("Registered", "True", "Registered")
        if runs(desired, actual)
        else Condition("Registered", "False", "Pending", "utility_provider runs another spec")
    )
    return [
        _ready(desired, actual, registered),
        registered,
        _credentials(desired),
        _reachable(actual),
        Condition(PAUSED, "False", "NotPaused"),
    ]


def _ready(desired: Desired, actual: Actual, registered: Condition) -> Condition:
    credentials = _credentials(desired)
    if registered.status != "True":
        return Condition(READY, "False", registered.reason, registered.message)
    if credentials.status == "False":
        return Condition(READY, "False", credentials.reason, credentials.message)
    if children(desired) and not _available(desired, actual):
        message = "the simulated utility is not available yet"
        return Condition(READY, "False", "SimulatorStarting", message)
    return Condition(READY, "True", "Registered")


def _credentials(desired: Desired) -> Condition:
    spec = desired.spec
    named = isinstance(spec, UtilityProviderSpec) and "ecretRef" in str(spec.document())
    if desired.secrets_missing:
        message = f"there is no {', no '.join(desired.secrets_missing)}"
        return Condition("CredentialsValid", "False", "SecretMissing", message)
    if not named:
        return Condition("CredentialsValid", "True", "NoneNeeded")
    return Condition("CredentialsValid", "True", "SecretFound")


def _reachable(actual: Actual) -> Condition:
    found = actual.details.get("reachability")
    error = str(actual.details.get("error", ""))
    if found == "Reachable":
        return Condition("Reachable", "True", "Answered")
    if found == "Unreachable":
        return Condition("Reachable", "False", "NoAnswer", error)
    if actual.applied is not None and not actual.details.get("endpoint"):
        return Condition("Reachable", "Unknown", "NoEndpoint", "nothing can be asked yet")
    return Condition("Reachable", "Unknown", "NotAsked")


def _available(desired: Desired, actual: Actual) -> bool:
    """Tell whether the simulator's Deployment serves what was last asked of it."""
    for name in children(desired):
        if name[0] == "Deployment":
            found = actual.children.get(name) or {}
            status = found.get("status") or {}
            seen = status.get("observedGeneration", 0)
            current = seen >= (found.get("metadata") or {}).get("generation", 0)
            return bool(current and status.get("availableReplicas", 0) >= 1)
    return False


def status(_desired: Desired, actual: Actual) -> dict[str, Any]:
    """Name the provider and the address that is asked."""
    if actual.applied is None:
        return {}
    found = {"providerId": actual.applied.id, "specHash": actual.applied.spec_hash}
    told = ("endpoint", "lastSuccessTime")
    return found | {name: actual.details[name] for name in told if actual.details.get(name)}


RULES = Rules(
    "UtilityProvider",
    0,
    (READY, "Registered", "CredentialsValid", "Reachable", PAUSED),
    plan,
    conditions,
    status,
    # Every probe that succeeds makes it newer: alone it would be a heartbeat.
    volatile=("lastSuccessTime",),
)
