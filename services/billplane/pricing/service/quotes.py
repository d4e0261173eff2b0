"""Quotes: what something would cost; nothing is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from billplane.chassis.call import Call
from billplane.chassis.errors import FieldError, Invalid
from billplane.money import CurrencyCode, to_decimal
from billplane.pricing import domain, peers
from billplane.pricing.domain import Item, Period, RatedLine
from billplane.pricing.errors import CurrencyNotPriced, MeterNotPriced
from billplane.pricing.models import PriceRow
from billplane.pricing.peers import QuotedRate
from billplane.pricing.service import external, plans, prices
from billplane.pricing.service.prices import sources_of
from billplane.pricing.service.rating import currency_of
from billplane.resources import BillingPlanSpec

ITEMS_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Quote:
    """Lines as an invoice would have them, before discounts and tax.

    Units: `total_minor` in minor units, `exact_amount` in the currency's own unit.
    """

    plan: plans.PlanView
    period: Period
    lines: Sequence[RatedLine]
    currency: CurrencyCode
    rate: QuotedRate | None

    @property
    def total_minor(self) -> int:
        """The sum of the rounded lines."""
        return sum(line.amount_minor for line in self.lines)

    @property
    def exact_amount(self) -> Decimal:
        """The sum of the lines before they were rounded."""
        return to_decimal(sum((Fraction(line.exact_amount) for line in self.lines), Fraction(0)))


async def quote_period(
    call: Call,
    *,
    plan: str,
    version: int,
    items: Sequence[Item],
    at: datetime | None,
    currency_code: str,
    customer: str = "",
) -> Quote:
    """Tell what a whole period would cost: its fees, some usage, its bounds.

    Where a customer is named, its currency counts unless one is given, and its plan unless one is.

    Raises: PlanNotFound, PlanVersionNotFound, PlanNotInEffect, Invalid, MeterNotPriced,
        UsageQuantityInvalid, CurrencyNotPriced, PeriodInvalid, CustomerNotFound, PriceUnavailable,
        ScopeMissing, what the rating core raises, and exchange_rate's error where it knows no rate.
    """
    call.principal.require("plans:read")
    if len(items) > ITEMS_MAX:
        raise Invalid([FieldError("/items", "TOO_LONG", f"at most {ITEMS_MAX} items")])
    if customer:
        known = await peers.customer(call, customer, at)
        customer = known.id
        currency_code = currency_code or known.currency
        if not plan:
            plan, version = known.plan_id, known.plan_version
    async with call.reading() as tx:
        at = at or tx.now
        if version:
            found = await plans.get_plan(tx, plan, version)
        else:
            found, _ = await plans.plan_at(tx, plan, at)
    spec = plans.spec_of(found.version)
    period = domain.period_at(spec.interval, at)
    usage = domain.quoted_usage(spec, items, period, at)
    target = currency_of(currency_code, "currency_code") or spec.currency
    rate = None if target == spec.currency else await _rate(call, spec, target, at)
    fetched = await external.fetch_prices(
        call, sources_of(call), spec, usage, plan=found.row.id, customer=customer, at=at
    )
    lines = domain.rate_period(
        spec,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        usage=usage,
        nominal=period,
        advance=period,
        target_currency=target,
        rate=None if rate is None else rate.rate,
        rate_id=None if rate is None else rate.rate_id,
        prices=fetched,
    )
    return Quote(found, period, lines, target, rate)


async def calculate_price(
    call: Call,
    *,
    plan: str,
    version: int,
    item: Item | None,
    at: datetime | None,
    currency_code: str,
    customer: str = "",
    price: str = "",
) -> Quote:
    """Price some quantity of one meter, without the plan's fees and bounds; no item: fees only.

    A price stands for its plan, version and charge, and for its meter where none is given.

    Raises: PriceNotFound, and what quote_period raises.
    """
    charge = ""
    if price:
        async with call.reading() as tx:
            row = await prices.get_price(tx, price)
        plan, version, charge = row.plan_id, row.version, row.charge
        item = _item_of(row, item)
    items = [] if item is None else [item]
    whole = await quote_period(
        call,
        plan=plan,
        version=version,
        items=items,
        at=at,
        currency_code=currency_code,
        customer=customer,
    )
    kind = "recurring" if item is None else "usage"
    lines = [line for line in whole.lines if line.kind == kind]
    if item is not None:
        lines = [line for line in lines if line.unit == item.meter]
    if charge:
        lines = [line for line in lines if line.charge == charge]
    return Quote(whole.plan, whole.period, lines, whole.currency, whole.rate)


def _item_of(row: PriceRow, item: Item | None) -> Item | None:
    if not row.meter:
        return None
    if item is None or (item.meter and item.meter != row.meter):
        raise MeterNotPriced(
            f"the price {row.id} is for the meter {row.meter}: give a quantity of it",
            field="quantity" if item is None else "meter",
            metadata={"meter": row.meter},
        )
    return Item(row.meter, item.quantity, item.dimensions)


async def _rate(
    call: Call, spec: BillingPlanSpec, target: CurrencyCode, at: datetime
) -> QuotedRate:
    feeds = {other.currency: other.rate_feed for other in spec.also_priced_in}
    if target not in feeds:
        raise CurrencyNotPriced(
            f"the plan is priced in {spec.currency}; {target} is not among alsoPricedIn",
            field="currency_code",
            metadata={"currency_code": target},
        )
    return await peers.rate(
        call,
        base=spec.currency,
        quote=target,
        feed=feeds[target],
        as_of=at.astimezone(ZoneInfo(spec.interval.time_zone)).date(),
        at=at,
    )
