"""What a charge model answers with: exact amounts in the plan's currency, before any rounding."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Any, Protocol, TypeVar

from billplane.money import to_decimal
from billplane.pricing.domain.periods import Period
from billplane.pricing.domain.usage import MICRO, UsageColumns
from billplane.resources.billing_plan import Usage

Values = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Priced:
    """The price of one group of a charge's usage.

    Units: `quantity` in the meter's unit, amounts in the plan's currency's own unit, all exact.
    Shape: `unit_amount` is None where the price is not one per unit; `detail` is JSON data.
    """

    group: Values
    quantity: Fraction
    unit_amount: Fraction | None
    amount: Fraction
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FetchedPrice:
    """What an external source answered for one group of usage.

    Units: `amount` for all units or `unit_amount` for each, in the plan's currency's own unit.
    Shape: `asked` and `answered` are JSON data; `stale` marks the last good answer of a source
        that failed.
    """

    id: str
    amount: Decimal | None
    unit_amount: Decimal | None
    asked: dict[str, Any]
    answered: dict[str, Any]
    fetched_at: datetime
    stale: bool = False

    def detail(self) -> dict[str, Any]:
        """Return what a line tells of its price."""
        return {
            "id": self.id,
            "asked": self.asked,
            "answered": self.answered,
            "fetched_at": self.fetched_at.isoformat().replace("+00:00", "Z"),
            "stale": self.stale,
        }


@dataclass(frozen=True, slots=True)
class UsageToPrice:
    """The usage of one charge in one period, with what a model may need to price it."""

    usage: Usage
    columns: UsageColumns
    dimensions: Sequence[str]
    period: Period
    whole: Period
    time_zone: str
    prices: Mapping[Values, FetchedPrice] = field(default_factory=dict)

    def group_of(self, values: Values) -> Values:
        """Return the values by which the charge groups its lines."""
        return values[: len(self.usage.group_by)]


class _HasValues(Protocol):
    @property
    def values(self) -> Values: ...


Item = TypeVar("Item", bound=_HasValues)


def by_group(to_price: UsageToPrice, items: Iterable[Item]) -> Iterator[tuple[Values, list[Item]]]:
    """Yield each group with its items, which must be sorted by values."""
    for group, members in groupby(items, key=lambda item: to_price.group_of(item.values)):
        yield group, list(members)


def units(micro: int) -> Fraction:
    """Return millionths as units."""
    return Fraction(micro, MICRO)


def ratio(value: Decimal | None) -> Fraction:
    """Return a price of a spec as a ratio; an absent one is zero."""
    return Fraction(0) if value is None else Fraction(value)


def text(value: Fraction) -> str:
    """Return a number for a line's detail, exactly.

    Shape: a decimal, or numerator/denominator where no decimal ends.
    """
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return format(to_decimal(value), "f") if rest == 1 else str(value)
