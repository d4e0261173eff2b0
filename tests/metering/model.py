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


def usage(aggregation, points, bounds, window="period", zone="Etc/UTC", grouped=False):
    """Return the rows: start, dimensions, quantity, number of events, seconds; in their order."""
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
