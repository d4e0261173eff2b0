"""Usage as it is asked for: from hourly records where those can be put together, or events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text

from billplane.chassis.database import ReadTransaction
from billplane.metering.domain import Meter


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
_STARTS, _ENDS = "CAST(:starts_at AS timestamptz)", "CAST(:ends_at AS timestamptz)"
_ZONE = "CAST(:zone AS text)"
_STARTS_OF_BUCKETS = {
    "PERIOD": f"SELECT {_STARTS} AS bucket",
    "HOUR": f"SELECT generate_series(date_trunc('hour', {_STARTS}, 'UTC'),"
    f" {_ENDS} - interval '1 microsecond', interval '1 hour') AS bucket",
    "QUARTER_HOUR": f"SELECT generate_series(date_bin('15 minutes', {_STARTS}, 'epoch'),"
    f" {_ENDS} - interval '1 microsecond', interval '15 minutes') AS bucket",
    "DAY": f"SELECT day AT TIME ZONE {_ZONE} AS bucket"  # noqa: S608 - fixed words
    f" FROM generate_series(date_trunc('day', {_STARTS} AT TIME ZONE {_ZONE}),"
    f" {_ENDS} AT TIME ZONE {_ZONE}, interval '1 day') AS days(day)"
    f" WHERE day AT TIME ZONE {_ZONE} < {_ENDS}",
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
    "Latest": "(array_agg(value ORDER BY event_at DESC, id DESC, source DESC))[1]",
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
        " WHERE tenant_id = :tenant AND livemode = :livemode AND customer_id = ANY (:subjects)"
        " AND meter_id = :meter"
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
    """Weigh each value by how long it held in a window, the one before the window included.

    A value holds until the next of its series, however many periods that takes. Each combination
    of the meter's dimensions is a series of its own; where they are not asked for, series add up.
    The starts of windows are put among the events of each series, so that each stretch of time
    between two of them has one value and one window.
    """
    points, bound = _points(asked)
    order = "PARTITION BY series ORDER BY at, is_event, source, id"
    return await _grouped(
        tx,
        asked,
        f"""WITH points AS (SELECT * FROM ({points}) every WHERE value IS NOT NULL),
        starts AS ({_STARTS_OF_BUCKETS[asked.window]}),
        spans AS (
          SELECT bucket, greatest(bucket, {_STARTS}) AS opens,
            lead(bucket, 1, {_ENDS}) OVER (ORDER BY bucket) AS closes
          FROM starts
        ),
        timeline AS (
          SELECT series, dimensions, event_at AS at, true AS is_event, source, id, value,
            CAST(NULL AS timestamptz) AS bucket FROM points
          UNION ALL
          SELECT series, dimensions, opens, false, '', '', NULL, bucket
          FROM (SELECT DISTINCT series, dimensions FROM points) every_series CROSS JOIN spans
        ),
        numbered AS (
          SELECT *, count(value) OVER place AS value_number,
            count(bucket) OVER place AS span_number, lead(at, 1, {_ENDS}) OVER ({order}) AS until
          FROM timeline WINDOW place AS ({order} ROWS UNBOUNDED PRECEDING)
        ),
        held AS (
          SELECT dimensions, at, until, is_event,
            max(value) OVER (PARTITION BY series, value_number) AS value,
            max(bucket) OVER (PARTITION BY series, span_number) AS bucket
          FROM numbered
        )
        SELECT bucket, dimensions, round(sum(value * extract(epoch FROM until - at))
            / extract(epoch FROM closes - opens), 6) AS quantity,
          count(*) FILTER (WHERE is_event) AS events
        FROM held JOIN spans USING (bucket) WHERE value IS NOT NULL
        GROUP BY bucket, dimensions, opens, closes""",  # noqa: S608 - fixed words and bound values
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
    series = []
    for number, (_, path) in enumerate(meter.group_by):
        bound[f"series{number}"] = list(path)
        series.append(f"coalesce(e.data #>> :series{number}, '')")
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
        f" AS dimensions, ARRAY[{', '.join(series)}]::text[] AS series,"
        f" {value} AS value, {number_} AS number FROM metering.usage_events e"
        " WHERE e.tenant_id = :tenant AND e.voided_at IS NULL AND e.livemode = :livemode"
        " AND e.subject = ANY (:subjects) AND e.event_type = :type"
        f" AND e.event_at < :ends_at{where}",
        bound,
    )


def _common(tx: ReadTransaction, asked: Asked) -> dict[str, Any]:
    from_at = asked.starts_at
    if asked.after is not None and asked.window != "PERIOD":
        # A bucket begins with its first instant, so that what lies before needs no look.
        from_at = max(from_at, asked.after[0])
    return {
        # The database parts tenants; named, their partition alone is looked at.
        "tenant": tx.tenant_id,
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
