"""REST of metering beside the hot doors."""

from decimal import Decimal
from typing import Annotated, Literal

from fastapi import Query as Parameter
from fastapi import Request, Response

from billplane.chassis.applied import hash_of
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.fields import Instant
from billplane.chassis.rest import PageQuery, Reader, Steps, Writer, listing, router
from billplane.metering import schemas
from billplane.metering.models import MeterRow, UsageAdjustmentRow
from billplane.metering.service import adjustments, meters, reading, usage
from billplane.metering.service.estimate import Estimates

rest = router(tags=["metering"])
Text = Annotated[str, Parameter(max_length=255)]


@rest.post("/v1/meters", status_code=201)
async def create_meter(body: schemas.MeterBody, tx: Writer, response: Response) -> schemas.Meter:
    """Create a meter."""
    row = await meters.create_meter(tx, body.name, body.spec)
    response.headers["Location"] = f"/v1/meters/{row.id}"
    return _meter(row)


@rest.get("/v1/meters")
async def list_meters(tx: Reader, page: PageQuery) -> schemas.MeterList:
    """List meters."""
    rows, cursor = await meters.list_meters(tx, page)
    return schemas.MeterList(**listing([_meter(row) for row in rows], cursor))


@rest.get("/v1/meters/{meter}")
async def get_meter(meter: str, tx: Reader) -> schemas.Meter:
    """Return a meter by id or name."""
    return _meter(await meters.get_meter(tx, meter))


@rest.patch("/v1/meters/{meter}")
async def change_meter(meter: str, body: schemas.MeterPatch, tx: Writer) -> schemas.Meter:
    """Merge a patch into a meter's spec."""
    return _meter(await meters.change_meter(tx, meter, body.spec))


@rest.delete("/v1/meters/{meter}", status_code=204)
async def delete_meter(meter: str, tx: Writer) -> None:
    """Take a meter out of use."""
    await meters.delete_meter(tx, meter)


@rest.get("/v1/usage")
async def query_usage(
    call: Steps,
    meter: Text,
    customer_id: Text,
    starts_at: Instant,
    ends_at: Instant,
    window: Literal["period", "day", "hour", "quarter_hour", "event"] = "period",
    time_zone: Text = "Etc/UTC",
    group_by: Annotated[list[str] | None, Parameter(max_length=10)] = None,
    filter: Annotated[  # noqa: A002 - the name of the parameter
        list[str] | None,
        Parameter(max_length=100, description="`<dimension>=<value>`; one of a dimension's values"),
    ] = None,
    limit: Annotated[int, Parameter(ge=1, le=5000)] = 1000,
    cursor: Annotated[str, Parameter(max_length=16_000)] = "",
) -> schemas.UsageList:
    """Return a customer's usage of one meter, stored a moment ago at the latest."""
    await call.runtime.state.flusher.flush()
    groups = group_by or []
    query = usage.Query(
        meter=meter,
        subjects=[customer_id],
        starts_at=starts_at,
        ends_at=ends_at,
        time_zone=time_zone,
        window=window.upper(),
        group_by=groups,
        filter=_filter(filter or []),
        page_size=limit,
        page_token=cursor,
    )
    async with call.reading() as tx:
        rows, next_cursor, found = await usage.query_usage(tx, query)
    data = [
        schemas.Usage(
            dimensions=dict(zip(groups, row.dimensions, strict=True)),
            starts_at=row.starts_at,
            seconds=row.seconds,
            quantity=f"{row.quantity.normalize():f}",
            event_count=row.event_count,
            source=row.source or None,
            id=row.id or None,
        )
        for row in rows
    ]
    return schemas.UsageList(
        meter=found.name, aggregation=found.aggregation, data=data, next_cursor=next_cursor
    )


@rest.get("/v1/usage/unattributed")
async def list_unattributed(call: Steps, page: PageQuery) -> schemas.UnattributedList:
    """List subjects of usage that are no customer's id or external_id."""
    await call.runtime.state.flusher.flush()
    found, cursor = await usage.list_unattributed(call, page)
    data = [schemas.Unattributed.model_validate(item) for item in found]
    return schemas.UnattributedList(**listing(data, cursor))


@rest.post("/v1/usage_events:void")
async def void_usage_event(body: schemas.VoidBody, call: Steps) -> schemas.Adjustment:
    """Have a stored event count no more; what was billed is put right on the next invoice."""
    row = await adjustments.void_event(
        call, source=body.source, event_id=body.id, reason=body.reason
    )
    return _adjustment(row)


@rest.post("/v1/usage_events:correct")
async def correct_usage_event(
    body: schemas.CorrectionBody, request: Request, call: Steps
) -> schemas.Adjustment:
    """Have a stored event count for something else; what was billed is put right later."""
    # Numbers are read once more, with every digit.
    exact = reading.decode(await request.body())
    row = await adjustments.correct_event(
        call,
        source=body.source,
        event_id=body.id,
        quantity=exact.get("quantity"),
        data=exact.get("data"),
        reason=body.reason,
    )
    return _adjustment(row)


@rest.get("/v1/usage_events/adjustments")
async def list_adjustments(
    tx: Reader,
    page: PageQuery,
    source: Text | None = None,
    id: Text | None = None,  # noqa: A002 - the name of the parameter
    customer_id: Text | None = None,
) -> schemas.AdjustmentList:
    """List voids and corrections; `customer_id` is the subject as the event named it."""
    rows, cursor = await adjustments.list_adjustments(
        tx, page, source=source, event_id=id, customer_id=customer_id
    )
    return schemas.AdjustmentList(**listing([_adjustment(row) for row in rows], cursor))


@rest.get("/v1/usage_events/conflicts")
async def list_conflicts(call: Steps, page: PageQuery) -> schemas.ConflictList:
    """List events whose id had been used for other content."""
    await call.runtime.state.flusher.flush()
    async with call.reading() as tx:
        rows, cursor = await usage.list_conflicts(tx, page)
    data = [
        schemas.Conflict(
            source=row.source,
            id=row.id,
            type=row.event_type,
            subject=row.subject,
            time=row.event_at,
            data=row.data,
            quantity=None if row.quantity is None else f"{row.quantity:f}",
            received_at=row.received_at,
        )
        for row in rows
    ]
    return schemas.ConflictList(**listing(data, cursor))


@rest.get("/api/v1/billing/{customer_id}")
async def get_estimate(customer_id: str, call: Steps) -> schemas.Estimate:
    """Return what the customer's open period would cost if it ended now."""
    estimates: Estimates = call.runtime.state.estimates
    found = await estimates.find(call, customer_id)
    return schemas.Estimate(
        customer_id=found.customer_id,
        currency_code=found.currency_code,
        period=schemas.Period(starts_at=found.starts_at, ends_at=found.ends_at),
        plan=schemas.PlanReference(id=found.plan_id, version=found.plan_version),
        lines=[schemas.EstimateLine.model_validate(line) for line in found.lines],
        subtotal_minor=found.subtotal_minor,
        discount_minor=0,
        tax_minor=0,
        total_minor=found.subtotal_minor,
        estimated=True,
        calculated_at=found.calculated_at,
    )


def _filter(pairs: list[str]) -> list[tuple[str, list[str]]]:
    """Gather the values of each dimension.

    Raises: Invalid.
    """
    wanted: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            detail = "a filter has the form <dimension>=<value>"
            raise Invalid([FieldError("filter", "FIELD_INVALID", detail)])
        wanted.setdefault(name, []).append(value)
    return list(wanted.items())


def _adjustment(row: UsageAdjustmentRow) -> schemas.Adjustment:
    return schemas.Adjustment(
        id=row.id,
        kind="void" if row.kind == "void" else "correction",
        source=row.source,
        event_id=row.event_id,
        type=row.event_type,
        subject=row.subject,
        time=row.event_at,
        data_before=row.data_before,
        quantity_before=_quantity(row.quantity_before),
        data=row.data,
        quantity=_quantity(row.quantity),
        reason=row.reason,
        actor=row.actor,
        created_at=row.created_at,
    )


def _quantity(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}"


def _meter(row: MeterRow) -> schemas.Meter:
    return schemas.Meter(
        id=row.id,
        name=row.name,
        origin=row.origin,
        version=row.version,
        spec_hash=hash_of(meters.KIND, row),
        spec=row.spec,
        created_at=row.created_at,
    )
