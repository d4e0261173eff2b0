"""Time of use and demand: local hours, holidays, daylight saving, and three readings of tiers."""

from datetime import timedelta
from decimal import Decimal

import pytest
from billplane.pricing.errors import UsageWindowMismatch
from billplane.resources import Window, usage_queries
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pricing import oracle
from tests.pricing.plans import (
    JANUARY,
    LANES,
    at,
    exact,
    plan,
    priced,
    rate_usage,
    row,
)

HOUR = timedelta(hours=1)
SCOPES = ["PerPeriod", "MonthProRata", "Chronological"]


def grid(hours):
    return [list(hours) for _ in range(12)]


def peak_from_8_to_20(**fields):
    hours = [1 if 8 <= hour < 20 else 0 for hour in range(24)]
    return {
        "timeZone": "America/New_York",
        "periods": [
            {"name": "off-peak", "unitAmount": "0.10"},
            {"name": "peak", "unitAmount": "0.30"},
        ],
        "weekday": grid(hours),
        "weekend": grid([0] * 24),
    } | fields


def one_line(model, rows, **fields):
    (line,) = rate_usage(priced(model), rows, **fields)
    return line


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("local", "period"),
    [
        ("2026-01-05T07:00-05:00", "off-peak"),
        ("2026-01-05T08:00-05:00", "peak"),
        ("2026-01-05T19:00-05:00", "peak"),
        ("2026-01-05T20:00-05:00", "off-peak"),
        ("2026-01-10T12:00-05:00", "off-peak"),
        ("2026-01-19T12:00-05:00", "off-peak"),
        ("2026-01-20T12:00-05:00", "peak"),
    ],
)
def test_the_local_hour_weekends_and_holidays_decide_the_period(lane, local, period):
    model = peak_from_8_to_20(holidays=["2026-01-19"])

    line = one_line({"timeOfUse": model}, [row("2", at(local))], lane=lane)

    assert [part["name"] for part in line.detail["periods"]] == [period]


@pytest.mark.parametrize("lane", LANES)
def test_the_hour_that_daylight_saving_repeats_is_billed_twice_and_the_skipped_one_never(lane):
    night = [1 if hour == 2 else 0 for hour in range(24)]
    model = {
        "timeZone": "Europe/Berlin",
        "periods": [{"name": "day", "unitAmount": "1"}, {"name": "at-two", "unitAmount": "100"}],
        "weekday": grid(night),
        "weekend": grid(night),
    }

    def day(first, hours):
        rows = [row("1", first + hour * HOUR) for hour in range(hours)]
        line = one_line({"timeOfUse": model}, rows, lane=lane)
        return {part["name"]: part["quantity"] for part in line.detail["periods"]}

    usual, autumn = at("2026-06-01T00:00+02:00"), at("2026-10-25T00:00+02:00")
    spring = at("2026-03-29T00:00+01:00")

    assert day(usual, 24) == {"day": "23", "at-two": "1"}
    assert day(autumn, 25) == {"day": "23", "at-two": "2"}
    assert day(spring, 23) == {"day": "23"}


def test_zones_off_the_hour_are_priced_from_quarter_hours_and_refuse_hours_over_a_change():
    model = peak_from_8_to_20(timeZone="Asia/Kolkata")
    charge = priced({"timeOfUse": model})
    (query,) = usage_queries(plan(charge), starts_at=JANUARY, ends_at=JANUARY + 31 * 24 * HOUR)
    before_eight = at("2026-01-05T07:45+05:30")

    assert query.window is Window.QUARTER_HOUR
    line = one_line({"timeOfUse": model}, [row("4", before_eight, seconds=900)])
    assert line.exact_amount == Decimal("0.4")
    with pytest.raises(UsageWindowMismatch):
        one_line({"timeOfUse": model}, [row("4", at("2026-01-05T07:30+05:30"))])


def test_hours_are_enough_where_the_offset_is_whole_hours():
    charge = priced({"timeOfUse": peak_from_8_to_20()})

    (query,) = usage_queries(plan(charge), starts_at=JANUARY, ends_at=JANUARY + 31 * 24 * HOUR)

    assert (query.window, query.time_zone) == (Window.HOUR, "America/New_York")


def tiered(scope):
    off_peak = [{"upTo": "500", "unitAmount": "0.10"}, {"unitAmount": "0.20"}]
    peak = [{"upTo": "500", "unitAmount": "0.30"}, {"unitAmount": "0.50"}]
    return peak_from_8_to_20(
        periods=[{"name": "off-peak", "tiers": off_peak}, {"name": "peak", "tiers": peak}],
        tierScope=scope,
    )


# 600 off peak on the first Monday's night and 200 at its noon, or the other way round.
NIGHT, NOON = at("2026-01-05T03:00-05:00"), at("2026-01-05T12:00-05:00")
NEXT_NIGHT = at("2026-01-06T03:00-05:00")


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("scope", "first", "amount"),
    [
        # 500 x 0.10 + 100 x 0.20, and 200 x 0.30: each period fills tiers of its own.
        ("PerPeriod", "night", "130"),
        ("PerPeriod", "noon", "130"),
        # 5/8 of either in the first tier: 375 x 0.10 + 225 x 0.20 + 125 x 0.30 + 75 x 0.50.
        ("MonthProRata", "night", "157.5"),
        ("MonthProRata", "noon", "157.5"),
        # The night fills the tier, so all of noon is in the second: 50 + 20 + 200 x 0.50.
        ("Chronological", "night", "170"),
        # Noon comes first: 200 x 0.30, then 300 x 0.10 + 300 x 0.20.
        ("Chronological", "noon", "150"),
    ],
)
def test_tiers_with_time_of_use_have_three_readings(lane, scope, first, amount):
    rows = [row("200", NOON), row("600", NIGHT if first == "night" else NEXT_NIGHT)]

    line = one_line({"timeOfUse": tiered(scope)}, rows, lane=lane)

    assert line.exact_amount == Decimal(amount)
    assert line.detail["tier_scope"] == scope
    assert line.quantity == 800


def test_pro_rata_tiers_price_usage_that_nets_to_nothing_at_the_first_tier():
    rows = [row("200", NOON), row("-200", NIGHT)]

    line = one_line({"timeOfUse": tiered("MonthProRata")}, rows)

    assert line.exact_amount == 200 * Decimal("0.30") - 200 * Decimal("0.10")


PRICES = st.decimals("0", "9", places=4).map(lambda value: format(value, "f"))


@st.composite
def tariffs(draw, scope):
    periods = []
    for number in range(draw(st.integers(1, 3))):
        ends = sorted(draw(st.sets(st.decimals("0.0000001", "900", places=7), max_size=3)))
        tiers = [{"upTo": format(end, "f"), "unitAmount": draw(PRICES)} for end in ends]
        tiers.append({"unitAmount": draw(PRICES), "flatAmount": draw(PRICES)})
        periods.append({"name": f"p{number}", "tiers": tiers})
    hours = st.lists(st.integers(0, len(periods) - 1), min_size=24, max_size=24)
    return {
        "timeZone": draw(st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata"])),
        "periods": periods,
        "weekday": grid(draw(hours)),
        "weekend": grid(draw(hours)),
        "tierScope": scope,
    }


@st.composite
def quarter_hours(draw, lowest):
    # Around the last Sunday of March, when Berlin changes its clocks.
    quarters = draw(st.lists(st.integers(0, 4 * 96), max_size=25, unique=True))
    start = at("2026-03-27T00:00Z")
    return [
        row(
            draw(st.decimals(lowest, "400", places=6)),
            start + timedelta(minutes=15 * quarter),
            seconds=900,
            dimensions={"meter": draw(st.sampled_from("ab"))},
        )
        for quarter in quarters
    ]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("lane", LANES)
@given(data=st.data(), rows=quarter_hours("0"), group_by=st.sampled_from([(), ("meter",)]))
@settings(max_examples=40, deadline=None)
def test_each_reading_of_tiers_agrees_with_the_oracle(scope, lane, data, rows, group_by):
    charge = priced({"timeOfUse": data.draw(tariffs(scope))}, groupBy=list(group_by))

    lines = rate_usage(charge, rows, dimensions=group_by, lane=lane)

    expected = oracle.amounts(charge["usage"], rows)
    assert [line.exact_amount for line in lines] == [
        exact(expected[group]) for group in sorted(expected)
    ]


@pytest.mark.parametrize("scope", SCOPES)
@given(data=st.data(), rows=quarter_hours("-400"))
@settings(max_examples=40, deadline=None)
def test_energy_given_back_leaves_the_tiers_as_it_came(scope, data, rows):
    charge = priced({"timeOfUse": data.draw(tariffs(scope))})
    expected = oracle.amounts(charge["usage"], rows)

    lines = rate_usage(charge, rows)

    assert [line.exact_amount for line in lines] == [exact(amount) for amount in expected.values()]


@st.composite
def demands(draw):
    count = draw(st.integers(1, 3))
    hours = st.lists(st.integers(0, count - 1), min_size=24, max_size=24)
    return {
        "timeZone": draw(st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata"])),
        "window": draw(st.sampled_from(["15m", "30m", "60m"])),
        "periods": [{"name": f"p{number}", "unitAmount": draw(PRICES)} for number in range(count)],
        "weekday": grid(draw(hours)),
        "weekend": grid(draw(hours)),
    }


@pytest.mark.parametrize("lane", LANES)
@given(model=demands(), rows=quarter_hours("0"), group_by=st.sampled_from([(), ("meter",)]))
@settings(max_examples=40, deadline=None)
def test_demand_is_the_highest_average_of_a_window_in_each_period(lane, model, rows, group_by):
    charge = priced({"demand": model}, groupBy=list(group_by))

    lines = rate_usage(charge, rows, dimensions=group_by, lane=lane)

    expected = oracle.amounts(charge["usage"], rows)
    assert [line.exact_amount for line in lines] == [
        exact(expected[group]) for group in sorted(expected)
    ]


def test_a_quarter_hour_of_one_kilowatt_hour_is_a_demand_of_four_kilowatts():
    model = peak_from_8_to_20()
    rows = [row("1", NOON, seconds=900), row("0.9", NOON + HOUR, seconds=900)]

    line = one_line({"demand": model}, rows)

    assert (line.quantity, line.exact_amount) == (4, Decimal("1.2"))


@pytest.mark.parametrize("lane", LANES)
def test_hourly_readings_tell_the_demand_of_an_hour_and_of_nothing_shorter(lane):
    hourly, shorter = peak_from_8_to_20(window="60m"), peak_from_8_to_20(window="30m")
    rows = [row("3", NOON), row("5", NOON + HOUR), row("4", NIGHT)]

    line = one_line({"demand": hourly}, rows, lane=lane)

    assert (line.quantity, line.exact_amount) == (5, 5 * Decimal("0.3") + 4 * Decimal("0.1"))
    with pytest.raises(UsageWindowMismatch):
        one_line({"demand": shorter}, rows, lane=lane)


def test_an_hour_of_demand_begins_on_the_local_hour_and_holidays_follow_the_weekend():
    model = peak_from_8_to_20(timeZone="Asia/Kolkata", window="60m", holidays=["2026-01-26"])
    before, after = at("2026-01-05T07:45+05:30"), at("2026-01-05T08:00+05:30")
    rows = [row("1", before, seconds=900), row("3", after, seconds=900)]

    line = one_line({"demand": model}, rows)
    holiday = one_line({"demand": model}, [row("3", at("2026-01-26T12:00+05:30"), seconds=900)])

    assert line.exact_amount == Decimal("0.1") + 3 * Decimal("0.3")
    assert holiday.exact_amount == 3 * Decimal("0.1")
