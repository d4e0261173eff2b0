"""Rating of a billing period; calls nobody."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final, TypeVar

from billplane.chassis.call import Call
from billplane.chassis.errors import FieldError, Invalid
from billplane.money import CurrencyCode, UnknownCurrency, parse_currency
from billplane.pricing import domain
from billplane.pricing.domain import Period, Prices, RatedLine, UsageLists
from billplane.pricing.errors import RateRequired, UsageOutOfRange
from billplane.pricing.service import external, plans
from billplane.pricing.service.external import PriceSources
from billplane.resources import BillingPlanSpec

# From here on rating takes longer than other requests should wait for.
ROWS_INLINE_MAX: Final = 10_000
SPECS_MAX: Final = 500

# Usage is of the years 1970 to 2100; a span of it is at most a period.
_SECONDS_MAX: Final = 4_133_980_800
_COUNT_MAX: Final = 2**53 - 1

Answer = TypeVar("Answer")


class RatingState:
    """What rating keeps in a process: bounded threads for large periods, and specs it has read."""

    def __init__(self, threads: int, sources: PriceSources) -> None:
        self.sources = sources
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="rating")
        self._specs: OrderedDict[tuple[str, str, int], BillingPlanSpec] = OrderedDict()

    async def spec(self, call: Call, plan: str, version: int) -> BillingPlanSpec:
        """Return the spec of a version of a plan; one that was read is kept: it never changes.

        Raises: PlanNotFound, PlanVersionNotFound, ScopeMissing.
        """
        call.principal.require("plans:read")
        key = (call.principal.tenant_id, plan, version)
        held = self._specs.get(key)
        if held is not None:
            return held
        async with call.reading() as tx:
            found = await plans.get_plan(tx, plan, version)
        spec = plans.spec_of(found.version)
        # A name, or no version, may mean another one the next time.
        if (plan, version) == (found.row.id, found.version.version):
            self._specs[key] = spec
            if len(self._specs) > SPECS_MAX:
                self._specs.popitem(last=False)
        return spec

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Work in a thread; more work than threads waits."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def close(self) -> None:
        """Let what is begun finish and drop the rest."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        await self.sources.client.close()


@dataclass(frozen=True, slots=True)
class PeriodToRate:
    """One billing period of one subscription.

    Shape: `spec_json` takes the place of the plan's spec where it is given. `read_usage` gives the
        usage by charge name; it is called where the rating runs.
    """

    plan: str
    version: int
    period: Period
    nominal: Period | None
    advance: Period | None
    advance_only: bool
    target_currency: str
    rate: str
    rate_id: str
    row_count: int
    spec_json: str
    read_usage: Callable[[], Mapping[str, UsageLists]]
    customer: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RatedPeriod:
    """The lines of a period, before discounts and tax."""

    lines: Sequence[RatedLine]
    currency: CurrencyCode


async def rate_period(call: Call, asked: PeriodToRate) -> RatedPeriod:
    """Turn the usage and fees of one period into priced lines.

    Raises: PlanNotFound, PlanVersionNotFound, Invalid, UsageOutOfRange, ScopeMissing, and what
        the rating core raises.
    """
    state: RatingState = call.runtime.state
    if asked.spec_json:
        call.principal.require("plans:read")
        spec = plans.read_spec(asked.spec_json)
    else:
        spec = await state.spec(call, asked.plan, asked.version)
    target = currency_of(asked.target_currency, "target_currency")
    rate = rate_of(asked.rate)
    prices: Prices = {}
    if external.asks_others(spec) and not asked.advance_only:
        prices = await _external_prices(call, state.sources, spec, asked)

    def work() -> list[RatedLine]:
        return _rate(spec, asked, target, rate, prices)

    lines = await state.run(work) if asked.row_count > ROWS_INLINE_MAX else work()
    return RatedPeriod(lines, target or spec.currency)


def currency_of(code: str, field: str) -> CurrencyCode | None:
    """Read a currency code; an empty one is none.

    Raises: Invalid.
    """
    if not code:
        return None
    try:
        return parse_currency(code)
    except UnknownCurrency as error:
        raise Invalid([FieldError(field, "CURRENCY_UNKNOWN", str(error))]) from None


def rate_of(text: str) -> Decimal | None:
    """Read a rate; an empty one is none.

    Raises: RateRequired for text that is no number.
    """
    if not text:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        raise RateRequired("the rate must be a decimal number", field="rate") from None


def _rate(
    spec: BillingPlanSpec,
    asked: PeriodToRate,
    target: CurrencyCode | None,
    rate: Decimal | None,
    prices: Prices,
) -> list[RatedLine]:
    usage = asked.read_usage()
    for lists in usage.values():
        _check_range(lists)
    return domain.rate_period(
        spec,
        starts_at=asked.period.starts_at,
        ends_at=asked.period.ends_at,
        usage={charge: domain.columns_from_lists(lists) for charge, lists in usage.items()},
        nominal=asked.nominal,
        advance=asked.advance,
        advance_only=asked.advance_only,
        target_currency=target,
        rate=rate,
        rate_id=asked.rate_id or None,
        prices=prices,
    )


async def _external_prices(
    call: Call, sources: PriceSources, spec: BillingPlanSpec, asked: PeriodToRate
) -> Prices:
    """Ask external sources, as of the period's end or of now where that is earlier."""
    wanted = external.external_charges(spec)
    usage = {
        charge: domain.columns_from_lists(lists)
        for charge, lists in asked.read_usage().items()
        if charge in wanted
    }
    ends_at = asked.period.ends_at
    return await external.fetch_prices(
        call,
        sources,
        spec,
        usage,
        plan=asked.plan,
        customer=asked.customer,
        at=min(asked.at or ends_at, ends_at),
    )


def _check_range(lists: UsageLists) -> None:
    for name, values, maximum in (
        ("starts_at", lists.starts_at, _SECONDS_MAX),
        ("seconds", lists.seconds, _SECONDS_MAX),
        ("event_count", lists.event_count, _COUNT_MAX),
    ):
        if values and not 0 <= min(values) <= max(values) <= maximum:
            raise UsageOutOfRange(
                f"the {name} of usage rows must lie within 0 and {maximum}", field="usage"
            )
