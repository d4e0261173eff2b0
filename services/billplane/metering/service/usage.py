"""Reading usage: a meter's quantity by window, dimensions and filter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from billplane.chassis.database import ReadTransaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page, decode_cursor, encode_cursor
from billplane.metering import peers, repository
from billplane.metering.domain import Meter, meter_of, path_of
from billplane.metering.errors import AggregationUnsupported
from billplane.metering.models import UsageConflictRow
from billplane.metering.repository import Asked
from billplane.metering.service.meters import get_meter, spec_of

PAGE_MAX = 5_000
_SECONDS = {"HOUR": 3600, "QUARTER_HOUR": 900, "EVENT": 0}
_HOUR = timedelta(hours=1)
UNATTRIBUTED_MAX = 200


@dataclass(frozen=True, slots=True)
class Query:
    """What is wanted of a meter, before it is checked."""

    meter: str
    subjects: Sequence[str]
    starts_at: datetime
    ends_at: datetime
    time_zone: str = "Etc/UTC"
    window: str = "PERIOD"
    group_by: Sequence[str] = ()
    filter: Sequence[tuple[str, Sequence[str]]] = ()
    event_properties: Sequence[str] = ()
    page_size: int = PAGE_MAX
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One quantity."""

    dimensions: tuple[str, ...]
    starts_at: datetime
    seconds: int
    quantity: Decimal
    event_count: int
    properties: tuple[str, ...] = ()


async def query_usage(
    tx: ReadTransaction, query: Query
) -> tuple[list[UsageRow], str | None, Meter]:
    """Return a page of usage in [starts_at, ends_at), by start and then dimensions.

    Sums and counts of whole hours come from the roll-up, everything else from stored events.

    Raises: MeterNotFound, Invalid, AggregationUnsupported, CursorInvalid, ScopeMissing.
    """
    tx.authorize("usage:read")
    row = await get_meter(tx, query.meter)
    meter = meter_of(row.id, row.name, spec_of(row))
    asked = _checked(query, meter)
    if asked.window == "EVENT":
        found = await repository.events(tx, asked)
    elif meter.adds_up and _whole_hours(asked):
        found = await repository.usage_from_records(tx, asked)
    else:
        found = await repository.usage_from_events(tx, asked)
    more = len(found) == asked.limit
    rows = [
        UsageRow(
            tuple(item.dimensions),
            item.bucket,
            _seconds(asked, item.bucket),
            Decimal(item.quantity),
            int(item.events),
            tuple(value or "" for value in getattr(item, "properties", ())),
        )
        for item in found[: asked.limit - 1]
    ]
    cursor = encode_cursor(str(asked.offset + len(rows))) if more else None
    return rows, cursor, meter


def _checked(query: Query, meter: Meter) -> Asked:
    errors = []
    if query.ends_at <= query.starts_at:
        errors.append(FieldError("ends_at", "FIELD_INVALID", "ends_at must be after starts_at"))
    known = {name for name, _ in meter.group_by}
    wanted = [("group_by", name) for name in query.group_by]
    for field, name in [*wanted, *(("filter", name) for name, _ in query.filter)]:
        if name not in known:
            detail = f"the meter {meter.name} has no dimension {name}"
            errors.append(FieldError(field, "DIMENSION_UNKNOWN", detail))
    try:
        ZoneInfo(query.time_zone)
    except (KeyError, ValueError, OSError):
        errors.append(FieldError("time_zone", "FIELD_INVALID", f"{query.time_zone} is no zone"))
    if errors:
        raise Invalid(errors)
    if meter.aggregation == "WeightedSum":
        raise AggregationUnsupported("weighted sums cannot be queried yet")
    limit = min(query.page_size, PAGE_MAX) if query.page_size > 0 else PAGE_MAX
    offset = int(decode_cursor(query.page_token)) if query.page_token else 0
    return Asked(
        meter=meter,
        subjects=list(query.subjects),
        starts_at=query.starts_at,
        ends_at=query.ends_at,
        time_zone=query.time_zone,
        window=query.window,
        group_by=list(query.group_by),
        filter=[(name, list(values)) for name, values in query.filter],
        event_properties=[path_of(path) for path in query.event_properties],
        limit=limit + 1,
        offset=offset,
    )


def _whole_hours(asked: Asked) -> bool:
    """Tell whether every bucket is made of whole hours."""
    bounds = (asked.starts_at, asked.ends_at)
    if asked.window == "QUARTER_HOUR" or any(
        instant.minute or instant.second or instant.microsecond for instant in bounds
    ):
        return False
    if asked.window != "DAY":
        return True
    zone = ZoneInfo(asked.time_zone)
    return not any((instant.astimezone(zone).utcoffset() or _HOUR) % _HOUR for instant in bounds)


def _seconds(asked: Asked, bucket: datetime) -> int:
    if asked.window == "PERIOD":
        return int((asked.ends_at - asked.starts_at).total_seconds())
    if asked.window == "DAY":
        zone = ZoneInfo(asked.time_zone)
        local = bucket.astimezone(zone)
        next_day = (local + timedelta(days=1)).replace(hour=0, minute=0)
        return int((next_day.astimezone(UTC) - bucket.astimezone(UTC)).total_seconds())
    return _SECONDS[asked.window]


async def list_conflicts(
    tx: ReadTransaction, page: Page
) -> tuple[Sequence[UsageConflictRow], str | None]:
    """Return a page of events whose id had been used for other content; the first one stands."""
    tx.authorize("usage:read")
    return await repository.page_of_conflicts(tx, page)


@dataclass(frozen=True, slots=True)
class Unattributed:
    """A subject that is no customer's name."""

    subject: str
    event_count: int
    first_at: datetime
    last_at: datetime


async def list_unattributed(tx: ReadTransaction) -> list[Unattributed]:
    """Return the subjects of the newest events that no customer has as its id or external_id."""
    tx.authorize("usage:read")
    found = []
    for row in await repository.subjects(tx, UNATTRIBUTED_MAX):
        period = await peers.current_period(tx, row.subject)
        if not period.customer_id:
            found.append(Unattributed(row.subject, row.events, row.first_at, row.last_at))
    return found
