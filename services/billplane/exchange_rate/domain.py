"""Rules of rates: which one counts as of a date, how pairs cross, what deviates too far."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billplane.money import CurrencyCode, Rate, wide_precision

DIGITS = 40


@dataclass(frozen=True, slots=True)
class Quotation:
    """Units of `quote` for one unit of the feed's base, on one date."""

    quote: str
    rate: Decimal
    as_of: date


@dataclass(frozen=True, slots=True)
class Leg:
    """A stored rate: units of quote for one unit of the feed's base."""

    id: str
    quote: str
    rate: Decimal
    as_of: date


def cross(base: str, quote: str, feed_base: str, legs: Mapping[str, Leg], on: date) -> Rate | None:
    """Return the rate of a pair by way of the feed's base; None when a leg is missing."""
    if base == quote:
        return Rate.identity(CurrencyCode(base), as_of=on)
    parts: list[Rate | None] = []
    for currency in (base, quote):
        if currency == feed_base:
            parts.append(None)
            continue
        leg = legs.get(currency)
        if leg is None:
            return None
        parts.append(
            Rate.of(
                CurrencyCode(feed_base),
                CurrencyCode(currency),
                leg.rate,
                as_of=leg.as_of,
                ids=(leg.id,),
            )
        )
    first, second = parts
    if first is None:
        return second
    return first.invert() if second is None else first.invert().cross(second)


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
        if max_deviation is not None and before is not None:
            with wide_precision():
                jump = abs(item.rate - before) / before
            if jump > max_deviation:
                held.append(item)
                continue
        passed.append(item)
        known[item.quote] = item.rate
    return passed, held


def newest(legs: Sequence[Leg]) -> dict[str, Leg]:
    """Return the newest leg of each currency."""
    found: dict[str, Leg] = {}
    for leg in legs:
        if leg.quote not in found or leg.as_of > found[leg.quote].as_of:
            found[leg.quote] = leg
    return found
