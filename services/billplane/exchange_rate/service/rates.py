"""Rates as of a date, and conversions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from billplane.chassis.database import ReadTransaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.exchange_rate import domain, repository
from billplane.exchange_rate.errors import RateNotFound, RateStale
from billplane.exchange_rate.models import FeedRow, RateRow
from billplane.exchange_rate.service.feeds import get_row, is_stale, spec_of
from billplane.money import (
    AmountOutOfRange,
    CurrencyCode,
    Money,
    Rate,
    Rounding,
    UnknownCurrency,
    parse_currency,
    round_to_minor,
)

ROUNDINGS = {
    "": Rounding.HALF_UP,
    "half_up": Rounding.HALF_UP,
    "half_even": Rounding.HALF_EVEN,
    "up": Rounding.UP,
    "down": Rounding.DOWN,
}


@dataclass(frozen=True, slots=True)
class FoundRate:
    """A rate, where it is from and whether it is stale."""

    rate: Rate
    feed: str
    source: str
    stale: bool


@dataclass(frozen=True, slots=True)
class Converted:
    """An amount in the other currency. Units: `exact_minor` in minor units, unrounded."""

    amount_minor: int
    currency: str
    exact_minor: Decimal
    found: FoundRate


def currency(code: str, field: str) -> CurrencyCode:
    """Read a currency code.

    Raises: Invalid.
    """
    try:
        return parse_currency(code)
    except UnknownCurrency as error:
        raise Invalid([FieldError(field, "CURRENCY_UNKNOWN", str(error))]) from None


async def get_rate(
    tx: ReadTransaction,
    *,
    base: str,
    quote: str,
    as_of: date | None,
    feed: str | None,
    at: datetime | None = None,
) -> FoundRate:
    """Return the rate of a pair as of a date: the last known at or before it, crossed if need be.

    Raises: RateNotFound, RateStale where the feed refuses old rates, FeedNotFound, Invalid.
    """
    tx.authorize("exchange_rates:read")
    currency(base, "base")
    currency(quote, "quote")
    candidates = [await get_row(tx, feed)] if feed else await repository.feeds(tx)
    for row in candidates:
        found = await _in_feed(tx, row, base, quote, as_of, at or tx.now)
        if found is not None:
            return found
    day = as_of.isoformat() if as_of else "today"
    raise RateNotFound(
        f"no feed knows {base}→{quote} at or before {day}",
        metadata={"base": base, "quote": quote, "as_of": day},
    )


async def _in_feed(
    tx: ReadTransaction, row: FeedRow, base: str, quote: str, as_of: date | None, at: datetime
) -> FoundRate | None:
    spec = spec_of(row)
    on = as_of or at.astimezone(ZoneInfo(spec.zone)).date()
    if not {base, quote} <= {spec.base, *spec.currencies}:
        return None
    legs = await repository.legs(tx, row.id, [base, quote], on)
    rate = domain.cross(base, quote, spec.base, legs, on)
    if rate is None:
        return None
    stale = base != quote and is_stale(spec, rate.as_of, on)
    if stale and spec.on_stale == "Refuse":
        raise RateStale(
            f"the last rate of {base}→{quote} is of {rate.as_of}; the feed {row.name} allows"
            f" {spec.stale_after}",
            metadata={"as_of": rate.as_of.isoformat(), "feed": row.name},
        )
    source = spec.display_name or row.name
    return FoundRate(rate, row.name, source, stale and spec.on_stale == "Mark")


async def convert(
    tx: ReadTransaction,
    *,
    amount_minor: int,
    from_currency: str,
    to_currency: str,
    as_of: date | None,
    rounding: str,
    feed: str | None,
    at: datetime | None = None,
) -> Converted:
    """Convert an amount and round it once.

    Raises: as get_rate; Invalid for an unknown rounding or an amount out of range.
    """
    mode = ROUNDINGS.get(rounding)
    if mode is None:
        detail = f"one of {', '.join(name for name in ROUNDINGS if name)}"
        raise Invalid([FieldError("rounding", "ROUNDING_UNKNOWN", detail)])
    found = await get_rate(tx, base=from_currency, quote=to_currency, as_of=as_of, feed=feed, at=at)
    target = currency(to_currency, "to")
    try:
        exact = found.rate.convert_exact(
            Money(amount_minor, currency(from_currency, "currency_code")).exact
        )
        rounded = round_to_minor(exact, target, mode=mode)
    except AmountOutOfRange as error:
        raise Invalid([FieldError("amount_minor", "AMOUNT_OUT_OF_RANGE", str(error))]) from None
    exact_minor = exact / Money(1, target).exact
    return Converted(rounded, to_currency, exact_minor, found)


async def list_rates(
    tx: ReadTransaction,
    page: Page,
    *,
    feed: str | None,
    base: str | None,
    quote: str | None,
    as_of: date | None,
) -> tuple[Sequence[RateRow], str | None]:
    """Return a page of stored rates.

    Raises: FeedNotFound, ScopeMissing.
    """
    tx.authorize("exchange_rates:read")
    feed_id = (await get_row(tx, feed)).id if feed else None
    return await repository.page_of_rates(
        tx, page, feed_id=feed_id, base=base, quote=quote, as_of=as_of
    )
