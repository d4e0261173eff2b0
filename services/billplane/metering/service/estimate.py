"""The estimate: what a customer's open period would cost if it ended now."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billplane.chassis.auth import service_principal
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction
from billplane.chassis.rpc import to_timestamp
from billplane.chassis.runtime import Runtime
from billplane.metering import peers
from billplane.metering.domain import Meter
from billplane.metering.errors import MeterNotFound, PlanNotFound
from billplane.metering.repository import reading
from billplane.metering.service.flush import Flusher
from billplane.metering.service.meters import meters_by_name
from billplane.metering.service.sharing import Shared
from billplane.metering.service.usage import Query, UsageRow, query_meter, whole_hours
from billplane.protos.pricing.v1 import pricing_pb2
from billplane.protos.subscription.v1 import subscription_pb2
from billplane.resources import BillingPlanSpec
from billplane.resources.billing_plan import Interval
from billplane.resources.intervals import calendar_period
from billplane.resources.usage_windows import UsageQuery, Window, usage_queries

PLANS_MAX = 1_000
CUSTOMERS_MAX = 2_000
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class EstimateLine:
    """One charge so far."""

    resource_type: str
    quantity: str
    description: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """The open period so far, before discounts and tax."""

    customer_id: str
    currency_code: str
    starts_at: datetime
    ends_at: datetime
    plan_id: str
    plan_version: int
    lines: list[EstimateLine]
    subtotal_minor: int
    calculated_at: datetime


@dataclass(frozen=True, slots=True)
class _Plan:
    """A version of a plan, which never changes."""

    id: str
    version: int
    spec: BillingPlanSpec


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose estimate it is."""

    tenant_id: str
    livemode: bool
    customer_id: str


class Plans:
    """The versions of plans that this process has asked for."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str, int], _Plan] = {}

    async def find(self, call: Call, plan_id: str, version: int) -> _Plan | None:
        """Return a version of a plan, or the tenant's default one as it is now."""
        if not plan_id:
            named = await peers.default_plan(call)
            if named is None:
                return None
            plan_id, version = named
        key = (call.principal.tenant_id, plan_id, version)
        held = self._held.get(key)
        if held is not None:
            return held
        found = await peers.plan(call, plan_id, version)
        if found is None:
            return None
        answer, spec = found
        plan = _Plan(answer.id, answer.version, spec)
        if len(self._held) > PLANS_MAX:
            self._held.clear()
        self._held[(key[0], plan.id, plan.version)] = plan
        return plan


class Estimates:
    """Makes estimates; one that nothing has changed since is not worked out again.

    Askers of the same moment share one run, which began after each of them asked: so it has
    everything that was acknowledged before.
    """

    def __init__(self, runtime: Runtime, flusher: Flusher, plans: Plans) -> None:
        self._runtime = runtime
        self._flusher = flusher
        self._plans = plans
        self._runs: OrderedDict[_Asked, Shared[Estimate]] = OrderedDict()
        self._made: OrderedDict[_Asked, tuple[tuple[Any, ...], Estimate]] = OrderedDict()

    async def find(self, call: Call, customer_id: str) -> Estimate:
        """Price everything acknowledged so far on the customer's plan, or the tenant's default.

        Raises: PlanNotFound, MeterNotFound, StoreUnavailable, ScopeMissing, what pricing refuses.
        """
        call.principal.require("billing:read")
        asked = _Asked(call.principal.tenant_id, call.principal.livemode, customer_id)
        run = self._runs.get(asked)
        if run is None:
            run = self._runs[asked] = Shared(lambda: self._make(asked))
            if len(self._runs) > CUSTOMERS_MAX:
                self._runs.popitem(last=False)
        return await run()

    async def _make(self, asked: _Asked) -> Estimate:
        own = service_principal(self._runtime.name, asked.tenant_id, asked.livemode)
        call = Call(self._runtime, own)
        period, _ = await asyncio.gather(
            peers.current_period(call, asked.customer_id), self._flusher.flush()
        )
        plan = await self._plans.find(call, period.plan_id, period.plan_version)
        if plan is None:
            raise PlanNotFound(
                f"{asked.customer_id} is on no plan, and no plan of this tenant has `default: true`"
            )
        now = period.now.ToDatetime(tzinfo=UTC)
        bounds = bounds_of(period, plan.spec.interval, now)
        subjects = [name for name in (period.customer_id, period.external_id) if name]
        if asked.customer_id not in subjects:
            subjects.append(asked.customer_id)
        async with call.reading() as tx:
            # Looked at first: usage that comes meanwhile makes the next mark another one.
            mark = await reading.usage_mark(tx, subjects)
            follows_from = (plan.id, plan.version, bounds, tuple(subjects), mark)
            made = self._made.get(asked)
            if made is not None and made[0] == follows_from:
                return replace(made[1], calculated_at=tx.now)
            queries = usage_queries(plan.spec, starts_at=bounds[0], ends_at=bounds[1])
            meters = await _meters(tx, queries)
            rows = await _usage(tx, queries, meters, subjects, bounds)
            calculated_at = tx.now
        rated = await _rated(
            call, plan, bounds, queries, rows, now, period.customer_id or asked.customer_id
        )
        types = {query.charge: meters[query.meter].event_type for query in queries}
        estimate = Estimate(
            customer_id=asked.customer_id,
            currency_code=rated.currency_code,
            starts_at=bounds[0],
            ends_at=bounds[1],
            plan_id=plan.id,
            plan_version=plan.version,
            lines=[
                EstimateLine(
                    types.get(line.charge, line.charge),
                    line.quantity,
                    line.description,
                    line.amount_minor,
                )
                for line in rated.lines
            ],
            subtotal_minor=rated.subtotal_minor,
            calculated_at=calculated_at,
        )
        self._made[asked] = (follows_from, estimate)
        self._made.move_to_end(asked)
        if len(self._made) > CUSTOMERS_MAX:
            self._made.popitem(last=False)
        return estimate


async def _rated(
    call: Call,
    plan: _Plan,
    bounds: Sequence[datetime],
    queries: Sequence[UsageQuery],
    rows: Sequence[Sequence[UsageRow]],
    now: datetime,
    customer_id: str,
) -> pricing_pb2.RatePeriodResponse:
    usage = [
        pricing_pb2.ChargeUsage(charge=query.charge, rows=[_row(row) for row in found])
        for query, found in zip(queries, rows, strict=True)
    ]
    return await peers.rated(call, plan.id, plan.version, bounds, usage, now, customer_id)


async def _meters(tx: ReadTransaction, queries: Sequence[UsageQuery]) -> dict[str, Meter]:
    wanted = {query.meter for query in queries}
    found = await meters_by_name(tx, wanted)
    missing = sorted(wanted - found.keys())
    if missing:
        raise MeterNotFound(f"there is no meter {missing[0]}, which the plan charges")
    return found


async def _usage(
    tx: ReadTransaction,
    queries: Sequence[UsageQuery],
    meters: Mapping[str, Meter],
    subjects: Sequence[str],
    bounds: Sequence[datetime],
) -> list[list[UsageRow]]:
    """Return the rows of each query; all that hours add up to come in one statement."""
    asked = [
        Query(
            meter=query.meter,
            subjects=subjects,
            starts_at=bounds[0],
            ends_at=bounds[1],
            time_zone=query.time_zone,
            window=str(query.window),
            group_by=query.group_by,
            filter=query.filter,
            event_properties=query.event_properties,
        )
        for query in queries
    ]
    summed = {
        meters[query.meter].id
        for query in queries
        if query.window is Window.PERIOD and meters[query.meter].aggregation in ("Sum", "Count")
    }
    totals: dict[str, list[tuple[dict[str, str], Decimal, int]]] = {}
    if summed and whole_hours(bounds[0], bounds[1], "PERIOD", "Etc/UTC"):
        for row in await reading.totals(tx, sorted(summed), subjects, bounds[0], bounds[1]):
            totals.setdefault(row.meter_id, []).append((row.dimensions, row.quantity, row.events))
    else:
        summed = set()
    found = []
    for query in asked:
        meter = meters[query.meter]
        if query.window == "PERIOD" and meter.id in summed:
            found.append(_regroup(query, totals.get(meter.id, ())))
        else:
            found.append(await _every_page(tx, query, meter))
    return found


def _regroup(query: Query, totals: Sequence[tuple[dict[str, str], Decimal, int]]) -> list[UsageRow]:
    """Add up the totals of all dimensions by those that are wanted."""
    sums: dict[tuple[str, ...], tuple[Decimal, int]] = {}
    for dimensions, quantity, events in totals:
        if all(dimensions.get(name, "") in values for name, values in query.filter):
            key = tuple(dimensions.get(name, "") for name in query.group_by)
            before = sums.get(key, (ZERO, 0))
            sums[key] = (before[0] + quantity, before[1] + events)
    seconds = int((query.ends_at - query.starts_at).total_seconds())
    return [
        UsageRow(key, query.starts_at, seconds, quantity, events)
        for key, (quantity, events) in sorted(sums.items())
    ]


async def _every_page(tx: ReadTransaction, query: Query, meter: Meter) -> list[UsageRow]:
    rows: list[UsageRow] = []
    token: str | None = ""
    while token is not None:
        page, token = await query_meter(tx, replace(query, page_token=token), meter)
        rows += page
    return rows


def bounds_of(
    period: subscription_pb2.GetCurrentPeriodResponse, interval: Interval, now: datetime
) -> tuple[datetime, datetime, datetime, datetime]:
    """Return the period at an instant, then the nominal one; the calendar's if not subscribed."""
    if period.subscription_id:
        return (
            period.starts_at.ToDatetime(tzinfo=UTC),
            period.ends_at.ToDatetime(tzinfo=UTC),
            period.nominal_starts_at.ToDatetime(tzinfo=UTC),
            period.nominal_ends_at.ToDatetime(tzinfo=UTC),
        )
    starts_at, ends_at = calendar_period(interval, now)
    return starts_at, ends_at, starts_at, ends_at


def _row(row: UsageRow) -> pricing_pb2.UsageRow:
    return pricing_pb2.UsageRow(
        dimensions=row.dimensions,
        starts_at=to_timestamp(row.starts_at),
        seconds=row.seconds,
        quantity=f"{row.quantity:f}",
        event_count=row.event_count,
        properties=row.properties,
    )
