"""Specs of providers."""

from typing import Any


def spec(url: str = "", **changes: Any) -> dict[str, Any]:
    """Give a provider's spec: of a JSON API at an address, else with a simulator only."""
    found: dict[str, Any] = {
        "category": "Electricity",
        "country": "DE",
        "region": "BE",
        "currency": "EUR",
        "timeZone": "Europe/Berlin",
        "limits": {"requestsPerSecond": 1000},
    }
    if url:
        found["connection"] = {"json": {"baseURL": url}}
    else:
        found["simulator"] = {"enabled": True}
    return found | changes
