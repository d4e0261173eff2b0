"""Metering in plain Python: what each aggregation of some events is, bucket by bucket."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

MICRO = Decimal("0.000001")


@dataclass(frozen=True)
class Point:
    """An event that a meter counts."""

    at: datetime
    id: str
    value: Decimal
    text: str
    dimensions: tuple[str, ...]


def bucket(at, window, zone, starts_at):
    """Return the start of the bucket that an instant falls into."""
    if window == "period":
        return starts_at
    if window == "day":
        local = at.astimezone(ZoneInfo(zone))
        return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    seconds = {"hour": 3600, "quarter_hour": 900}[window]
    return datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, UTC)


def length(start, window, zone, bounds):
    """Return the seconds of a bucket."""
    if window == "period":
        return int((bounds[1] - bounds[0]).total_seconds())
    if window == "day":
        day = start.astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
        end = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
        return int((end.astimezone(UTC) - start).total_seconds())
    return {"hour": 3600, "quarter_hour": 900}[window]


def aggregated(aggregation, points):
    """Return the quantity of some events."""
    values = [point.value for point in points]
    match aggregation:
        case "Sum":
            return sum(values)
        case "Count":
            return Decimal(len(points))
        case "Max":
            return max(values)
        case "Min":
            return min(values)
        case "Average":
            exact = sum(values) / len(values)
            return exact.quantize(MICRO, rounding=ROUND_HALF_UP)
        case "Latest":
            return max(points, key=lambda point: (point.at, point.id)).value
        case "UniqueCount":
            return Decimal(len({point.text for point in points}))
    raise AssertionError(aggregation)


def buckets(bounds, window, zone):
    """Return the start of every bucket of a period, and what of it lies in the period."""
    found, start = [], bucket(bounds[0], window, zone, bounds[0])
    while start < bounds[1]:
        end = start + timedelta(seconds=length(start, window, zone, bounds))
        found.append((start, max(start, bounds[0]), min(end, bounds[1])))
        start = end
    return found


def weighted(points, bounds, window, zone, grouped):
    """Return the rows of a weighted sum: what each series held, by how long it held it."""
    series = defaultdict(list)
    for point in sorted(points, key=lambda point: (point.at, point.id)):
        if point.at < bounds[1]:
            series[point.dimensions].append(point)
    found = defaultdict(lambda: [Decimal(0), 0])
    for dimensions, members in series.items():
        untils = [point.at for point in members[1:]] + [bounds[1]]
        for start, opens, closes in buckets(bounds, window, zone):
            for point, until in zip(members, untils, strict=True):
                overlap = min(until, closes) - max(point.at, opens)
                inside = opens <= point.at < closes
                if overlap > timedelta(0) or inside:
                    row = found[start, dimensions if grouped else ()]
                    seconds = Decimal(max(overlap, timedelta(0)) // timedelta(microseconds=1))
                    whole = Decimal((closes - opens) // timedelta(microseconds=1))
                    row[0] += point.value * seconds / whole
                    row[1] += inside
    return [
        (start, dimensions, total.quantize(MICRO, rounding=ROUND_HALF_UP), events,
         length(start, window, zone, bounds))
        for (start, dimensions), (total, events) in sorted(found.items())
    ]  # fmt: skip


def usage(aggregation, points, bounds, window="period", zone="Etc/UTC", grouped=False):
    """Return the rows: start, dimensions, quantity, number of events, seconds; in their order."""
    if aggregation == "WeightedSum":
        return weighted(points, bounds, window, zone, grouped)
    found = defaultdict(list)
    for point in points:
        if bounds[0] <= point.at < bounds[1]:
            start = bucket(point.at, window, zone, bounds[0])
            found[start, point.dimensions if grouped else ()].append(point)
    return [
        (start, dimensions, aggregated(aggregation, members), len(members),
         length(start, window, zone, bounds))
        for (start, dimensions), members in sorted(found.items())
    ]  # fmt: skip
