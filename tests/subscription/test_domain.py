"""Billing periods on real calendars and clocks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from billplane.resources.billing_plan import Interval
from billplane.subscription.domain import last_local_date, period_after, period_at
from hypothesis import example, given, settings
from hypothesis import strategies as some

ZONES = (
    "Etc/UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Havana",
    "Pacific/Apia",
    "Pacific/Chatham",
)
INTERVALS = some.builds(
    Interval,
    unit=some.sampled_from(["Day", "Week", "Month", "Year"]),
    count=some.sampled_from([1, 2, 3, 4, 6, 7, 12, 31]),
    anchor=some.sampled_from(["Calendar", "Anniversary"]),
    timeZone=some.sampled_from(ZONES),
)
INSTANTS = some.datetimes(
    datetime(2005, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    datetime(2035, 1, 1),  # noqa: DTZ001
    timezones=some.just(UTC),
)
ST_JOHNS = Interval(unit="Month", anchor="Calendar", timeZone="America/St_Johns")


def interval(unit="Month", count=1, anchor="Calendar", zone="Etc/UTC"):
    return Interval(unit=unit, count=count, anchor=anchor, timeZone=zone)


def days_of(made, anchor, count):
    """Return the local days on which some periods begin and the last one ends."""
    zone = ZoneInfo(made.time_zone)
    period, found = period_at(made, anchor, anchor), []
    for _ in range(count):
        found.append(period.starts_at.astimezone(zone).date().isoformat())
        period = period_after(made, anchor, period)
    return found


@settings(max_examples=300, deadline=None)
@given(INTERVALS, INSTANTS, some.integers(0, 5_000))
# The clock went back at 00:01 on the first of November: the evening before came twice.
@example(ST_JOHNS, datetime(2009, 1, 1, tzinfo=UTC), 0)
def test_periods_follow_each_other_and_every_instant_has_its_own(made, anchor, hours):
    period = period_at(made, anchor, anchor)
    assert period.starts_at == anchor
    for _ in range(12):
        following = period_after(made, anchor, period)
        assert following.starts_at == period.ends_at < following.ends_at
        assert following.nominal_starts_at == following.starts_at
        assert following.nominal_ends_at == following.ends_at
        for at in (period.starts_at, period.ends_at - timedelta(microseconds=1)):
            assert period_at(made, anchor, at) == period
        period = following
    at = anchor + timedelta(hours=hours)
    found = period_at(made, anchor, at)
    assert found.starts_at <= at < found.ends_at
    assert found.nominal_starts_at <= found.starts_at
    assert found.ends_at == found.nominal_ends_at


@settings(max_examples=150, deadline=None)
@given(INTERVALS, INTERVALS, INSTANTS, some.integers(1, 4))
def test_another_interval_goes_on_where_the_last_ended(old, new, anchor, count):
    period = period_at(old, anchor, anchor)
    for made in (*[old] * count, *[new] * 4):
        following = period_after(made, anchor, period)
        assert following.starts_at == period.ends_at < following.ends_at
        period = following


@pytest.mark.parametrize("minutes", range(0, 181, 20))
def test_an_evening_that_comes_twice_belongs_to_one_month(minutes):
    at = datetime(2009, 11, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    found = period_at(ST_JOHNS, datetime(2009, 1, 1, tzinfo=UTC), at)
    assert found.starts_at <= at < found.ends_at


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (29, ["01-29", "02-28", "03-29", "04-29", "05-29"]),
        (30, ["01-30", "02-28", "03-30", "04-30", "05-30"]),
        (31, ["01-31", "02-28", "03-31", "04-30", "05-31"]),
    ],
)
def test_an_anniversary_late_in_the_month_comes_back(day, expected):
    anchor = datetime(2026, 1, day, 15, 30, tzinfo=UTC)
    found = days_of(interval(anchor="Anniversary"), anchor, 5)
    assert found == [f"2026-{day}" for day in expected]


def test_a_birthday_on_the_leap_day_is_on_the_28th_in_other_years():
    anchor = datetime(2024, 2, 29, tzinfo=UTC)
    found = days_of(interval("Year", anchor="Anniversary"), anchor, 5)
    assert found == ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]


def test_quarters_begin_in_january_april_july_and_october():
    anchor = datetime(2026, 2, 10, tzinfo=UTC)
    found = days_of(interval(count=3), anchor, 5)
    assert found == ["2026-02-10", "2026-04-01", "2026-07-01", "2026-10-01", "2027-01-01"]
    first = period_at(interval(count=3), anchor, anchor)
    assert first.nominal_starts_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_weeks_begin_on_monday():
    found = days_of(interval("Week"), datetime(2026, 1, 1, tzinfo=UTC), 4)
    assert found == ["2026-01-01", "2026-01-05", "2026-01-12", "2026-01-19"]


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)]
)
@pytest.mark.parametrize("anchor", ["Calendar", "Anniversary"])
def test_a_day_is_as_long_as_its_clock_says(day, hours, anchor):
    zone = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 1, 1, tzinfo=zone).astimezone(UTC)
    at = datetime(day.year, day.month, day.day, 12, tzinfo=zone).astimezone(UTC)
    found = period_at(interval("Day", anchor=anchor, zone="Europe/Berlin"), first, at)
    assert found.ends_at - found.starts_at == timedelta(hours=hours)


def test_a_time_that_a_clock_skips_comes_as_much_later():
    zone = ZoneInfo("Europe/Berlin")
    anchor = datetime(2026, 2, 28, 2, 30, tzinfo=zone).astimezone(UTC)
    made = interval("Day", anchor="Anniversary", zone="Europe/Berlin")
    found = period_at(made, anchor, datetime(2026, 3, 29, 12, tzinfo=UTC))
    assert found.starts_at.astimezone(zone).isoformat() == "2026-03-29T03:30:00+02:00"
    following = period_after(made, anchor, found)
    assert following.starts_at.astimezone(zone).isoformat() == "2026-03-30T02:30:00+02:00"


def test_half_hours_of_a_zone_are_kept():
    made = interval(zone="Asia/Kolkata")
    found = period_at(made, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 15, tzinfo=UTC))
    assert found.starts_at == datetime(2026, 1, 31, 18, 30, tzinfo=UTC)
    assert last_local_date(found, "Asia/Kolkata") == date(2026, 2, 28)


def test_a_period_is_cut_where_its_subscription_ends():
    found = period_at(
        interval(), datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 9, tzinfo=UTC)
    )
    end = datetime(2026, 1, 20, tzinfo=UTC)
    assert found.until(end).ends_at == end
    assert found.until(end).nominal_ends_at == found.ends_at
    assert found.until(None) == found == found.until(datetime(2026, 3, 1, tzinfo=UTC))
