"""Every SQL statement of metering; how an event becomes a quantity is in the first migration."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

from asyncpg import InterfaceError, PostgresError
from sqlalchemy import Row, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import StoreUnavailable
from billplane.chassis.rest import Page, fetch_page
from billplane.metering.domain import Meter
from billplane.metering.models import MeterRow, UsageConflictRow, UsageSubjectRow


async def meters(tx: ReadTransaction) -> Sequence[MeterRow]:
    """Return every meter in use."""
    return (await tx.session.scalars(select(MeterRow).where(MeterRow.removed_at.is_(None)))).all()


async def meters_by_name(tx: ReadTransaction, names: Collection[str]) -> Sequence[MeterRow]:
    """Return meters in use by id or name."""
    wanted = list(names)
    query = select(MeterRow).where(
        MeterRow.removed_at.is_(None), MeterRow.name.in_(wanted) | MeterRow.id.in_(wanted)
    )
    return (await tx.session.scalars(query)).all()


async def lock_flush(session: AsyncSession, lane: int) -> None:
    """Wait until no other process empties a lane; one that hangs loses its turn after 30 s."""
    await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '30s'"))
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('metering.flush'), :lane)"), {"lane": lane}
    )


class RowsRefused(Exception):
    """Postgres refused what it was given: bad data, or a limit of its own."""


class LanesMet(Exception):
    """Some ids came for customers of two lanes at once, and each lane waited for the other."""


async def store_rows(session: AsyncSession, rows: Sequence[bytes]) -> int:
    """Store events that are new and count them; return how many were new.

    Raises: RowsRefused, LanesMet, StoreUnavailable; the transaction is lost then.
    """
    if not rows:
        return 0
    await session.execute(text("SELECT metering.prepare_incoming()"))
    connection = await (await session.connection()).get_raw_connection()
    driver: Any = connection.driver_connection
    source = BytesIO(b"\n".join(rows))
    try:
        await driver.copy_to_table("incoming_usage", source=source, format="text")
        stored = int(await session.scalar(text("SELECT metering.store_incoming()")) or 0)
        await session.execute(text("SELECT metering.note_changes()"))
        return stored
    except (PostgresError, DBAPIError) as error:
        cause: Any = getattr(error, "orig", error)
        state = str(getattr(cause, "sqlstate", "") or "")
        if state.startswith(("22", "54")):
            raise RowsRefused(str(cause)) from error
        if state.startswith(("08", "57P")):
            raise _away() from error
        if state.startswith("40"):
            raise LanesMet from error
        raise
    except InterfaceError as error:
        raise _away() from error


def _away() -> StoreUnavailable:
    return StoreUnavailable("the database cannot be reached; usage waits for it")


async def recount(tx: Transaction, meter_id: str) -> None:
    """Make a meter's records from stored events; none for a meter that is out of use."""
    await tx.session.execute(text("SELECT metering.recount(:meter)"), {"meter": meter_id})


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a meter is wanted.

    `after` is the bucket and the dimensions of the row that the page before ended with; of a
    single event its time, and its source and id.
    """

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
    after: tuple[datetime, list[str]] | None = None


_BUCKETS = {
    "PERIOD": "CAST(:starts_at AS timestamptz)",
    "HOUR": "date_trunc('hour', {time}, 'UTC')",
    "QUARTER_HOUR": "date_bin('15 minutes', {time}, 'epoch')",
    "DAY": "date_trunc('day', {time}, :zone)",
}
_OF_RECORDS = {
    "Sum": "sum(quantity)",
    "Count": "sum(quantity)",
    "Max": "max(quantity)",
    "Min": "min(quantity)",
    "Average": "round(sum(quantity) / sum(event_count), 6)",
}
_OF_EVENTS = {
    "Sum": "sum(value)",
    "Count": "count(*)",
    "Max": "max(value)",
    "Min": "min(value)",
    "Average": "round(avg(value), 6)",
    "Latest": "(array_agg(value ORDER BY event_at DESC, id DESC))[1]",
    "UniqueCount": "count(DISTINCT value)",
}


async def usage_from_records(tx: ReadTransaction, asked: Asked) -> Sequence[Row[Any]]:
    """Put hours together: bucket, dimensions, quantity, events."""
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
        f" {_OF_RECORDS[asked.meter.aggregation]} AS quantity,"
        " sum(event_count) AS events FROM metering.usage_records"
        " WHERE livemode = :livemode AND customer_id = ANY (:subjects) AND meter_id = :meter"
        f" AND starts_at >= :from_at AND starts_at < :ends_at{where} GROUP BY 1, 2",
        bound | {"meter": asked.meter.id},
    )


async def usage_from_events(tx: ReadTransaction, asked: Asked) -> Sequence[Row[Any]]:
    """Aggregate stored events: bucket, dimensions, quantity, events."""
    points, bound = _points(asked)
    bucket = _BUCKETS[asked.window].format(time="event_at")
    return await _grouped(
        tx,
        asked,
        f"SELECT {bucket} AS bucket, dimensions, {_OF_EVENTS[asked.meter.aggregation]} AS quantity,"  # noqa: S608 - fixed words and bound values
        f" count(*) AS events FROM ({points} AND event_at >= :from_at) points"
        " WHERE value IS NOT NULL GROUP BY 1, 2",
        bound,
    )


async def weighted_sum(tx: ReadTransaction, asked: Asked) -> Sequence[Row[Any]]:
    """Weigh each value by how long it held in the period, the one before the period included."""
    points, bound = _points(asked)
    starts_at, ends_at = ("CAST(:starts_at AS timestamptz)", "CAST(:ends_at AS timestamptz)")
    return await _grouped(
        tx,
        asked,
        f"""WITH points AS (SELECT * FROM ({points}) every WHERE value IS NOT NULL),
        held AS (
          SELECT *, greatest(event_at, {starts_at}) AS held_from,
            coalesce(lead(event_at) OVER (PARTITION BY dimensions ORDER BY event_at, id), {ends_at})
              AS held_until
          FROM points
        )
        SELECT {starts_at} AS bucket, dimensions,
          round(sum(value * extract(epoch FROM held_until - held_from))
            / extract(epoch FROM {ends_at} - {starts_at}), 6) AS quantity,
          count(*) FILTER (WHERE event_at >= {starts_at}) AS events
        FROM held WHERE held_until > {starts_at} GROUP BY 1, 2""",  # noqa: S608 - fixed words and bound values
        bound,
    )


async def events(tx: ReadTransaction, asked: Asked) -> Sequence[Row[Any]]:
    """Return single events: time, dimensions, quantity, properties, source and id."""
    points, bound = _points(asked)
    properties = [f"data #>> :property{number}" for number in range(len(asked.event_properties))]
    bound |= {f"property{number}": list(path) for number, path in enumerate(asked.event_properties)}
    where = ""
    if asked.after is not None:
        where = " AND (event_at, source, id) > (:after_at, :after_source, :after_id)"
        at, (source, event_id) = asked.after
        bound |= {"after_at": at, "after_source": source, "after_id": event_id}
    found = await tx.session.execute(
        text(
            "SELECT event_at AS bucket, dimensions, coalesce(number, 1) AS quantity, 1 AS events,"  # noqa: S608 - fixed words and bound values
            f" source, id, ARRAY[{', '.join(properties)}]::text[] AS properties"
            f" FROM ({points} AND event_at >= :from_at) points"
            f" WHERE value IS NOT NULL{where} ORDER BY event_at, source, id LIMIT :limit"
        ),
        bound | _common(tx, asked),
    )
    return found.all()


def _points(asked: Asked) -> tuple[str, dict[str, Any]]:
    """Return the statement of the events that a meter counts, up to the period's end.

    Shape: `value` is what the aggregation takes, `number` the value as a number if it is one.
    """
    meter = asked.meter
    bound: dict[str, Any] = {"type": meter.event_type}
    paths = dict(meter.group_by)
    groups = []
    for number, name in enumerate(asked.group_by):
        bound[f"group{number}"] = list(paths[name])
        groups.append(f"coalesce(e.data #>> :group{number}, '')")
    wanted = [(path, sorted(values)) for path, values in meter.filter]
    wanted += [(paths[name], list(values)) for name, values in asked.filter]
    where = ""
    for number, (path, values) in enumerate(wanted):
        where += f" AND coalesce(e.data #>> :path{number}, '') = ANY (:values{number})"
        bound |= {f"path{number}": list(path), f"values{number}": values}
    value = number_ = "1::numeric"
    if meter.aggregation != "Count":
        bound["value"] = list(meter.value)
        value = number_ = "metering.event_value(e.data, e.quantity, :value)"
    if meter.aggregation == "UniqueCount":
        value = "metering.event_text(e.data, e.quantity, :value)"
    return (
        f"SELECT e.event_at, e.source, e.id, e.data, ARRAY[{', '.join(groups)}]::text[]"  # noqa: S608 - fixed words and bound values
        f" AS dimensions, {value} AS value, {number_} AS number FROM metering.usage_events e"
        " WHERE e.livemode = :livemode AND e.subject = ANY (:subjects) AND e.event_type = :type"
        f" AND e.event_at < :ends_at{where}",
        bound,
    )


def _common(tx: ReadTransaction, asked: Asked) -> dict[str, Any]:
    from_at = asked.starts_at
    if asked.after is not None and asked.window != "PERIOD":
        # A bucket begins with its first instant, so that what lies before needs no look.
        from_at = max(from_at, asked.after[0])
    return {
        "livemode": tx.livemode,
        "subjects": list(asked.subjects),
        "starts_at": asked.starts_at,
        "from_at": from_at,
        "ends_at": asked.ends_at,
        "limit": asked.limit,
    }


async def _grouped(
    tx: ReadTransaction, asked: Asked, statement: str, bound: dict[str, Any]
) -> Sequence[Row[Any]]:
    bound = bound | _common(tx, asked)
    if asked.window == "DAY":
        bound["zone"] = asked.time_zone
    where = ""
    if asked.after is not None:
        where = "WHERE (bucket, dimensions) > (:after_at, :after_dimensions)"
        bound |= {"after_at": asked.after[0], "after_dimensions": asked.after[1]}
    found = await tx.session.execute(
        text(f"SELECT * FROM ({statement}) rows {where} ORDER BY 1, 2 LIMIT :limit"),  # noqa: S608 - fixed words and bound values
        bound,
    )
    return found.all()


async def totals(
    tx: ReadTransaction,
    meter_ids: Sequence[str],
    subjects: Sequence[str],
    starts_at: datetime,
    ends_at: datetime,
) -> Sequence[Row[Any]]:
    """Sum the hours of several meters, by their dimensions."""
    found = await tx.session.execute(
        text(
            "SELECT meter_id, dimensions, sum(quantity) AS quantity,"
            " sum(event_count)::bigint AS events FROM metering.usage_records"
            " WHERE livemode = :livemode AND customer_id = ANY (:subjects)"
            " AND meter_id = ANY (:meters) AND starts_at >= :starts_at AND starts_at < :ends_at"
            " GROUP BY 1, 2"
        ),
        {
            "livemode": tx.livemode,
            "subjects": list(subjects),
            "meters": list(meter_ids),
            "starts_at": starts_at,
            "ends_at": ends_at,
        },
    )
    return found.all()


async def usage_mark(tx: ReadTransaction, subjects: Sequence[str]) -> tuple[Any, ...]:
    """Return what differs whenever usage of these subjects may: their changes, and the meters."""
    row = (
        await tx.session.execute(
            text(
                "SELECT (SELECT sum(changes) FROM metering.usage_subjects"
                " WHERE livemode = :livemode AND subject = ANY (:subjects)),"
                " (SELECT md5(string_agg(id || ' ' || name || ' ' || version, ',' ORDER BY id))"
                " FROM metering.meters WHERE removed_at IS NULL)"
            ),
            {"livemode": tx.livemode, "subjects": list(subjects)},
        )
    ).one()
    return tuple(row)


async def unknown_subjects(tx: ReadTransaction, limit: int) -> Sequence[UsageSubjectRow]:
    """Return the newest names that no customer was found for yet."""
    query = (
        select(UsageSubjectRow)
        .where(UsageSubjectRow.livemode == tx.livemode, UsageSubjectRow.customer_id.is_(None))
        .order_by(UsageSubjectRow.first_seen_at.desc(), UsageSubjectRow.subject)
        .limit(limit)
    )
    return (await tx.session.scalars(query)).all()


async def note_customer(tx: Transaction, subject: str, customer_id: str | None) -> None:
    """Note whose name a subject is, or that it was looked for in vain."""
    row = await tx.session.get_one(UsageSubjectRow, (tx.tenant_id, tx.livemode, subject))
    row.customer_id, row.looked_at = customer_id, tx.now


async def counts_of_subjects(tx: ReadTransaction, subjects: Sequence[str]) -> Sequence[Row[Any]]:
    """Return how many events each subject has, and when the first and the last happened."""
    found = await tx.session.execute(
        text(
            "SELECT subject, count(*) AS events, min(event_at) AS first_at,"
            " max(event_at) AS last_at"
            " FROM metering.usage_events WHERE livemode = :livemode AND subject = ANY (:subjects)"
            " GROUP BY subject ORDER BY subject"
        ),
        {"livemode": tx.livemode, "subjects": list(subjects)},
    )
    return found.all()


async def page_of_conflicts(
    tx: ReadTransaction, page: Page
) -> tuple[Sequence[UsageConflictRow], str | None]:
    """Return a page of events whose id had been used for other content."""
    query = select(UsageConflictRow).where(UsageConflictRow.livemode == tx.livemode)
    after = page.after_number()
    if after is not None:
        number = UsageConflictRow.number
        query = query.where(number < after if page.order == "desc" else number > after)
        page = page.model_copy(update={"cursor": None})
    return await fetch_page(tx, query, UsageConflictRow.number, page)
