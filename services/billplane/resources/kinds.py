"""The kinds of resources, and the one door through which a spec comes in."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from billplane.resources.billing_plan import BillingPlanSpec
from billplane.resources.common import Spec
from billplane.resources.errors import SpecError, Violation
from billplane.resources.exchange_rate_feed import ExchangeRateFeedSpec
from billplane.resources.meter import MeterSpec
from billplane.resources.utility_provider import UtilityProviderSpec

GROUP: Final = "billplane.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: its names on Kubernetes, its spec, and what may never change in it."""

    name: str
    plural: str
    short_name: str
    spec: type[Spec]
    immutable: tuple[str, ...] = ()


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind("BillingPlan", "billingplans", "bplan", BillingPlanSpec, ("currency",)),
            Kind(
                "ExchangeRateFeed", "exchangeratefeeds", "fxfeed", ExchangeRateFeedSpec, ("base",)
            ),
            Kind("Meter", "meters", "mtr", MeterSpec),
            Kind(
                "UtilityProvider",
                "utilityproviders",
                "uprov",
                UtilityProviderSpec,
                ("category", "currency"),
            ),
        )
    }
)


def validate_spec(kind: str, document: Any) -> Spec:
    """Return the spec of a kind from its JSON data, defaults filled in.

    Raises: SpecError with every violation found; KeyError for a kind that is not in KINDS.
    """
    return KINDS[kind].spec.parse(document)


def validate_change(kind: str, before: Spec, after: Spec) -> None:
    """Check that a new spec leaves alone what may never change.

    Raises: SpecError IMMUTABLE; KeyError for a kind that is not in KINDS.
    """
    old, new = before.document(), after.document()
    violations = [
        Violation(
            f"spec.{field}",
            "IMMUTABLE",
            f"cannot change from {old.get(field)} to {new.get(field)}: make a new resource",
        )
        for field in KINDS[kind].immutable
        if old.get(field) != new.get(field)
    ]
    if violations:
        raise SpecError(violations)
