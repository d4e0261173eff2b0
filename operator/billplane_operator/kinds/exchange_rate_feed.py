"""ExchangeRateFeed: where rates come from; exchange_rate runs it and fetches by its schedule."""

from typing import Any

from billplane_operator.conditions import PAUSED, READY, Condition
from billplane_operator.kinds.base import (
    Action,
    Actual,
    Desired,
    Refresh,
    Rules,
    plan_apply,
    plan_provide,
    runs,
)


def plan(desired: Desired, actual: Actual) -> list[Action]:
    """Apply the spec where it does not run, and hand over what its sources name where it differs.

    The feed is fetched then, when its file changed, or at first. A fetch that failed is repeated
    by exchange_rate, in its own time.
    """
    if desired.paused:
        return []
    apply = plan_apply(desired, actual)
    details = actual.details
    changed = details.get("sourceDigest", "") != desired.source_digest and not details.get("error")
    never = not details.get("rateCount") and not details.get("error")
    provide = plan_provide(desired, actual)
    refresh = [Refresh()] if apply or provide or changed or never else []
    return [*apply, *provide, *refresh]


def conditions(desired: Desired, actual: Actual) -> list[Condition]:
    """Tell whether there are rates to serve and how fresh they are."""
    details = actual.details
    error = str(details.get("error", ""))
    fetching = (
        Condition("Fetching", "False", "FetchFailed", error)
        if error
        else Condition("Fetching", "True", "Fetched")
    )
    fresh = (
        Condition("Fresh", "False", "Stale", f"the newest rates are of {details.get('asOf')}")
        if details.get("stale")
        else Condition("Fresh", "True", "Fresh")
    )
    degraded = (
        Condition("Degraded", "True", "FetchFailed", error)
        if error
        else Condition("Degraded", "False", "AsExpected")
    )
    return [
        _ready(desired, actual, error),
        fetching,
        fresh,
        degraded,
        Condition(PAUSED, "False", "NotPaused"),
    ]


def _ready(desired: Desired, actual: Actual, error: str) -> Condition:
    if not runs(desired, actual):
        return Condition(READY, "False", "Pending", "exchange_rate runs another spec")
    if actual.details.get("rateCount"):
        return Condition(READY, "True", "Applied")
    return Condition(READY, "False", "FetchFailed" if error else "NoRates", error)


def status(_desired: Desired, actual: Actual) -> dict[str, Any]:
    """Name the feed and tell what its last fetch brought."""
    if actual.applied is None:
        return {}
    found = {"feedId": actual.applied.id, "specHash": actual.applied.spec_hash}
    told = ("asOf", "rateCount", "lastSuccessTime", "nextRefreshTime", "sourceDigest")
    return found | {name: actual.details[name] for name in told if actual.details.get(name)}


RULES = Rules(
    "ExchangeRateFeed",
    0,
    (READY, "Fetching", "Fresh", "Degraded", PAUSED),
    plan,
    conditions,
    status,
)
