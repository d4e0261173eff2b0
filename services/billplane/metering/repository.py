"""Every SQL statement of metering."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.metering.domain import Meter
from billplane.metering.models import MeterRow, UsageConflictRow

_NUMBER = r"^-?[0-9]{1,12}(\.[0-9]{1,6})?$"


async def meters(tx: ReadTransaction) -> Sequence[MeterRow]:
    """Return every meter in use."""
    return (await tx.session.scalars(select(MeterRow).where(MeterRow.removed_at.is_(None)))).all()


async def meters_of_tenants(session: AsyncSession, tenants: list[str]) -> Sequence[Row[Any]]:
    """Return the meters in use of some tenants."""
    statement = text("SELECT * FROM metering.meters_of(:tenants)")
    return (await session.execute(statement, {"tenants": tenants})).all()


_COLUMNS = (
    "tenants", "modes", "sources", "ids", "types", "subjects", "times", "datas", "quantities",
    "hashes", "receiveds", "measure_numbers", "measure_meters", "measure_hours",
    "measure_dimensions", "measure_quantities",
)  # fmt: skip
_TYPES = (
    "text[]", "boolean[]", "text[]", "text[]", "text[]", "text[]", "timestamptz[]", "text[]",
    "numeric[]", "bigint[]", "timestamptz[]", "integer[]", "text[]", "timestamptz[]", "text[]",
    "numeric[]",
)  # fmt: skip
_STORE = text(
    "SELECT metering.store_usage("
    + ", ".join(f"CAST(:{name} AS {kind})" for name, kind in zip(_COLUMNS, _TYPES, strict=True))
    + ")"
)


async def store_usage(session: AsyncSession, columns: list[list[Any]]) -> int:
    """Insert events that are new, add them to the roll-up; return how many were new."""
    given = dict(zip(_COLUMNS, columns, strict=True))
    return int(await session.scalar(_STORE, given) or 0)


async def lock_store(tx: Transaction) -> None:
    """Hold back flushes until the transaction ends."""
    await tx.session.execute(text("SELECT pg_advisory_xact_lock(hashtext('metering.store'))"))


async def delete_records(tx: Transaction, meter_id: str) -> None:
    """Remove a meter's roll-up."""
    await tx.session.execute(
        text("DELETE FROM metering.usage_records WHERE meter_id = :meter"), {"meter": meter_id}
    )


async def rebuild_records(tx: Transaction, meter: Meter) -> None:
    """Make a meter's roll-up from stored events."""
    await delete_records(tx, meter.id)
    where, bound = _filters(meter, ())
    value = _value(meter)
    pairs = [
        f"'{name}', coalesce(e.data #>> :group{number}, '')"
        for number, (name, _) in enumerate(meter.group_by)
    ]
    bound |= {f"group{number}": list(path) for number, (_, path) in enumerate(meter.group_by)}
    await tx.session.execute(
        text(
            "INSERT INTO metering.usage_records (tenant_id, livemode, customer_id, meter_id,"  # noqa: S608 - names come from a checked spec, values are bound
            " starts_at, dimensions, quantity, event_count, updated_at)"
            f" SELECT tenant_id, livemode, subject, :meter, date_trunc('hour', time, 'UTC'),"
            f" jsonb_build_object({', '.join(pairs)}), sum({value}), count(*), :now"
            f" FROM metering.usage_events e WHERE event_type = :type AND {value} IS NOT NULL{where}"
            " GROUP BY 1, 2, 3, 5, 6"
        ),
        bound | _value_bound(meter) | {"meter": meter.id, "type": meter.event_type, "now": tx.now},
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a meter is wanted."""

    meter: Meter
    subjects: Sequence[str]
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    window: str
    group_by: Sequence[str]
    filter: Sequence[tuple[str, Sequence[str]]]
    event_properties: Sequence[tuple[str, ...]]
    limit: int
    offset: int


_BUCKETS = {
    "PERIOD": "CAST(:starts_at AS timestamptz)",
    "HOUR": "date_trunc('hour', {time}, 'UTC')",
    "QUARTER_HOUR": "date_bin('15 minutes', {time}, 'epoch')",
    "DAY": "date_trunc('day', {time}, :zone)",
}


async def usage_from_records(tx: ReadTransaction, asked: Asked) -> Sequence[Row[Any]]:
    """Sum hours of the roll-up: bucket, dimensions, quantity, events."""
    groups = [f"dimensions ->> :group{number}" for number in range(len(asked.group_by))]
    bound: dict[str, Any] = {f"group{number}": name for number, name in enumerate(asked.group_by)}
    where = ""
    for number, (name, values) in enumerate(asked.filter):
        where += f" AND dimensions ->> :filter{number} = ANY (:values{number})"
        bound |= {f"filter{number}": name, f"values{number}": list(values)}
    bucket = _BUCKETS[asked.window].format(time="starts_at")
    return await _grouped(
        tx,
        asked,
        f"SELECT {bucket} AS bucket, ARRAY[{', '.join(groups)}]::text[] AS dimensions,"  # noqa: S608 - fixed words and bound values
        " sum(quantity) AS quantity, sum(event_count) AS events FROM metering.usage_records"
        " WHERE livemode = :livemode AND customer_id = ANY (:subjects) AND meter_id = :meter"
        f" AND starts_at >= :starts_at AND starts_at < :ends_at{where} GROUP BY 1, 2",
        bound | {"meter": asked.meter.id},
    )


async def usage_from_events(tx: ReadTransaction, asked: Asked) -> Sequence[Row[Any]]:
    """Aggregate stored events: bucket, dimensions, quantity, events."""
    where, bound = _filters(asked.meter, asked.filter)
    groups = _groups(asked, bound)
    value = _value(asked.meter)
    aggregate = {
        "Sum": f"sum({value})",
        "Count": "count(*)",
        "Max": f"max({value})",
        "Min": f"min({value})",
        "Average": f"round(avg({value}), 6)",
        "Latest": f"(array_agg({value} ORDER BY e.time DESC, e.id DESC))[1]",
        "UniqueCount": "count(DISTINCT e.data #> :value)",
    }[asked.meter.aggregation]
    present = (
        "e.data #> :value IS NOT NULL"
        if asked.meter.aggregation == "UniqueCount"
        else f"{value} IS NOT NULL"
    )
    bucket = _BUCKETS[asked.window].format(time="e.time")
    return await _grouped(
        tx,
        asked,
        f"SELECT {bucket} AS bucket, {groups} AS dimensions, {aggregate} AS quantity,"
        f" count(*) AS events {_FROM_EVENTS}{where} AND {present} GROUP BY 1, 2",
        bound | _value_bound(asked.meter) | {"type": asked.meter.event_type},
    )


async def events(tx: ReadTransaction, asked: Asked) -> Sequence[Row[Any]]:
    """Return single events: time, dimensions, quantity, properties."""
    where, bound = _filters(asked.meter, asked.filter)
    groups = _groups(asked, bound)
    value = _value(asked.meter)
    properties = [f"e.data #>> :property{number}" for number in range(len(asked.event_properties))]
    bound |= {f"property{number}": list(path) for number, path in enumerate(asked.event_properties)}
    statement = (
        f"SELECT e.time AS bucket, {groups} AS dimensions, {value} AS quantity, 1 AS events,"
        f" ARRAY[{', '.join(properties)}]::text[] AS properties {_FROM_EVENTS}{where}"
        f" AND {value} IS NOT NULL ORDER BY e.time, e.source, e.id"
    )
    found = await tx.session.execute(
        text(statement + " LIMIT :limit OFFSET :offset"),
        bound | _value_bound(asked.meter) | _common(tx, asked) | {"type": asked.meter.event_type},
    )
    return found.all()


_FROM_EVENTS = (
    "FROM metering.usage_events e WHERE livemode = :livemode AND subject = ANY (:subjects)"
    " AND event_type = :type AND time >= :starts_at AND time < :ends_at"
)


def _common(tx: ReadTransaction, asked: Asked) -> dict[str, Any]:
    return {
        "livemode": tx.livemode,
        "subjects": list(asked.subjects),
        "starts_at": asked.starts_at,
        "ends_at": asked.ends_at,
        "limit": asked.limit,
        "offset": asked.offset,
    }


async def _grouped(
    tx: ReadTransaction, asked: Asked, statement: str, bound: dict[str, Any]
) -> Sequence[Row[Any]]:
    bound = bound | _common(tx, asked)
    if ":zone" in statement:
        bound["zone"] = asked.time_zone
    found = await tx.session.execute(
        text(statement + " ORDER BY 1, 2 LIMIT :limit OFFSET :offset"), bound
    )
    return found.all()


def _groups(asked: Asked, bound: dict[str, Any]) -> str:
    paths = dict(asked.meter.group_by)
    for number, name in enumerate(asked.group_by):
        bound[f"group{number}"] = list(paths[name])
    items = [f"coalesce(e.data #>> :group{number}, '')" for number in range(len(asked.group_by))]
    return f"ARRAY[{', '.join(items)}]::text[]"


def _filters(
    meter: Meter, further: Sequence[tuple[str, Sequence[str]]]
) -> tuple[str, dict[str, Any]]:
    """Return the conditions of the meter's own filter and of the asker's, by dimension."""
    paths = dict(meter.group_by)
    wanted = [(path, sorted(values)) for path, values in meter.filter]
    wanted += [(paths[name], list(values)) for name, values in further]
    where = ""
    bound: dict[str, Any] = {}
    for number, (path, values) in enumerate(wanted):
        where += f" AND e.data #>> :path{number} = ANY (:values{number})"
        bound |= {f"path{number}": list(path), f"values{number}": values}
    return where, bound


def _value(meter: Meter) -> str:
    """Return the expression of an event's value: the kept path's, else the property's."""
    if meter.aggregation == "Count":
        return "1"
    if meter.aggregation == "UniqueCount":
        return "(CASE WHEN e.data #> :value IS NOT NULL THEN 1 END)"
    return (
        "coalesce(e.quantity, CASE WHEN e.data #>> :value ~ :number"
        " THEN (e.data #>> :value)::numeric END)"
    )


def _value_bound(meter: Meter) -> dict[str, Any]:
    if meter.aggregation == "Count":
        return {}
    bound: dict[str, Any] = {"value": list(meter.value)}
    if meter.aggregation != "UniqueCount":
        bound["number"] = _NUMBER
    return bound


async def subjects(tx: ReadTransaction, limit: int) -> Sequence[Row[Any]]:
    """Return the subjects of stored events with how many events and when the last came."""
    found = await tx.session.execute(
        text(
            "SELECT subject, count(*) AS events, min(time) AS first_at, max(time) AS last_at"
            " FROM metering.usage_events WHERE livemode = :livemode"
            " GROUP BY subject ORDER BY max(received_at) DESC LIMIT :limit"
        ),
        {"livemode": tx.livemode, "limit": limit},
    )
    return found.all()


async def page_of_conflicts(
    tx: ReadTransaction, page: Page
) -> tuple[Sequence[UsageConflictRow], str | None]:
    """Return a page of events whose id had been used for other content."""
    query = select(UsageConflictRow).where(UsageConflictRow.livemode == tx.livemode)
    if page.cursor is not None:
        after = int(page.after() or 0)
        query = query.where(UsageConflictRow.number < after)
        page = page.model_copy(update={"cursor": None})
    return await fetch_page(tx, query, UsageConflictRow.number, page)
