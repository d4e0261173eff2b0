"""Resources for the tests of a cluster: one of each kind, a valid and an invalid change of each."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sample:
    """A kind by what can be done to one of it; `refused` names the field that a change breaks."""

    kind: str
    plural: str
    spec: dict[str, Any]
    change: dict[str, Any]
    invalid: dict[str, Any]
    refused: str
    columns: tuple[str, ...]

    def document(self, name: str, **spec: Any) -> dict[str, Any]:
        """Write the resource as a manifest."""
        return {
            "apiVersion": "billplane.io/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": name},
            "spec": {**self.spec, **spec},
        }


def meter(event_type: str) -> dict[str, Any]:
    """Give the spec of a meter that sums units."""
    return {"eventType": event_type, "aggregation": "Sum", "valueProperty": "$.units"}


def charge(amount: str) -> dict[str, Any]:
    """Give a recurring charge."""
    return {"name": "platform", "recurring": {"amount": amount, "billed": "InArrears"}}


SAMPLES = (
    Sample(
        "Meter",
        "meters",
        meter("sample.request"),
        {"displayName": "Requests"},
        {"aggregation": "sum"},
        "spec.aggregation",
        ("NAME", "READY"),
    ),
    Sample(
        "BillingPlan",
        "billingplans",
        {
            "displayName": "Sample",
            "currency": "EUR",
            "interval": {"unit": "Month", "anchor": "Calendar"},
            "charges": [charge("49.00")],
        },
        {"charges": [charge("59.00")]},
        {"currency": "USD"},
        "spec.currency",
        ("NAME", "READY", "VERSION"),
    ),
    Sample(
        "ExchangeRateFeed",
        "exchangeratefeeds",
        {
            "base": "EUR",
            "currencies": ["USD"],
            "source": {
                "static": {"rates": [{"quote": "USD", "rate": "1.1", "asOf": "2026-01-02"}]}
            },
        },
        {"source": {"static": {"rates": [{"quote": "USD", "rate": "1.2", "asOf": "2026-01-05"}]}}},
        {"base": "USD"},
        "spec.base",
        ("NAME", "READY"),
    ),
    Sample(
        "UtilityProvider",
        "utilityproviders",
        {
            "displayName": "Northwind Power",
            "category": "Electricity",
            "country": "DE",
            "currency": "EUR",
            "timeZone": "Europe/Berlin",
            "simulator": {"enabled": True, "accounts": 20, "seed": 7},
        },
        {"displayName": "Northwind Energy"},
        {"category": "Gas"},
        "spec.category",
        ("NAME", "READY"),
    ),
)
