"""Billing periods on real calendars and time zones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from billplane.resources.billing_plan import Interval

_MONDAY = date(1970, 1, 5)


@dataclass(frozen=True, slots=True)
class Period:
    """`[starts_at, ends_at)` as billed, within the whole `[nominal_starts_at, nominal_ends_at)`."""

    starts_at: datetime
    ends_at: datetime
    nominal_starts_at: datetime
    nominal_ends_at: datetime

    def until(self, end: datetime | None) -> "Period":
        """Return the period cut short where a subscription ends within it."""
        if end is None or end >= self.ends_at:
            return self
        return Period(self.starts_at, end, self.nominal_starts_at, self.nominal_ends_at)


@dataclass(frozen=True, slots=True)
class Segment:
    """The part of a period that one version of a plan has."""

    plan_id: str
    plan_version: int
    starts_at: datetime
    ends_at: datetime

    def to_json(self) -> dict[str, Any]:
        """Write it as it is stored."""
        return {
            "plan_id": self.plan_id,
            "plan_version": self.plan_version,
            "starts_at": self.starts_at.isoformat(),
            "ends_at": self.ends_at.isoformat(),
        }

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> "Segment":
        """Read what was stored."""
        return cls(
            stored["plan_id"],
            stored["plan_version"],
            datetime.fromisoformat(stored["starts_at"]),
            datetime.fromisoformat(stored["ends_at"]),
        )


def period_at(interval: Interval, anchor: datetime, at: datetime) -> Period:
    """Return the period that an instant falls into, for a subscription billed from `anchor`.

    Calendar periods begin at the first day of a week, month or year in the plan's zone, the first
    one at the anchor. Anniversary periods begin at the anchor's local day and time; where a month
    lacks the day they begin on its last, and the next month has the day again.
    """
    at = max(at, anchor)
    zone = ZoneInfo(interval.time_zone)
    if interval.anchor == "Calendar":
        index = _calendar_index(interval, at.astimezone(zone).date())
        starts, ends, later = (
            _instant(_calendar_day(interval, index + number), zone, anchor=None)
            for number in range(3)
        )
        if at >= ends:  # a clock went back over midnight, and the day before came twice
            starts, ends = ends, later
        return Period(max(starts, anchor), ends, starts, ends)
    local = anchor.astimezone(zone)
    number = _anniversary_guess(interval, local.date(), at.astimezone(zone).date())
    while _anniversary(interval, local, number + 1, zone) <= at:
        number += 1
    while _anniversary(interval, local, number, zone) > at:
        number -= 1
    starts = _anniversary(interval, local, number, zone)
    ends = _anniversary(interval, local, number + 1, zone)
    return Period(starts, ends, starts, ends)


def period_after(interval: Interval, anchor: datetime, period: Period) -> Period:
    """Return the period that follows, from where the last one ended.

    A plan's version with another interval is cut into that from there on.
    """
    found = period_at(interval, anchor, period.ends_at)
    return replace(found, starts_at=period.ends_at)


def last_local_date(period: Period, time_zone: str) -> date:
    """Return the last day that the period touches in a zone."""
    return (period.ends_at - timedelta(microseconds=1)).astimezone(ZoneInfo(time_zone)).date()


def unused_minor(
    paid_minor: int, starts_at: datetime, ends_at: datetime, at: datetime, zone: ZoneInfo
) -> int:
    """Return what of an amount paid for [starts_at, ends_at) is for the days from `at` on.

    Days are local dates, and the day of a change belongs to what follows, as everywhere where
    fees are prorated; rounded half up once.
    """
    first, last, split = (instant.astimezone(zone).date() for instant in (starts_at, ends_at, at))
    days = (last - first).days
    if days <= 0 or split >= last:
        return 0
    share = Fraction(paid_minor) * (last - max(split, first)).days / days
    rounded = (abs(share) * 2 + 1) // 2
    return int(rounded) if share >= 0 else -int(rounded)


def fitting(amounts: Sequence[int], room_minor: int) -> list[int]:
    """Return how much of each credit an invoice has room for, so that it does not go below zero.

    Shape: credits are below zero, earlier ones first; `room_minor` is what the invoice comes to
        without them.
    """
    left = max(room_minor, 0)
    taken = []
    for amount in amounts:
        part = min(-amount, left)
        taken.append(-part)
        left -= part
    return taken


def _calendar_index(interval: Interval, day: date) -> int:
    if interval.unit == "Day":
        number = (day - _MONDAY).days
    elif interval.unit == "Week":
        number = (day - _MONDAY).days // 7
    elif interval.unit == "Month":
        number = day.year * 12 + day.month - 1
    else:
        number = day.year
    return number // interval.count


def _calendar_day(interval: Interval, index: int) -> date:
    number = index * interval.count
    if interval.unit == "Day":
        return _MONDAY + timedelta(days=number)
    if interval.unit == "Week":
        return _MONDAY + timedelta(weeks=number)
    if interval.unit == "Month":
        return date(number // 12, number % 12 + 1, 1)
    return date(number, 1, 1)


def _anniversary_guess(interval: Interval, first: date, day: date) -> int:
    if interval.unit in ("Day", "Week"):
        length = interval.count * (7 if interval.unit == "Week" else 1)
        return (day - first).days // length
    months = (day.year - first.year) * 12 + day.month - first.month
    return months // (interval.count * (12 if interval.unit == "Year" else 1))


def _anniversary(interval: Interval, local: datetime, number: int, zone: ZoneInfo) -> datetime:
    if number == 0:
        return local.astimezone(UTC)
    steps = number * interval.count
    if interval.unit in ("Day", "Week"):
        day = local.date() + timedelta(days=steps * (7 if interval.unit == "Week" else 1))
    else:
        months = local.year * 12 + local.month - 1 + steps * (12 if interval.unit == "Year" else 1)
        day = _clamped(months // 12, months % 12 + 1, local.day)
    return _instant(day, zone, anchor=local)


def _clamped(year: int, month: int, day: int) -> date:
    first_of_next = date(year + month // 12, month % 12 + 1, 1)
    return min(date(year, month, 1) + timedelta(days=day - 1), first_of_next - timedelta(days=1))


def _instant(day: date, zone: ZoneInfo, anchor: datetime | None) -> datetime:
    """Return a local day, at midnight or at the anchor's time, as an instant.

    A time that a clock change skips becomes the same distance after it; of a time that comes
    twice, the first counts.
    """
    time = (anchor.hour, anchor.minute, anchor.second) if anchor else (0, 0, 0)
    local = datetime(day.year, day.month, day.day, *time, tzinfo=zone)
    return local.astimezone(UTC)
