"""Bugs that others' rating was reported to have; each stays out by name."""

from datetime import UTC, datetime, timedelta

import pytest
from billplane.pricing.domain import Period, rate_period
from billplane.resources.billing_plan import Interval
from billplane.subscription.domain import period_after, period_at

from tests.pricing.plans import FEBRUARY, JANUARY, at, fee, plan, priced, rate_usage, row

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def _owed(starts_at, ends_at, amount="310.00", **fields):
    spec = plan(fee(amount, billed="InArrears"), **fields)
    (line,) = rate_period(spec, starts_at=starts_at, ends_at=ends_at, usage={})
    return line.amount_minor


def test_known_bug_a_proration_is_a_day_too_long():
    """Reported against Lago: the day of a change was paid in the old plan and in the new one."""
    for days in range(1, 31):
        changed = JANUARY + days * DAY
        before, after = _owed(JANUARY, changed), _owed(changed, FEBRUARY)
        assert (before, after) == (1000 * days, 1000 * (31 - days))


@pytest.mark.parametrize(("month", "length"), [(1, 31), (2, 28), (4, 30), (12, 31)])
def test_known_bug_a_proration_divides_by_the_wrong_number_of_days(month, length):
    """Reported against Lago: a day cost a part of thirty days, or of what was left of the month."""
    first = datetime(2026, month, 1, tzinfo=UTC)
    for day in (0, length - 1):
        starts_at = first + day * DAY
        assert _owed(starts_at, starts_at + DAY, f"{length}.00") == 100


def test_known_bug_the_last_day_of_a_month_is_lost():
    """Reported against Kill Bill: who began on a 31st was moved to the 28th, and stayed there."""
    monthly = Interval(unit="Month", count=1, anchor="Anniversary", timeZone="Etc/UTC")
    anchor = datetime(2026, 1, 31, tzinfo=UTC)
    period, found = period_at(monthly, anchor, anchor), []
    for _ in range(5):
        found.append(f"{period.starts_at:%m-%d}")
        following = period_after(monthly, anchor, period)
        assert following.starts_at == period.ends_at, "no day between two periods"
        period = following
    assert found == ["01-31", "02-28", "03-31", "04-30", "05-31"]
    whole = Period(at("2026-01-31T00Z"), at("2026-02-28T00Z"))
    spec = plan(fee("30.00", billed="InArrears"), interval={"anchor": "Anniversary"})
    (line,) = rate_period(
        spec, starts_at=whole.starts_at, ends_at=whole.ends_at, nominal=whole, usage={}
    )
    assert line.amount_minor == 3000


@pytest.mark.parametrize(
    ("unit_amount", "quantity", "minor"),
    [("0.0004", "1000", 40), ("0.004", "1", 0), ("0.00001", "1234567", 1235), ("0.005", "3", 2)],
)
def test_known_bug_fractions_of_a_cent_are_rounded_too_early(unit_amount, quantity, minor):
    """Reported against Kill Bill: a unit's price below a cent became none, or a whole one."""
    model = {"perUnit": {"unitAmount": unit_amount}}
    (line,) = rate_usage(priced(model), [row(quantity)])
    assert line.amount_minor == minor


def test_known_bug_the_hour_that_comes_twice_is_counted_once():
    """Reported against eemeter: where clocks go back, one of the two hours was dropped."""
    at_two = [1 if hour == 2 else 0 for hour in range(24)]
    model = {
        "timeZone": "Europe/Berlin",
        "periods": [{"name": "day", "unitAmount": "1"}, {"name": "at-two", "unitAmount": "100"}],
        "weekday": [at_two] * 12,
        "weekend": [at_two] * 12,
    }
    midnight = at("2026-10-25T00:00+02:00")
    rows = [row("1", midnight + hour * HOUR) for hour in range(25)]
    (line,) = rate_usage(priced({"timeOfUse": model}), rows)
    counted = {part["name"]: part["quantity"] for part in line.detail["periods"]}
    assert counted == {"day": "23", "at-two": "2"}
    assert line.amount_minor == 22_300
