"""Thresholds: a customer's usage that reaches one is announced once a period, or once a day."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from billplane.chassis.call import Call
from billplane.metering import peers
from billplane.metering.domain import Meter, meter_of
from billplane.metering.models import ThresholdCheckRow
from billplane.metering.repository import thresholds
from billplane.metering.repository.thresholds import Reached
from billplane.metering.service.estimate import bounds_of
from billplane.metering.service.meters import spec_of
from billplane.metering.service.usage import PAGE_MAX, Query, query_meter
from billplane.protos.metering.v1.events_pb2 import UsageThresholdReached
from billplane.resources.billing_plan import Interval
from billplane.resources.intervals import calendar_period
from billplane.resources.meter import Threshold

# Usage of many past periods may come at once; that of the last ones is looked at.
PERIODS_MAX = 60
DAYS_MAX = 400
# Who is on no plan has calendar months.
_EVERY_MONTH = Interval.model_validate({"unit": "Month", "anchor": "Calendar"})


@dataclass(frozen=True, slots=True)
class _Watched:
    meter: Meter
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    """A period or a day of somebody with these names."""

    names: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    zone: str


async def check_thresholds(call: Call, subject: str, event_type: str) -> None:
    """Compare usage that came for a name with the thresholds of the meters that count it.

    Raises: what subscription and pricing refuse; the usage is looked at again then.
    Idempotent by: customer, meter, threshold and start of the period or day.
    """
    call.principal.require_internal()
    async with call.reading() as tx:
        check = await thresholds.check_of(tx, subject, event_type)
        rows = await thresholds.watched_meters(tx, event_type)
        watched = [
            _Watched(meter_of(row.id, row.name, spec), spec.thresholds)
            for row, spec in ((row, spec_of(row)) for row in rows)
            if spec.thresholds
        ]
    if check is None:
        return
    found: list[tuple[tuple[str, ...], Reached]] = []
    if watched:
        spans = [span async for span in _periods(call, check)]
        found = await _reached(call, watched, spans, check)
    async with call.writing() as tx:
        for names, reached in found:
            made = await thresholds.note_reached(tx, names, reached)
            if made is not None:
                await tx.publish(_fact(made, names[0], reached), aggregate_id=made)
        await thresholds.end_check(tx, check)


async def put_off(call: Call, subject: str, event_type: str) -> None:
    """Let others go before a name that could not be looked at."""
    async with call.writing() as tx:
        await thresholds.put_off_check(tx, subject, event_type)


async def _periods(call: Call, check: ThresholdCheckRow) -> AsyncIterator[_Span]:
    """Yield the customer's periods, newest first, that the usage to be looked at lies in."""
    at = check.until_at
    for _ in range(PERIODS_MAX):
        span = await _period(call, check.subject, at)
        yield span
        at = span.starts_at - timedelta(microseconds=1)
        if at < check.from_at:
            return


async def _period(call: Call, subject: str, at: datetime) -> _Span:
    period = await peers.current_period(call, subject, at)
    plan = await call.runtime.state.plans.find(call, period.plan_id, period.plan_version)
    interval = _EVERY_MONTH if plan is None else plan.spec.interval
    starts_at, ends_at = bounds_of(period, interval, at)[:2]
    if at < starts_at:
        # Usage from before the subscription lies in no period of it.
        starts_at, ends_at = calendar_period(interval, at)
    names = [name for name in (period.customer_id, period.external_id, subject) if name]
    return _Span(tuple(dict.fromkeys(names)), starts_at, ends_at, interval.time_zone)


async def _reached(
    call: Call, watched: Sequence[_Watched], spans: Sequence[_Span], check: ThresholdCheckRow
) -> list[tuple[tuple[str, ...], Reached]]:
    found = []
    async with call.reading() as tx:
        for item in watched:
            for per, window, parts in (
                ("Period", "PERIOD", spans),
                ("Day", "DAY", [_days(span, check) for span in spans[:1]]),
            ):
                limits = [limit for limit in item.thresholds if limit.per == per]
                for span in parts if limits else ():
                    query = Query(
                        meter=item.meter.name,
                        subjects=span.names,
                        starts_at=span.starts_at,
                        ends_at=span.ends_at,
                        time_zone=span.zone,
                        window=window,
                        page_size=PAGE_MAX,
                    )
                    rows, _ = await query_meter(tx, query, item.meter)
                    found += [
                        (
                            span.names,
                            Reached(
                                meter_id=item.meter.id,
                                meter=item.meter.name,
                                threshold=limit.name,
                                per=per,
                                limit=Decimal(limit.quantity),
                                quantity=row.quantity,
                                starts_at=row.starts_at,
                                ends_at=row.starts_at + timedelta(seconds=row.seconds),
                            ),
                        )
                        for row in rows
                        for limit in limits
                        if row.quantity >= limit.quantity
                    ]
    return found


def _days(span: _Span, check: ThresholdCheckRow) -> _Span:
    """Return the whole local days that the usage to be looked at lies in, the last ones."""
    zone = ZoneInfo(span.zone)
    last = check.until_at.astimezone(zone).date()
    first = max(check.from_at.astimezone(zone).date(), last - timedelta(days=DAYS_MAX))
    starts_at, ends_at = (
        datetime.combine(day, time(), zone).astimezone(UTC)
        for day in (first, last + timedelta(days=1))
    )
    return _Span(span.names, starts_at, ends_at, span.zone)


def _fact(reached_id: str, customer_id: str, reached: Reached) -> UsageThresholdReached:
    return UsageThresholdReached(
        id=reached_id,
        customer_id=customer_id,
        meter=reached.meter,
        threshold=reached.threshold,
        quantity=f"{reached.quantity.normalize():f}",
        limit=f"{reached.limit.normalize():f}",
        per=reached.per,
        period_starts_at=_text(reached.starts_at),
        period_ends_at=_text(reached.ends_at),
    )


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
