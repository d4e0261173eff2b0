"""Reading usage: a meter's quantity by window, dimensions and filter."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction
from billplane.chassis.errors import CursorInvalid, FieldError, Invalid
from billplane.chassis.fields import YEAR_MAX, YEAR_MIN
from billplane.chassis.rest import Page, check_text, decode_cursor, encode_cursor
from billplane.metering import peers
from billplane.metering.domain import Meter, meter_of, path_of
from billplane.metering.models import UsageConflictRow
from billplane.metering.repository import reading, subjects
from billplane.metering.repository.reading import Asked
from billplane.metering.service.meters import get_meter, spec_of

PAGE_MAX = 5_000
WINDOWS_MAX = 100_000
_SECONDS = {"HOUR": 3600, "QUARTER_HOUR": 900, "EVENT": 0}
_HOUR = timedelta(hours=1)
_SHORTEST = {"QUARTER_HOUR": _HOUR / 4, "HOUR": _HOUR, "DAY": _HOUR * 23}
_DIGEST = re.compile(r"[0-9a-f]{32}")


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
    source: str = ""
    id: str = ""


async def query_usage(
    tx: ReadTransaction, query: Query
) -> tuple[list[UsageRow], str | None, Meter]:
    """Return a page of usage in [starts_at, ends_at), by start and then dimensions.

    Whole hours come from the hourly records where those can be put together, everything else
    from stored events.

    Raises: MeterNotFound, Invalid, CursorInvalid, ScopeMissing.
    """
    tx.authorize("usage:read")
    row = await get_meter(tx, query.meter)
    meter = meter_of(row.id, row.name, spec_of(row))
    return *await query_meter(tx, query, meter), meter


async def query_meter(
    tx: ReadTransaction, query: Query, meter: Meter
) -> tuple[list[UsageRow], str | None]:
    """Return a page of one meter's usage, as query_usage does.

    Raises: Invalid, CursorInvalid.
    """
    asked = _checked(query, meter)
    found = await _answer(tx, asked)
    rows = [
        UsageRow(
            tuple(item.dimensions),
            item.bucket,
            _seconds(asked, item.bucket),
            Decimal(item.quantity),
            int(item.events),
            tuple(value or "" for value in getattr(item, "properties", ())),
            getattr(item, "source", ""),
            getattr(item, "id", ""),
        )
        for item in found[: asked.limit - 1]
    ]
    more = len(found) == asked.limit
    return rows, _cursor(asked, found[asked.limit - 2]) if more else None


async def _answer(tx: ReadTransaction, asked: Asked) -> Sequence[Any]:
    if asked.window == "EVENT":
        return await reading.events(tx, asked)
    if asked.meter.aggregation == "WeightedSum":
        return await reading.weighted_sum(tx, asked)
    if asked.meter.recorded and whole_hours(
        asked.starts_at, asked.ends_at, asked.window, asked.time_zone
    ):
        return await reading.usage_from_records(tx, asked)
    return await reading.usage_from_events(tx, asked)


def _cursor(asked: Asked, last: Any) -> str:
    rest = [last.source, last.id] if asked.window == "EVENT" else list(last.dimensions)
    return encode_cursor(json.dumps([last.bucket.isoformat(), rest]))


def _after(token: str, query: Query) -> tuple[datetime, list[str]]:
    """Read a cursor of ours.

    Raises: CursorInvalid.
    """
    try:
        at, rest = json.loads(decode_cursor(token))
        after = datetime.fromisoformat(at)
        check_text(rest)
    except (ValueError, TypeError):
        raise _not_ours() from None
    length = 2 if query.window == "EVENT" else len(query.group_by)
    whole = isinstance(rest, list) and all(isinstance(text, str) for text in rest)
    if after.tzinfo is None or not _in_range(after) or not whole or len(rest) != length:
        raise _not_ours()
    return after, rest


def _in_range(instant: datetime) -> bool:
    return YEAR_MIN <= instant.year <= YEAR_MAX


def _not_ours() -> CursorInvalid:
    return CursorInvalid("the cursor is not one that this list gave", field="cursor")


def _checked(query: Query, meter: Meter) -> Asked:
    errors = [
        FieldError(name, "TIME_OUT_OF_RANGE", f"must lie in the years {YEAR_MIN} to {YEAR_MAX}")
        for name, instant in (("starts_at", query.starts_at), ("ends_at", query.ends_at))
        if not _in_range(instant)
    ]
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
    windows = (query.ends_at - query.starts_at) // _SHORTEST.get(query.window, timedelta.max)
    if meter.aggregation == "WeightedSum" and windows > WINDOWS_MAX:
        detail = f"{meter.name} has a value in each window; ask for at most {WINDOWS_MAX} of them"
        errors.append(FieldError("window", "TOO_MANY_WINDOWS", detail))
    if errors:
        raise Invalid(errors)
    limit = min(query.page_size, PAGE_MAX) if query.page_size > 0 else PAGE_MAX
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
        after=_after(query.page_token, query) if query.page_token else None,
    )


def whole_hours(starts_at: datetime, ends_at: datetime, window: str, time_zone: str) -> bool:
    """Tell whether every bucket of a window is made of whole hours."""
    if window == "QUARTER_HOUR" or any(
        instant.minute or instant.second or instant.microsecond for instant in (starts_at, ends_at)
    ):
        return False
    if window != "DAY":
        return True
    zone = ZoneInfo(time_zone)
    # Some zones change their clocks by half an hour.
    step = max(timedelta(days=1), (ends_at - starts_at) / 400)
    at = starts_at
    while at < ends_at + step:
        if (at.astimezone(zone).utcoffset() or _HOUR) % _HOUR:
            return False
        at += step
    return True


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
    return await subjects.page_of_conflicts(tx, page)


@dataclass(frozen=True, slots=True)
class Unattributed:
    """A subject that is no customer's name."""

    subject: str
    event_count: int
    first_at: datetime
    last_at: datetime


async def list_unattributed(call: Call, page: Page) -> tuple[list[Unattributed], str | None]:
    """Return subjects of events that no customer has as its id or external_id, newest first.

    Shape: a page may be shorter than asked for, where customers were made meanwhile.
    Raises: CursorInvalid, ScopeMissing; subscription's errors.
    """
    call.principal.require("usage:read")
    after = None if page.cursor is None else _after_subject(decode_cursor(page.cursor))
    async with call.reading() as tx:
        found = await subjects.unknown_subjects(tx, after, page.order, page.limit + 1)
    rows = found[: page.limit]
    names = [row.subject for row in rows]
    owners = [(await peers.current_period(call, name)).customer_id for name in names]
    unknown = [name for name, owner in zip(names, owners, strict=True) if not owner]
    async with call.reading() as tx:
        counted = await subjects.counts_of_subjects(tx, unknown)
    order = {name: number for number, name in enumerate(names)}
    listed = [Unattributed(row.subject, row.events, row.first_at, row.last_at) for row in counted]
    listed.sort(key=lambda item: order[item.subject])
    if len(found) <= page.limit:
        return listed, None
    last = rows[-1]
    return listed, encode_cursor(f"{last.first_seen_at.isoformat()} {last.digest}")


def _after_subject(text: str) -> tuple[datetime, str]:
    """Read a cursor of the list of subjects.

    Raises: CursorInvalid.
    """
    at, _, digest = text.partition(" ")
    try:
        seen_at = datetime.fromisoformat(at)
    except ValueError:
        raise _not_ours() from None
    if seen_at.tzinfo is None or not _in_range(seen_at) or not _DIGEST.fullmatch(digest):
        raise _not_ours()
    return seen_at, digest


async def attribute_subject(call: Call, subject: str) -> bool:
    """Note whose name a subject of events is; tell whether it is somebody's.

    Raises: InternalOnly; subscription's errors.
    """
    call.principal.require_internal()
    period = await peers.current_period(call, subject)
    async with call.writing() as tx:
        await subjects.note_customer(tx, subject, period.customer_id or None)
    return bool(period.customer_id)
