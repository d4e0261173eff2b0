"""gRPC of metering."""

import json
from datetime import UTC, datetime
from typing import Any

from billplane.chassis.applied import application_of, hash_of, told
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid, MalformedBody
from billplane.chassis.rest import Page
from billplane.chassis.rpc import Call, Rpc, from_timestamp, to_timestamp
from billplane.metering.cache import ACCEPTED
from billplane.metering.domain import ReadPeriod
from billplane.metering.models import MeterRow, UsageAdjustmentRow
from billplane.metering.service import adjustments, meters, reading, usage
from billplane.metering.service.intake import Intake
from billplane.protos.metering.v1 import metering_pb2 as pb

rpc = Rpc(pb.DESCRIPTOR.services_by_name["MeteringService"])


@rpc.write
async def ApplyMeter(tx: Transaction, request: pb.ApplyMeterRequest) -> pb.ApplyMeterResponse:
    """Make the service run a meter's spec."""
    row = await meters.apply_meter(tx, application_of(request))
    return pb.ApplyMeterResponse(
        id=row.id, version=row.version, spec_hash=hash_of(meters.KIND, row)
    )


@rpc.write
async def RemoveMeter(tx: Transaction, request: pb.RemoveMeterRequest) -> pb.RemoveMeterResponse:
    """Take a meter out of use."""
    await meters.remove_meter(
        tx,
        request.uid,
        request.generation,
        request.epoch,
        delete=request.policy == pb.REMOVE_POLICY_DELETE,
    )
    return pb.RemoveMeterResponse()


@rpc.read
async def ListApplied(
    tx: ReadTransaction, request: pb.ListAppliedRequest
) -> pb.ListAppliedResponse:
    """List what the operator applied."""
    tx.require_internal()
    page = Page.of(request.page_size, request.page_token)
    rows, cursor = await meters.list_meters(tx, page, origin="resource")
    return pb.ListAppliedResponse(
        applied=[pb.Applied(**told(row, hash_of(meters.KIND, row))) for row in rows],
        next_page_token=cursor or "",
    )


@rpc.write
async def CreateMeter(tx: Transaction, request: pb.CreateMeterRequest) -> pb.CreateMeterResponse:
    """Create a meter by the API."""
    row = await meters.create_meter(tx, request.name, _json(request.spec_json, "spec_json"))
    return pb.CreateMeterResponse(meter=_meter(row))


@rpc.read
async def GetMeter(tx: ReadTransaction, request: pb.GetMeterRequest) -> pb.GetMeterResponse:
    """Return one meter."""
    return pb.GetMeterResponse(meter=_meter(await meters.get_meter(tx, request.id)))


@rpc.read
async def ListMeters(tx: ReadTransaction, request: pb.ListMetersRequest) -> pb.ListMetersResponse:
    """List meters."""
    page = Page.of(request.page_size, request.page_token)
    rows, cursor = await meters.list_meters(tx, page)
    return pb.ListMetersResponse(meters=[_meter(row) for row in rows], next_page_token=cursor or "")


@rpc.steps
async def RecordUsage(call: Call, request: pb.RecordUsageRequest) -> pb.RecordUsageResponse:
    """Record one event."""
    (result,) = await _record(call, [request.event])
    return result


@rpc.steps
async def RecordUsageBatch(
    call: Call, request: pb.RecordUsageBatchRequest
) -> pb.RecordUsageBatchResponse:
    """Record many events, all or none."""
    results = await _record(call, list(request.events))
    accepted = sum(result.status == "accepted" for result in results)
    return pb.RecordUsageBatchResponse(
        accepted=accepted, duplicates=len(results) - accepted, results=results
    )


@rpc.steps
async def QueryUsage(call: Call, request: pb.QueryUsageRequest) -> pb.QueryUsageResponse:
    """Aggregate stored usage of one customer and meter."""
    starts_at = from_timestamp(request, "starts_at")
    ends_at = from_timestamp(request, "ends_at")
    if starts_at is None or ends_at is None:
        raise Invalid([FieldError("starts_at", "FIELD_REQUIRED", "both bounds are required")])
    window = pb.UsageWindow.Name(request.window).removeprefix("USAGE_WINDOW_")
    query = usage.Query(
        meter=request.meter,
        subjects=[request.customer_id, *request.customer_aliases],
        starts_at=starts_at,
        ends_at=ends_at,
        time_zone=request.time_zone or "Etc/UTC",
        window="PERIOD" if window == "UNSPECIFIED" else window,
        group_by=list(request.group_by),
        filter=[(item.property, list(item.values)) for item in request.filter],
        event_properties=list(request.event_properties),
        page_size=request.page_size,
        page_token=request.page_token,
    )
    runtime = call.runtime
    async with runtime.database.read(runtime, call.principal, call.request_id) as tx:
        rows, cursor, meter = await usage.query_usage(tx, query)
    return pb.QueryUsageResponse(
        rows=[
            pb.UsageRow(
                dimensions=row.dimensions,
                starts_at=to_timestamp(row.starts_at.astimezone(UTC)),
                seconds=row.seconds,
                quantity=f"{row.quantity:f}",
                event_count=row.event_count,
                properties=row.properties,
                source=row.source,
                id=row.id,
            )
            for row in rows
        ],
        next_page_token=cursor or "",
        aggregation=meter.aggregation,
    )


@rpc.steps
async def FlushUsage(call: Call, _request: pb.FlushUsageRequest) -> pb.FlushUsageResponse:
    """Store everything that was acknowledged before this call."""
    call.principal.require("usage:read")
    return pb.FlushUsageResponse(events=await call.runtime.state.flusher.flush())


@rpc.steps
async def VoidUsageEvent(
    call: Call, request: pb.VoidUsageEventRequest
) -> pb.VoidUsageEventResponse:
    """Have a stored event count no more."""
    row = await adjustments.void_event(
        call, source=request.source, event_id=request.id, reason=request.reason
    )
    return pb.VoidUsageEventResponse(adjustment=_adjustment(row))


@rpc.steps
async def CorrectUsageEvent(
    call: Call, request: pb.CorrectUsageEventRequest
) -> pb.CorrectUsageEventResponse:
    """Have a stored event count for another quantity, or for what other data says."""
    given = request.data_json
    row = await adjustments.correct_event(
        call,
        source=request.source,
        event_id=request.id,
        quantity=request.quantity or None,
        data=_json(given, "data_json", exact=True) if given else None,
        reason=request.reason,
    )
    return pb.CorrectUsageEventResponse(adjustment=_adjustment(row))


@rpc.read
async def ListUsageAdjustments(
    tx: ReadTransaction, request: pb.ListUsageAdjustmentsRequest
) -> pb.ListUsageAdjustmentsResponse:
    """List voids and corrections."""
    rows, cursor = await adjustments.list_adjustments(
        tx,
        Page.of(request.page_size, request.page_token),
        source=request.source or None,
        event_id=request.id or None,
        customer_id=request.customer_id or None,
    )
    return pb.ListUsageAdjustmentsResponse(
        adjustments=[_adjustment(row) for row in rows], next_page_token=cursor or ""
    )


@rpc.read
async def ListChangedPeriods(
    tx: ReadTransaction, request: pb.ListChangedPeriodsRequest
) -> pb.ListChangedPeriodsResponse:
    """Tell which periods' usage has changed since it was read."""
    periods = [
        ReadPeriod(*(_instant(period, name) for name in ("starts_at", "ends_at", "read_at")))
        for period in request.periods
    ]
    subjects = [request.customer_id, *request.customer_aliases]
    return pb.ListChangedPeriodsResponse(
        changed=await adjustments.changed_periods(tx, subjects, periods)
    )


def _instant(period: pb.ReadPeriod, name: str) -> datetime:
    instant: datetime | None = from_timestamp(period, name)
    if instant is None:
        raise Invalid([FieldError(f"periods.{name}", "FIELD_REQUIRED", f"{name} is required")])
    return instant


async def _record(call: Call, given: list[pb.UsageEvent]) -> list[pb.RecordUsageResponse]:
    call.principal.require("usage:write")
    reading.check_count(len(given))
    intake: Intake = call.runtime.state.intake
    events = [_event(event, number) for number, event in enumerate(given)]
    items = await reading.check_events(
        intake.meters, call.principal, events, call.runtime.clock.now(), single=False
    )
    statuses = await intake.take(call.principal, items)
    return [
        pb.RecordUsageResponse(id=item.id, status="accepted" if status == ACCEPTED else "duplicate")
        for item, status in zip(items, statuses, strict=True)
    ]


def _event(event: pb.UsageEvent, number: int) -> dict[str, Any]:
    item: dict[str, Any] = {
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "subject": event.subject,
    }
    at = from_timestamp(event, "time")
    if at is not None:
        item["time"] = at.isoformat()
    if event.data_json:
        item["data"] = _json(event.data_json, f"events[{number}].data_json", exact=True)
    return item


def _json(text: str, field: str, *, exact: bool = False) -> Any:
    try:
        return reading.decode_json(text.encode()) if exact else json.loads(text)
    except (ValueError, RecursionError, ArithmeticError):
        raise MalformedBody(f"{field} is not JSON", field=field) from None


def _adjustment(row: UsageAdjustmentRow) -> pb.UsageAdjustment:
    return pb.UsageAdjustment(
        id=row.id,
        kind=row.kind,
        source=row.source,
        event_id=row.event_id,
        type=row.event_type,
        subject=row.subject,
        time=to_timestamp(row.event_at),
        data_before_json=json.dumps(row.data_before),
        quantity_before="" if row.quantity_before is None else f"{row.quantity_before:f}",
        data_json="" if row.data is None else json.dumps(row.data),
        quantity="" if row.quantity is None else f"{row.quantity:f}",
        reason=row.reason,
        actor=row.actor,
        created_at=to_timestamp(row.created_at),
    )


def _meter(row: MeterRow) -> pb.Meter:
    return pb.Meter(
        id=row.id,
        name=row.name,
        origin=row.origin,
        version=row.version,
        spec_hash=hash_of(meters.KIND, row),
        spec_json=json.dumps(row.spec, sort_keys=True),
        created_at=to_timestamp(row.created_at),
    )
