"""Every charge model against the slow oracle, in both lanes of columns."""

from datetime import timedelta
from decimal import Decimal

import pytest
from billplane.money import MINOR_MAX
from billplane.pricing.errors import AmountTooLarge
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pricing import oracle
from tests.pricing.plans import JANUARY, LANES, exact, priced, rate_usage, row

AIRPORTS = st.sampled_from(["EWR", "JFK", "LGA", "*"])
CARRIERS = st.sampled_from(["UA", "B6", "DL"])
DIMENSIONS = st.fixed_dictionaries({"airport": AIRPORTS, "carrier": CARRIERS})
PRICES = st.decimals("0", "9999", places=6).map(lambda value: format(value, "f"))
ENDS = st.lists(
    st.decimals("0.000001", "100000", places=6), min_size=0, max_size=4, unique=True
).map(sorted)
QUANTITIES = st.one_of(
    st.decimals("-50", "120000", places=6),
    st.integers(0, 200).map(Decimal),
    # Twelve digits before the point: a sum of ten such no longer fits 64 bits of millionths.
    st.decimals("900000000000", "999999999999.999999", places=6),
)


@st.composite
def tiers(draw, price="unitAmount"):
    listed = [{"upTo": format(end, "f"), price: draw(PRICES)} for end in draw(ENDS)]
    listed.append({price: draw(PRICES)})
    for tier in listed:
        if draw(st.booleans()):
            tier["flatAmount"] = draw(PRICES)
    return listed


@st.composite
def rows(draw, max_size=30, quantities=QUANTITIES):
    hours = draw(st.lists(st.integers(0, 743), max_size=max_size))
    return [
        row(
            draw(quantities),
            JANUARY + timedelta(hours=hour),
            dimensions=draw(DIMENSIONS),
        )
        for hour in hours
    ]


GROUPS = st.sampled_from([(), ("airport",), ("carrier", "airport")])
PERIOD_MODELS = st.one_of(
    st.fixed_dictionaries({"flat": st.fixed_dictionaries({"amount": PRICES})}),
    st.fixed_dictionaries({"perUnit": st.fixed_dictionaries({"unitAmount": PRICES})}),
    st.fixed_dictionaries({"graduated": st.fixed_dictionaries({"tiers": tiers()})}),
    st.fixed_dictionaries({"volume": st.fixed_dictionaries({"tiers": tiers()})}),
    st.fixed_dictionaries({"graduatedPercentage": st.fixed_dictionaries({"tiers": tiers("rate")})}),
    st.fixed_dictionaries(
        {
            "package": st.fixed_dictionaries(
                {
                    "size": st.decimals("0.5", "5000", places=3).map(str),
                    "amount": PRICES,
                    "freeUnits": st.decimals("0", "100", places=2).map(str),
                }
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "capacity": st.fixed_dictionaries(
                {
                    "included": PRICES,
                    "amount": PRICES,
                    "overage": st.fixed_dictionaries({"unitAmount": PRICES}),
                }
            )
        }
    ),
)


def assert_agrees(charge, used, dimensions, lane):
    expected = oracle.amounts(charge["usage"], used)
    if not used and "capacity" in charge["usage"]["model"] and not dimensions:
        expected = {(): oracle.amounts(charge["usage"], [row("0")])[()]}
    if any(abs(oracle.half_up(amount)) > MINOR_MAX for amount in expected.values()):
        with pytest.raises(AmountTooLarge):
            rate_usage(charge, used, dimensions=dimensions, lane=lane)
        return
    lines = rate_usage(charge, used, dimensions=dimensions, lane=lane)
    assert [line.exact_amount for line in lines] == [
        exact(expected[group]) for group in sorted(expected)
    ]
    assert [line.amount_minor for line in lines] == [
        oracle.half_up(expected[group]) for group in sorted(expected)
    ]


@pytest.mark.parametrize("lane", LANES)
@given(model=PERIOD_MODELS, used=rows(), group_by=GROUPS)
@settings(max_examples=120, deadline=None)
def test_a_quantity_costs_what_walking_over_it_row_by_row_gives(lane, model, used, group_by):
    charge = priced(model, groupBy=list(group_by))

    assert_agrees(charge, used, group_by, lane)


@st.composite
def matrices(draw):
    count = draw(st.integers(1, 2))
    values = st.tuples(*[AIRPORTS, st.one_of(CARRIERS, st.just("*"))][:count])
    cell = st.tuples(values, PRICES)
    cells = draw(st.lists(cell, min_size=1, max_size=8, unique_by=lambda cell: cell[0]))
    return {
        "dimensions": ["airport", "carrier"][:count],
        "cells": [{"values": list(cell), "unitAmount": price} for cell, price in cells],
        "default": {"unitAmount": draw(PRICES)},
    }


@pytest.mark.parametrize("lane", LANES)
@given(model=matrices(), used=rows(), group_by=st.sampled_from([(), ("carrier",)]))
@settings(max_examples=60, deadline=None)
def test_the_most_specific_cell_of_a_matrix_prices_each_unit(lane, model, used, group_by):
    charge = priced({"matrix": model}, groupBy=list(group_by))
    dimensions = [*group_by, *(name for name in model["dimensions"] if name not in group_by)]

    assert_agrees(charge, used, dimensions, lane)


@st.composite
def percentages(draw):
    model = {"rate": format(draw(st.decimals("0", "0.2", places=4)), "f")}
    if draw(st.booleans()):
        model["fixedAmount"] = draw(PRICES)
    amounts = st.decimals("0", "500", places=2)
    bounds = sorted(draw(st.tuples(amounts, amounts)))
    for name, bound in zip(("minimum", "maximum"), bounds, strict=True):
        if draw(st.booleans()):
            model[name] = format(bound, "f")
    model["freeEvents"] = draw(st.integers(0, 4))
    return model


@pytest.mark.parametrize("lane", LANES)
@given(model=percentages(), used=rows(), group_by=GROUPS)
@settings(max_examples=80, deadline=None)
def test_each_event_pays_its_share_within_bounds_after_the_free_ones(lane, model, used, group_by):
    charge = priced({"percentage": model}, groupBy=list(group_by))

    assert_agrees(charge, used, group_by, lane)


@pytest.mark.parametrize("lane", LANES)
@given(
    prices=st.lists(st.decimals("-99999", "99999", places=9), min_size=1, max_size=12),
    group_by=GROUPS,
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_a_dynamic_price_is_the_sum_of_what_the_events_carry(lane, prices, group_by, data):
    used = [row("1", dimensions=data.draw(DIMENSIONS), amount=price) for price in prices]
    charge = priced({"dynamic": {"amountProperty": "$.amount"}}, groupBy=list(group_by))

    assert_agrees(charge, used, group_by, lane)


def one_amount(model, quantity):
    (line,) = rate_usage(priced(model), [row(quantity)])
    return line.exact_amount, line.amount_minor


TIERS = {"tiers": [{"upTo": "100", "unitAmount": "0.5", "flatAmount": "3"}, {"unitAmount": "0.25"}]}


@pytest.mark.parametrize(
    ("model", "quantity", "amount"),
    [
        ({"graduated": TIERS}, "100", "53"),
        ({"graduated": TIERS}, "100.000001", "53.00000025"),
        ({"volume": TIERS}, "100", "53"),
        ({"volume": TIERS}, "100.000001", "25.00000025"),
        ({"package": {"size": "10", "amount": "2", "freeUnits": "5"}}, "15", "2"),
        ({"package": {"size": "10", "amount": "2", "freeUnits": "5"}}, "15.000001", "4"),
        ({"package": {"size": "10", "amount": "2"}}, "0.000001", "2"),
        ({"graduated": TIERS}, "-4", "-2"),
    ],
)
def test_a_tier_and_a_package_end_exactly_where_they_say(model, quantity, amount):
    assert one_amount(model, quantity)[0] == Decimal(amount)


@pytest.mark.parametrize(
    ("unit_amount", "quantity", "minor"),
    [
        ("0.0004", "1", 0),
        ("0.005", "1", 1),
        ("0.005", "3", 2),
        ("1.005", "1", 101),
        ("2.675", "1", 268),
        ("0.000001", "4999.999999", 0),
        ("0.000001", "5000", 1),
        ("0.1", "0.3", 3),
    ],
)
def test_fractions_of_a_cent_are_kept_until_the_line_is_rounded_half_up(
    unit_amount, quantity, minor
):
    assert one_amount({"perUnit": {"unitAmount": unit_amount}}, quantity)[1] == minor


def test_tiers_are_not_rounded_one_by_one():
    tiered = {"tiers": [{"upTo": "1", "unitAmount": "0.004"}, {"unitAmount": "0.004"}]}

    assert one_amount({"graduated": tiered}, "2") == (Decimal("0.008"), 1)


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        # A third of a unit, where 3 % of it meets the minimum, is no whole number of millionths.
        ("0.333333", "0.01"),
        ("0.333334", "0.01000002"),
        ("2.333333", "0.06999999"),
        ("2.333334", "0.07"),
    ],
)
def test_the_bounds_of_an_event_hold_to_the_last_millionth(lane, quantity, amount):
    model = {"percentage": {"rate": "0.03", "minimum": "0.01", "maximum": "0.07"}}

    (line,) = rate_usage(priced(model), [row(quantity)], lane=lane)

    assert line.exact_amount == Decimal(amount)


def test_a_cell_that_names_the_first_dimension_goes_before_one_that_names_the_second():
    model = {
        "dimensions": ["airport", "carrier"],
        "cells": [
            {"values": ["*", "*"], "unitAmount": "1"},
            {"values": ["*", "UA"], "unitAmount": "2"},
            {"values": ["JFK", "*"], "unitAmount": "3"},
            {"values": ["JFK", "DL"], "unitAmount": "4"},
        ],
        "default": {"unitAmount": "9"},
    }
    used = [
        row("1", dimensions={"airport": airport, "carrier": carrier})
        for airport, carrier in [("JFK", "UA"), ("JFK", "DL"), ("EWR", "UA"), ("EWR", "B6")]
    ]

    (line,) = rate_usage(priced({"matrix": model}), used, dimensions=model["dimensions"])

    assert line.exact_amount == 3 + 4 + 2 + 1
    assert line.detail["cells"][0] == {
        "values": ["*", "*"],
        "quantity": "1",
        "unit_amount": "1",
        "amount": "1",
    }


def test_usage_that_adds_up_to_nothing_has_no_line():
    assert rate_usage(priced({"perUnit": {"unitAmount": "2"}}), [row("5"), row("-5")]) == []
    assert rate_usage(priced({"perUnit": {"unitAmount": "2"}}), []) == []


def test_a_flat_price_is_owed_once_for_a_period_with_usage():
    charge = priced({"flat": {"amount": "5"}})

    assert [line.amount_minor for line in rate_usage(charge, [row("3"), row("9")])] == [500]
    assert rate_usage(charge, []) == []


def test_reserved_capacity_is_owed_without_usage():
    model = {"capacity": {"included": "100", "amount": "80", "overage": {"unitAmount": "1.5"}}}

    assert [line.amount_minor for line in rate_usage(priced(model), [])] == [8000]
    assert one_amount(model, "102")[1] == 8300
