"""Rates as of a date, and conversions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from billplane.chassis.database import ReadTransaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.exchange_rate import domain, repository
from billplane.exchange_rate.domain import Leg
from billplane.exchange_rate.errors import RateNotFound, RateStale
from billplane.exchange_rate.models import FeedRow
from billplane.exchange_rate.service import currencies
from billplane.exchange_rate.service.feeds import get_row, is_stale, spec_of
from billplane.exchange_rate.service.recording import StoredRate, stored
from billplane.money import AmountOutOfRange, Money, Rate, Rounding, round_to_minor
from billplane.resources import ExchangeRateFeedSpec

# What stands for the source of a rate that somebody recorded.
BY_HAND = "by hand"
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

    A rate by hand wins while it holds. Then feeds are asked by name, the one that was asked for
    alone; where none knows the pair, what they know together is crossed.

    Raises: RateNotFound, RateStale where the feed refuses old rates, FeedNotFound, Invalid,
        CurrencyDisabled, ScopeMissing.
    """
    tx.authorize("exchange_rates:read")
    await currencies.require_enabled(tx, {"base": base, "quote": quote})
    pair, instant = (base, quote), at or tx.now
    rows = [await get_row(tx, feed)] if feed else await repository.feeds(tx)
    asked = [_Asked.of(row, as_of, instant) for row in rows]
    by_hand: dict[date, list[Leg]] = {}
    for on in {each.on for each in asked} | {as_of or instant.date()}:
        by_hand[on] = await repository.legs_by_hand(tx, on)
    day = asked[0].on if feed else as_of or instant.date()
    direct = domain.between(base, quote, by_hand[day])
    if direct is not None and base != quote:
        return FoundRate(direct, "", BY_HAND, stale=False)
    stale: RateStale | None = None
    for each in asked:
        try:
            found = await _in_feed(tx, each, pair, by_hand[each.on])
        except RateStale as error:
            stale = stale or error
            continue
        if found is not None:
            return found
    if stale is not None:
        raise stale
    found = None if feed else await _across(tx, asked, pair, by_hand, day)
    if found is not None:
        return found
    text = as_of.isoformat() if as_of else "today"
    raise RateNotFound(
        f"no feed knows {base}→{quote} at or before {text}",
        metadata={"base": base, "quote": quote, "as_of": text},
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A feed and the date that it is asked for: in its own zone where none was given."""

    row: FeedRow
    spec: ExchangeRateFeedSpec
    on: date

    @classmethod
    def of(cls, row: FeedRow, as_of: date | None, at: datetime) -> "_Asked":
        spec = spec_of(row)
        return cls(row, spec, as_of or at.astimezone(ZoneInfo(spec.zone)).date())


async def _in_feed(
    tx: ReadTransaction, asked: _Asked, pair: tuple[str, str], by_hand: Sequence[Leg]
) -> FoundRate | None:
    """Return the rate that a feed gives, or its base with what was recorded by hand.

    Raises: RateStale.
    """
    spec, (base, quote) = asked.spec, pair
    legs = [*by_hand, *await repository.legs(tx, asked.row.id, [base, quote], asked.on)]
    rate = domain.cross(base, quote, spec.base, legs, asked.on)
    if rate is None or (base == quote and base not in {spec.base, *spec.currencies}):
        return None
    stale = _stale(asked, rate, legs)
    return FoundRate(rate, asked.row.name, spec.display_name or asked.row.name, stale)


def _stale(asked: _Asked, rate: Rate, legs: Sequence[Leg]) -> bool:
    """Tell whether a rate is to be marked as stale; what is recorded by hand does not age.

    Raises: RateStale where the feed refuses it.
    """
    spec = asked.spec
    dates = [leg.as_of for leg in legs if leg.id in rate.ids and not leg.by_hand]
    if not dates or not is_stale(spec, min(dates), asked.on):
        return False
    if spec.on_stale == "Refuse":
        raise RateStale(
            f"the last rate of {rate.base}→{rate.quote} is of {min(dates)}; the feed"
            f" {asked.row.name} allows {spec.stale_after}",
            metadata={"as_of": min(dates).isoformat(), "feed": asked.row.name},
        )
    return spec.on_stale == "Mark"


async def _across(
    tx: ReadTransaction,
    asked: Sequence[_Asked],
    pair: tuple[str, str],
    by_hand: Mapping[date, Sequence[Leg]],
    day: date,
) -> FoundRate | None:
    """Return the cross of a pair over several feeds and what was recorded by hand.

    Raises: RateStale.
    """
    own: list[tuple[_Asked, list[Leg]]] = [
        (each, await repository.legs(tx, each.row.id, each.spec.currencies, each.on))
        for each in asked
    ]
    legs = [*by_hand[day], *(leg for _, found in own for leg in found)]
    rate = domain.triangulated(*pair, legs, day)
    if rate is None:
        return None
    used = [(each, found) for each, found in own if {leg.id for leg in found} & set(rate.ids)]
    # Each is asked: any one of them may refuse.
    marked = [_stale(each, rate, found) for each, found in used]
    names = [each.row.name for each, _ in used]
    by_name = " ".join(names)
    if any(leg.by_hand and leg.id in rate.ids for leg in legs):
        names.append(BY_HAND)
    return FoundRate(rate, by_name, ", ".join(names), any(marked))


async def convert(
    tx: ReadTransaction,
    *,
    amount_minor: int,
    from_currency: str,
    to_currency: str | None,
    as_of: date | None,
    rounding: str,
    feed: str | None,
    at: datetime | None = None,
) -> Converted:
    """Convert an amount, into the tenant's default currency unless told otherwise; round it once.

    Raises: as get_rate; Invalid for an unknown rounding or an amount out of range.
    """
    mode = ROUNDINGS.get(rounding)
    if mode is None:
        detail = f"one of {', '.join(name for name in ROUNDINGS if name)}"
        raise Invalid([FieldError("rounding", "ROUNDING_UNKNOWN", detail)])
    to_currency = to_currency or await currencies.default_currency(tx, "to")
    source = currencies.parse(from_currency, "currency_code")
    target = currencies.parse(to_currency, "to")
    found = await get_rate(tx, base=source, quote=target, as_of=as_of, feed=feed, at=at)
    try:
        exact = found.rate.convert_exact(Money(amount_minor, source).exact)
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
    held_back: bool | None,
    by_hand: bool | None,
) -> tuple[list[StoredRate], str | None]:
    """Return a page of stored rates.

    Raises: FeedNotFound, ScopeMissing.
    """
    tx.authorize("exchange_rates:read")
    rows, cursor = await repository.page_of_rates(
        tx,
        page,
        feed_id=(await get_row(tx, feed)).id if feed else None,
        base=base,
        quote=quote,
        as_of=as_of,
        held_back=held_back,
        by_hand=by_hand,
    )
    return await stored(tx, rows), cursor
