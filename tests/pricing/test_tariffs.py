"""Households' and businesses' tariffs over a year of readings, against an engine of plain loops."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from billplane.pricing.domain import UsageLists, columns_from_lists, rate_period
from billplane.resources import BillingPlanSpec, Window, usage_queries

from tests.pricing import tariffs
from tests.pricing.oracle import half_up

YEAR = 2025
CASES = [
    ("America/New_York", 15),
    ("America/Los_Angeles", 60),
    ("Europe/Berlin", 60),
    ("Asia/Kolkata", 15),
]
STEPS = {Window.HOUR: 3600, Window.QUARTER_HOUR: 900}


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def metered(request):
    """Give a zone, the minutes between readings, and a year of them."""
    zone, minutes = request.param
    return zone, minutes, list(tariffs.readings(zone, YEAR, minutes))


def month(zone, number):
    """Give the instants at which a local month begins and ends."""
    local = ZoneInfo(zone)
    first = datetime(YEAR, number, 1, tzinfo=local)
    following = datetime(YEAR + number // 12, number % 12 + 1, 1, tzinfo=local)
    return first.astimezone(UTC), following.astimezone(UTC)


def as_metering_returns(query, readings, starts_at, ends_at):
    """Add readings up by the window that a query asks for."""
    sums, counts = defaultdict(int), defaultdict(int)
    whole = int((ends_at - starts_at).total_seconds())
    for reading in readings:
        if starts_at <= reading.starts_at < ends_at:
            at = int(reading.starts_at.timestamp())
            step = STEPS.get(query.window, whole)
            start = int(starts_at.timestamp()) if step == whole else at - at % step
            sums[start, step] += reading.energy
            counts[start, step] += 1
    spans = sorted(sums)
    return UsageLists(
        starts_at=[start for start, _ in spans],
        seconds=[step for _, step in spans],
        quantity=[f"{sums[span] // 1000}.{sums[span] % 1000:03}" for span in spans],
        event_count=[counts[span] for span in spans],
        dimensions=[],
        properties=[],
    )


@pytest.mark.parametrize("name", tariffs.TARIFFS)
def test_a_year_of_a_tariff_comes_to_what_plain_loops_come_to(name, metered):
    zone, minutes, readings = metered
    tariff = tariffs.TARIFFS[name]
    if minutes > tariff.demand_minutes:
        # A meter that is read by the hour knows peaks of an hour.
        tariff = replace(tariff, demand_minutes=minutes)
    spec = BillingPlanSpec.parse(tariffs.as_plan(tariff, zone))
    for number, expected in tariffs.monthly(tariff, readings).items():
        starts_at, ends_at = month(zone, number)
        usage = {
            query.charge: columns_from_lists(
                as_metering_returns(query, readings, starts_at, ends_at)
            )
            for query in usage_queries(spec, starts_at=starts_at, ends_at=ends_at)
        }

        lines = rate_period(spec, starts_at=starts_at, ends_at=ends_at, usage=usage)

        found = {line.charge: line for line in lines}
        for charge in ("fixed", "energy", "demand"):
            amount = expected.get(charge, Fraction(0))
            line = found.get(charge)
            # A share of a tier may never end as a decimal; 100 digits of it are kept.
            assert abs(Fraction(line.exact_amount if line else 0) - amount) < Fraction(1, 10**90)
            assert (line.amount_minor if line else 0) == half_up(amount)
        total = sum(line.amount_minor for line in lines)
        # Every line is rounded once, so a bill is within half a cent a line of the exact sum.
        assert abs(Fraction(total, 100) - sum(expected.values())) <= Fraction(len(lines), 200)
        if sum(Fraction(part) for part in expected.values()) == Fraction(tariff.minimum):
            assert total == half_up(Fraction(tariff.minimum))


def test_the_readings_are_a_whole_year_and_need_every_tier_and_the_minimum(metered):
    _zone, minutes, readings = metered
    assert len(readings) == 8760 * 60 // minutes
    bills = tariffs.monthly(tariffs.TARIFFS["half-hour demand and a minimum"], readings)
    assert {bool(bill["minimum"]) for bill in bills.values()} == {True, False}
    for month_number in bills:
        used = sum(item.energy for item in readings if item.clock.month == month_number)
        assert used > 700_000
