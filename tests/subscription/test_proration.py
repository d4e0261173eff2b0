"""Proration and credits against a count of days by hand."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from billplane.subscription import domain
from hypothesis import given
from hypothesis import strategies as st

ZONES = ["Etc/UTC", "Europe/Vienna", "America/New_York", "Asia/Kolkata", "Pacific/Apia",
         "Australia/Lord_Howe"]  # fmt: skip
FIRST = datetime(2015, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 10 * 365 * 24 * 60).map(lambda found: FIRST + timedelta(minutes=found))


def by_hand(paid, starts_at, ends_at, at, zone):
    """Count every local day of the span, and those from the change on."""
    day, last = starts_at.astimezone(zone).date(), ends_at.astimezone(zone).date()
    change, whole, left = at.astimezone(zone).date(), 0, 0
    while day < last:
        whole += 1
        left += day >= change
        day += timedelta(days=1)
    if not whole:
        return 0
    exact = Fraction(paid * left, whole)
    rounded, rest = divmod(abs(exact), 1)
    total = int(rounded) + (rest >= Fraction(1, 2))
    return total if exact >= 0 else -total


@given(
    INSTANTS,
    st.integers(0, 400 * 24),
    st.integers(-48, 401 * 24),
    st.integers(-10_000, 10**9),
    st.sampled_from(ZONES),
)
def test_unused_time_is_counted_day_by_day(starts_at, hours, offset, paid, zone):
    ends_at, at = starts_at + timedelta(hours=hours), starts_at + timedelta(hours=offset)
    found = domain.unused_minor(paid, starts_at, ends_at, at, ZoneInfo(zone))
    assert found == by_hand(paid, starts_at, ends_at, at, ZoneInfo(zone))
    assert abs(found) <= abs(paid)


@given(st.lists(st.integers(-(10**6), -1), max_size=8), st.integers(-100, 10**6))
def test_credits_take_all_the_room_there_is_and_no_more(amounts, room):
    taken = domain.fitting(amounts, room)
    assert all(amount <= part <= 0 for amount, part in zip(amounts, taken, strict=True))
    assert -sum(taken) == min(max(room, 0), -sum(amounts))


@pytest.mark.parametrize("zone", ZONES)
def test_a_change_at_the_start_gives_all_back_and_at_the_end_nothing(zone):
    starts_at = datetime(2024, 2, 1, 12, tzinfo=UTC)
    ends_at = datetime(2024, 3, 1, 12, tzinfo=UTC)
    place = ZoneInfo(zone)
    assert domain.unused_minor(999, starts_at, ends_at, starts_at, place) == 999
    assert domain.unused_minor(999, starts_at, ends_at, ends_at, place) == 0


async def test_a_clock_moved_over_a_change_of_summer_time_bills_no_hour_twice(seller):
    meter = {"eventType": "call", "aggregation": "Count"}
    await seller.call("POST", "/v1/meters", {"name": "calls", "spec": meter}, 201)
    usage = {"meter": "calls", "model": {"perUnit": {"unitAmount": "1.00"}}}
    daily = {"unit": "Day", "anchor": "Calendar", "timeZone": "Europe/Vienna"}
    spec = {"currency": "EUR", "interval": daily, "charges": [{"name": "calls", "usage": usage}]}
    begins = datetime(2025, 10, 24, 22, tzinfo=UTC)  # midnight in Vienna, two days before
    await seller.sells(spec, now=begins.isoformat())
    await seller.subscribes()
    hours = [begins + timedelta(hours=number, minutes=30) for number in range(73)]
    events = [
        {
            "specversion": "1.0", "id": f"e{number}", "source": "t", "type": "call",
            "subject": "ada", "time": instant.isoformat(), "data": {},
        }
        for number, instant in enumerate(hours)
    ]  # fmt: skip
    await seller.call("POST", "/v1/usage_events", events, 202)
    for instant in ("2025-10-26T00:15:00Z", "2025-10-26T01:15:00Z", "2025-10-27T23:00:00Z"):
        await seller.until(instant)
        await seller.bills()
    assert await seller.amounts() == [24_00, 25_00, 24_00]
