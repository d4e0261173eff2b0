"""Spans of time on real calendars: what part of a whole period was used.

Days are local dates in the plan's zone and a span counts the dates from its first up to, and
without, its last. So a day belongs to one span only, wherever within it a change falls, and the
parts of a period always add up to it: no off-by-one and no thirty-day months.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from billplane.pricing.errors import PeriodInvalid
from billplane.resources import intervals
from billplane.resources.billing_plan import Interval

_YEAR_MIN, _YEAR_MAX = 1970, 2200


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open span [starts_at, ends_at) of aware instants."""

    starts_at: datetime
    ends_at: datetime

    def __post_init__(self) -> None:
        if self.starts_at.tzinfo is None or self.ends_at.tzinfo is None:
            raise PeriodInvalid("a period must begin and end at instants with a time zone")
        if self.ends_at <= self.starts_at:
            raise PeriodInvalid("a period must end after it begins")

    def days(self, zone: ZoneInfo) -> int:
        """Count the local dates that begin the span up to the one on which it ends."""
        return (local_date(self.ends_at, zone) - local_date(self.starts_at, zone)).days

    def contains(self, other: "Period") -> bool:
        """Tell whether the other span lies within this one."""
        return self.starts_at <= other.starts_at and other.ends_at <= self.ends_at


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    """Return the date that a wall calendar in the zone shows."""
    return instant.astimezone(zone).date()


def share_of(part: Period, whole: Period, zone: ZoneInfo) -> Fraction:
    """Return which fraction of the whole period's days the part has.

    Raises: PeriodInvalid if the part reaches beyond the whole, or the whole has no day.
    """
    if not whole.contains(part):
        raise PeriodInvalid("the period to rate reaches beyond the whole period it is part of")
    days = whole.days(zone)
    if days == 0:
        raise PeriodInvalid("the whole period must have at least one day")
    return Fraction(part.days(zone), days)


def calendar_period(interval: Interval, at: datetime) -> Period:
    """Return the calendar period of the interval in which an instant lies."""
    return Period(*intervals.calendar_period(interval, at))


def require_usual(at: datetime, field: str) -> None:
    """Refuse instants at which nothing is billed, and with which calendars cannot reckon.

    Raises: PeriodInvalid for instants outside the years 1970 to 2200.
    """
    if not _YEAR_MIN <= at.year <= _YEAR_MAX:
        raise PeriodInvalid(
            f"the instant must lie within the years {_YEAR_MIN} to {_YEAR_MAX}", field=field
        )


def period_at(interval: Interval, at: datetime) -> Period:
    """Return a whole period of the interval: the calendar's, or the one that begins at an instant.

    Raises: PeriodInvalid for instants outside the years 1970 to 2200.
    """
    require_usual(at, "at")
    if interval.anchor == "Calendar":
        return calendar_period(interval, at)
    local = at.astimezone(ZoneInfo(interval.time_zone))
    end = _add(interval.unit, interval.count, local.date())
    ends_at = datetime.combine(end, local.time(), local.tzinfo).astimezone(UTC)
    return Period(at, ends_at)


def _add(unit: str, count: int, day: date) -> date:
    """Return the same day a number of units later, or the month's last where it has no such day."""
    if unit in {"Day", "Week"}:
        return day + timedelta(days=count if unit == "Day" else 7 * count)
    index = day.year * 12 + day.month - 1 + (count if unit == "Month" else 12 * count)
    last = (_month_start(index + 1) - timedelta(days=1)).day
    return _month_start(index).replace(day=min(day.day, last))


def _month_start(index: int) -> date:
    return date(index // 12, index % 12 + 1, 1)
