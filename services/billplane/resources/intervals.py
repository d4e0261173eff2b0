"""The calendar periods of an interval, in its own time zone."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from billplane.resources.billing_plan import Interval

# A Monday, from which weeks are counted.
_FIRST_MONDAY = date(1970, 1, 5)
_FIRST_DAY = date(1970, 1, 1)


def calendar_period(interval: Interval, at: datetime) -> tuple[datetime, datetime]:
    """Return the start and end of the calendar period in which an instant lies.

    Weeks begin on Monday; months are counted from January of year 0, so that two, three, four and
    six of them begin in January.

    Source: ISO 8601 for weeks.
    """
    zone = ZoneInfo(interval.time_zone)
    first, following = _dates(interval.unit, interval.count, at.astimezone(zone).date())
    starts_at, ends_at = (
        # Where midnight is skipped at a change of offset, this is the day's first instant.
        datetime.combine(day, time(), zone).astimezone(UTC)
        for day in (first, following)
    )
    return starts_at, ends_at


def _dates(unit: str, count: int, today: date) -> tuple[date, date]:
    if unit in {"Day", "Week"}:
        length = timedelta(days=count if unit == "Day" else 7 * count)
        origin = _FIRST_DAY if unit == "Day" else _FIRST_MONDAY
        first = origin + (today - origin) // length * length
        return first, first + length
    months = count if unit == "Month" else 12 * count
    index = (today.year * 12 + today.month - 1) // months * months
    return _month(index), _month(index + months)


def _month(index: int) -> date:
    return date(index // 12, index % 12 + 1, 1)
