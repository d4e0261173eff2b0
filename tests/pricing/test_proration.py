"""Proration: real calendars, half-open days, and parts that add up to the whole.

Regressions of others' billing systems: a day too many, thirty days for every month, the last day
of a month lost, hours counted where clocks change.
"""

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from billplane.pricing.domain import Period, calendar_period, rate_period, share_of
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pricing.oracle import half_up
from tests.pricing.plans import FEBRUARY, JANUARY, at, exact, fee, plan

DAY = timedelta(days=1)
ARREARS = {"billed": "InArrears"}


def rate(spec, starts_at=JANUARY, ends_at=FEBRUARY, **fields):
    return rate_period(spec, starts_at=starts_at, ends_at=ends_at, usage={}, **fields)


def amounts(lines):
    return [(line.charge, line.amount_minor) for line in lines]


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "minor"),
    [
        ("2026-01-01T00Z", "2026-02-01T00Z", 3100),
        ("2026-01-15T00Z", "2026-02-01T00Z", 1700),
        ("2026-01-31T00Z", "2026-02-01T00Z", 100),
        ("2026-01-01T00Z", "2026-01-02T00Z", 100),
        ("2026-01-15T14:30Z", "2026-02-01T00Z", 1700),
        ("2026-01-01T00Z", "2026-01-15T14:30Z", 1400),
    ],
)
def test_a_partial_month_pays_for_its_days_of_a_month_of_its_real_length(starts_at, ends_at, minor):
    lines = rate(plan(fee("31.00", **ARREARS)), at(starts_at), at(ends_at))

    assert amounts(lines) == [("platform", minor)]


@pytest.mark.parametrize(
    ("first", "days"),
    [("2026-02-01", 28), ("2024-02-01", 29), ("2026-04-01", 30), ("2026-12-01", 31)],
)
def test_the_denominator_is_the_length_of_that_month(first, days):
    starts_at = datetime.fromisoformat(first).replace(tzinfo=UTC)
    monthly = fee("100.00", **ARREARS)

    (line,) = rate(plan(monthly), starts_at, starts_at + DAY)

    assert line.exact_amount == exact(Fraction(100, days))
    assert line.detail == {"billed": "InArrears", "days": 1, "whole_days": days}
    assert line.description == f"platform (1 of {days} days)"


def test_a_period_from_one_month_end_to_the_next_is_whole():
    anniversary = plan(fee("30.00", **ARREARS), interval={"anchor": "Anniversary"})
    whole = Period(at("2026-01-31T00Z"), at("2026-02-28T00Z"))

    (line,) = rate(anniversary, whole.starts_at, whole.ends_at, nominal=whole)
    (half,) = rate(anniversary, at("2026-02-14T00Z"), whole.ends_at, nominal=whole)

    assert (line.amount_minor, half.amount_minor) == (3000, 1500)


def test_days_are_those_of_the_wall_calendar_in_the_plans_zone():
    berlin = plan(
        fee("31.00", **ARREARS),
        interval={"anchor": "Calendar", "timeZone": "Europe/Berlin"},
    )
    # Half past midnight on 15 January in Berlin, still the 14th in UTC.
    starts_at, ends_at = at("2026-01-14T23:30Z"), at("2026-02-01T00:00+01:00")

    (line,) = rate(berlin, starts_at, ends_at)

    assert line.amount_minor == 1700


def test_the_month_in_which_clocks_change_counts_days_and_not_hours():
    berlin = plan(
        fee("31.00", **ARREARS),
        interval={"anchor": "Calendar", "timeZone": "Europe/Berlin"},
    )
    # 743 hours long; the 29th has 23 of them.
    starts_at, ends_at = at("2026-03-29T00:00+01:00"), at("2026-04-01T00:00+02:00")

    (line,) = rate(berlin, starts_at, ends_at)

    assert line.amount_minor == 300


ZONES = st.sampled_from(["Etc/UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"])


@given(
    zone=ZONES,
    start=st.integers(0, 30 * 365 * 86400),
    length=st.timedeltas(timedelta(days=2), timedelta(days=800)),
    cuts=st.lists(st.fractions(0, 1), max_size=6),
)
@settings(deadline=None)
def test_the_parts_of_a_period_add_up_to_it_wherever_it_is_cut(zone, start, length, cuts):
    starts_at = at("2000-01-01T00Z") + timedelta(seconds=start)
    whole = Period(starts_at, starts_at + length)
    seconds = int(length.total_seconds())
    offsets = sorted({0, seconds, *(int(cut * seconds) for cut in cuts)})
    marks = [starts_at + timedelta(seconds=offset) for offset in offsets]
    marks[-1] = whole.ends_at
    parts = [Period(*pair) for pair in pairwise(marks)]

    shares = [share_of(part, whole, ZoneInfo(zone)) for part in parts]

    assert sum(shares) == 1
    assert all(0 <= share <= 1 for share in shares)


@pytest.mark.parametrize(
    ("interval", "moment", "first", "last"),
    [
        ({"unit": "Month"}, "2026-12-31T23:59Z", "2026-12-01", "2027-01-01"),
        ({"unit": "Month", "count": 3}, "2026-05-31T00Z", "2026-04-01", "2026-07-01"),
        ({"unit": "Year"}, "2024-02-29T12Z", "2024-01-01", "2025-01-01"),
        ({"unit": "Week"}, "2026-01-01T00Z", "2025-12-29", "2026-01-05"),
        ({"unit": "Day"}, "2026-03-29T12Z", "2026-03-29", "2026-03-30"),
    ],
)
def test_calendar_periods_begin_where_people_expect(interval, moment, first, last):
    spec = plan(fee("1"), interval={"anchor": "Calendar", **interval})

    period = calendar_period(spec.interval, at(moment))

    assert (period.starts_at, period.ends_at) == (at(f"{first}T00Z"), at(f"{last}T00Z"))


TEN_YEARS = range(2016, 2026)
SIX_ZONES = [
    "Etc/UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
]


def days_between(first, last, zone):
    """Count by walking: one for each local date from the first instant's to before the last's."""
    day, end = first.astimezone(zone).date(), last.astimezone(zone).date()
    count = 0
    while day < end:
        day += DAY
        count += 1
    return count


@pytest.mark.parametrize("name", SIX_ZONES)
def test_ten_years_of_parts_pay_for_the_days_that_somebody_counts_one_by_one(name):
    zone, dice = ZoneInfo(name), random.Random(name)
    spec = plan(
        fee("97.31", **ARREARS),
        interval={"anchor": "Calendar", "timeZone": name},
        minimumCommitment="200",
    )
    for year in TEN_YEARS:
        for month in range(1, 13):
            first = datetime(year, month, 1, tzinfo=zone).astimezone(UTC)
            last = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone).astimezone(UTC)
            whole = days_between(first, last, zone)
            seconds = int((last - first).total_seconds())
            cuts = sorted(dice.sample(range(1, seconds), 2))
            marks = [first, *(first + timedelta(seconds=cut) for cut in cuts), last]
            total = Fraction(0)
            for starts_at, ends_at in pairwise(marks):
                days = days_between(starts_at, ends_at, zone)
                lines = {line.charge: line for line in rate(spec, starts_at, ends_at)}
                paid = lines["platform"].exact_amount if days else 0
                assert paid == exact(Fraction("97.31") * days / whole)
                minor = sum(line.amount_minor for line in lines.values())
                assert minor == half_up(Fraction(200 * days, whole))
                total += Fraction(days, whole)
            assert total == 1
