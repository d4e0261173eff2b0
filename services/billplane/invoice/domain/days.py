"""Days as a time zone sees them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


def local_date(instant: datetime, time_zone: str) -> date:
    """Return the date of an instant in a time zone."""
    return instant.astimezone(ZoneInfo(time_zone)).date()


def end_of(day: date, time_zone: str) -> datetime:
    """Return the instant at which a local day is over."""
    following = day + timedelta(days=1)
    start = datetime(following.year, following.month, following.day, tzinfo=ZoneInfo(time_zone))
    return start.astimezone(UTC)
