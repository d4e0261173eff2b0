"""The estimate: what a customer's open period would cost if it ended now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from billplane.chassis.auth import Principal
from billplane.chassis.database import ReadTransaction
from billplane.chassis.rpc import to_timestamp
from billplane.chassis.runtime import Runtime
from billplane.metering import peers
from billplane.metering.errors import PlanNotFound
from billplane.metering.service.flush import Flusher
from billplane.metering.service.meters import get_meter, spec_of
from billplane.metering.service.usage import Query, UsageRow, query_usage
from billplane.protos.pricing.v1 import pricing_pb2
from billplane.protos.subscription.v1 import subscription_pb2
from billplane.resources import BillingPlanSpec
from billplane.resources.usage_windows import UsageQuery, usage_queries


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


async def estimate(
    runtime: Runtime, principal: Principal, flusher: Flusher, customer_id: str, request_id: str
) -> Estimate:
    """Price everything acknowledged so far on the customer's plan, or on the tenant's default.

    Raises: PlanNotFound, StoreUnavailable, ScopeMissing, what pricing refuses.
    """
    principal.require("billing:read")
    await flusher.flush()
    async with runtime.database.read(runtime, principal, request_id) as tx:
        period = await peers.current_period(tx, customer_id)
        found = await peers.plan(tx, period.plan_id, period.plan_version)
        if found is None:
            raise PlanNotFound(
                f"{customer_id} is on no plan, and no plan of this tenant has `default: true`"
            )
        plan, spec = found
        now = period.now.ToDatetime(tzinfo=UTC)
        bounds = _bounds(period, spec, now)
        subjects = [name for name in (period.customer_id, period.external_id) if name]
        if customer_id not in subjects:
            subjects.append(customer_id)
        queries = usage_queries(spec, starts_at=bounds[0], ends_at=bounds[1])
        usage = [
            pricing_pb2.ChargeUsage(
                charge=query.charge,
                rows=[_row(row) for row in await _usage(tx, query, subjects, bounds)],
            )
            for query in queries
        ]
        rated = await peers.rated(tx, plan, bounds, usage, now)
        types = {query.charge: await _event_type(tx, query) for query in queries}
        return Estimate(
            customer_id=customer_id,
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
            calculated_at=tx.now,
        )


async def _usage(
    tx: ReadTransaction, query: UsageQuery, subjects: Sequence[str], bounds: Sequence[datetime]
) -> list[UsageRow]:
    rows: list[UsageRow] = []
    token: str | None = ""
    while token is not None:
        page, token, _ = await query_usage(
            tx,
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
                page_token=token,
            ),
        )
        rows += page
    return rows


async def _event_type(tx: ReadTransaction, query: UsageQuery) -> str:
    return spec_of(await get_meter(tx, query.meter)).event_type


def _bounds(
    period: subscription_pb2.GetCurrentPeriodResponse, spec: BillingPlanSpec, now: datetime
) -> tuple[datetime, datetime, datetime, datetime]:
    """Return the open period; without a subscription the calendar month in the plan's zone."""
    if period.subscription_id:
        return (
            period.starts_at.ToDatetime(tzinfo=UTC),
            period.ends_at.ToDatetime(tzinfo=UTC),
            period.nominal_starts_at.ToDatetime(tzinfo=UTC),
            period.nominal_ends_at.ToDatetime(tzinfo=UTC),
        )
    zone = ZoneInfo(spec.interval.time_zone)
    local = now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, month = local.year + local.month // 12, local.month % 12 + 1
    starts, ends = local.astimezone(UTC), local.replace(year=year, month=month).astimezone(UTC)
    return starts, ends, starts, ends


def _row(row: UsageRow) -> pricing_pb2.UsageRow:
    return pricing_pb2.UsageRow(
        dimensions=row.dimensions,
        starts_at=to_timestamp(row.starts_at),
        seconds=row.seconds,
        quantity=f"{row.quantity:f}",
        event_count=row.event_count,
        properties=row.properties,
    )
