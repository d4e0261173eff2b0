"""Rules of rates: which one counts as of a date, how pairs cross, what deviates too far."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billplane.money import CurrencyCode, Rate, wide_precision

DIGITS = 40
# What stands for the feed of rates that people recorded.
MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Quotation:
    """Units of `quote` for one unit of the feed's base, on one date."""

    quote: str
    rate: Decimal
    as_of: date


@dataclass(frozen=True, slots=True)
class Leg:
    """A stored rate: units of quote for one unit of base; by hand, or of a feed."""

    id: str
    base: str
    quote: str
    rate: Decimal
    as_of: date
    by_hand: bool = False

    @property
    def as_rate(self) -> Rate:
        """The rate in the direction that it is stored in."""
        return Rate.of(
            CurrencyCode(self.base),
            CurrencyCode(self.quote),
            self.rate,
            as_of=self.as_of,
            ids=(self.id,),
        )


def between(base: str, quote: str, legs: Iterable[Leg]) -> Rate | None:
    """Return the rate of a pair that one of these rates gives, in either direction."""
    for leg in legs:
        if (leg.base, leg.quote) == (base, quote):
            return leg.as_rate
        if (leg.quote, leg.base) == (base, quote):
            return leg.as_rate.invert()
    return None


def cross(base: str, quote: str, pivot: str, legs: Sequence[Leg], on: date) -> Rate | None:
    """Return the rate of a pair by way of a third currency; None when a leg is missing."""
    if base == quote:
        return Rate.identity(CurrencyCode(base), as_of=on)
    direct = between(base, quote, legs)
    if direct is not None:
        return direct
    first, second = between(base, pivot, legs), between(pivot, quote, legs)
    return None if first is None or second is None else first.cross(second)


def triangulated(base: str, quote: str, legs: Sequence[Leg], on: date) -> Rate | None:
    """Return the newest cross of a pair by way of any one currency that both have a rate to."""
    pivots = {leg.base for leg in legs} | {leg.quote for leg in legs}
    found = [cross(base, quote, pivot, legs, on) for pivot in sorted(pivots - {base, quote})]
    return max((rate for rate in found if rate is not None), key=_age_of, default=None)


def _age_of(rate: Rate) -> date:
    return rate.as_of


def deviation(rate: Decimal, known: Decimal) -> Decimal:
    """Return by which fraction a rate differs from the one that is known."""
    with wide_precision():
        return abs(rate - known) / known


def rate_text(rate: Rate) -> str:
    """Write a rate with up to 40 significant digits, exact where it ends within them."""
    with wide_precision() as context:
        context.prec = DIGITS
        value = +rate.value
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def split_deviating(
    quotations: Iterable[Quotation], last: Mapping[str, Decimal], max_deviation: Decimal | None
) -> tuple[list[Quotation], list[Quotation]]:
    """Part quotations in order of their dates into those that pass and those held back.

    A rate that differs from the one before by more than the fraction allowed is held back, and the
    next is compared with the last that passed.
    """
    passed: list[Quotation] = []
    held: list[Quotation] = []
    known = dict(last)
    for item in sorted(quotations, key=lambda item: (item.as_of, item.quote)):
        before = known.get(item.quote)
        jump = None if before is None else deviation(item.rate, before)
        if max_deviation is not None and jump is not None and jump > max_deviation:
            held.append(item)
            continue
        passed.append(item)
        known[item.quote] = item.rate
    return passed, held
