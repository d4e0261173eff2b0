"""What no price may do: cost less for more, or something else in parts than at once."""

from datetime import timedelta
from decimal import Decimal

import pytest
from billplane.resources.charge_models import ChargeModel
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pricing import tariffs
from tests.pricing.plans import JANUARY, priced, rate_usage, row

TIERS = [
    {"upTo": "10", "unitAmount": "0.7"},
    {"upTo": "100.5", "unitAmount": "0.03", "flatAmount": "5"},
    {"unitAmount": "0.11"},
]
RATES = [{"upTo": "50", "rate": "0.05"}, {"rate": "0.01", "flatAmount": "1"}]
GRIDS = {"weekday": tariffs.PEAK, "weekend": tariffs.WEEKEND, "timeZone": "America/New_York"}
PERIODS = [{"name": f"p{slot}", "unitAmount": price} for slot, price in enumerate("231")]
CELLS = [
    {"values": ["eu", "*"], "unitAmount": "0.2"},
    {"values": ["*", "b"], "unitAmount": "0.07"},
]
MATRIX = {"dimensions": ["region", "kind"], "cells": CELLS, "default": {"unitAmount": "0.1"}}
PERCENTAGE = {"rate": "0.029", "fixedAmount": "0.3", "minimum": "0.5", "maximum": "9"}


def by_tiers(scope):
    periods = [{"name": f"p{slot}", "tiers": TIERS} for slot in range(3)]
    return {"timeOfUse": GRIDS | {"periods": periods, "tierScope": scope}}


ADDITIVE = {
    "perUnit": {"perUnit": {"unitAmount": "0.0123"}},
    "matrix": {"matrix": MATRIX},
    "percentage": {"percentage": PERCENTAGE},
    "dynamic": {"dynamic": {"amountProperty": "$.cost"}},
    "timeOfUse": {"timeOfUse": GRIDS | {"periods": PERIODS}},
}
MONOTONE = ADDITIVE | {
    "flat": {"flat": {"amount": "3"}},
    "graduated": {"graduated": {"tiers": TIERS}},
    "graduatedPercentage": {"graduatedPercentage": {"tiers": RATES}},
    "package": {"package": {"size": "7", "amount": "2", "freeUnits": "20"}},
    "capacity": {"capacity": {"included": "9", "amount": "4", "overage": {"unitAmount": "0.2"}}},
    "freeEvents": {"percentage": PERCENTAGE | {"freeEvents": 3}},
    "demand": {"demand": GRIDS | {"periods": PERIODS}},
    "tiersByPeriod": by_tiers("PerPeriod"),
    "tiersInTime": by_tiers("Chronological"),
}


@st.composite
def usage(draw, max_size=12):
    rows = []
    for _ in range(draw(st.integers(0, max_size))):
        quarter = draw(st.integers(0, 31 * 96 - 1))
        rows.append(
            row(
                draw(st.decimals("0", "60", places=6)),
                JANUARY + timedelta(minutes=15 * quarter),
                seconds=900,
                dimensions={
                    "region": draw(st.sampled_from(["eu", "us"])),
                    "kind": draw(st.sampled_from(["a", "b"])),
                },
                amount=draw(st.decimals("0", "9", places=4)),
            )
        )
    return rows


def cost(model, rows):
    """Return the exact amount of some usage, with the columns that the model asks for."""
    dimensions = ("region", "kind") if "matrix" in model else ()
    if "dynamic" not in model:
        rows = [row_without_amount(item) for item in rows]
    lines = rate_usage(priced(model), rows, dimensions=dimensions)
    return sum((line.exact_amount for line in lines), Decimal(0))


def row_without_amount(item):
    return row(item.quantity, item.starts_at, seconds=900, dimensions=item.dimensions)


@pytest.mark.parametrize("name", MONOTONE)
@given(before=usage(), more=usage(4))
@settings(max_examples=15, deadline=None)
def test_more_usage_never_costs_less(name, before, more):
    # Free events are the first in time: what is added comes after.
    after = sorted(before, key=lambda item: item.starts_at)
    latest = after[-1].starts_at if after else JANUARY
    more = [item for item in more if name != "freeEvents" or item.starts_at >= latest]

    assert cost(MONOTONE[name], [*after, *more]) >= cost(MONOTONE[name], after)


@pytest.mark.parametrize("name", ADDITIVE)
@given(first=usage(), second=usage())
@settings(max_examples=15, deadline=None)
def test_two_parts_cost_what_they_cost_together(name, first, second):
    model = ADDITIVE[name]

    assert cost(model, [*first, *second]) == cost(model, first) + cost(model, second)


@pytest.mark.parametrize("name", MONOTONE)
@given(rows=usage())
@settings(max_examples=15, deadline=None)
def test_no_usage_costs_less_than_nothing_and_order_does_not_matter(name, rows):
    rows = list({item.starts_at: item for item in rows}.values())

    assert cost(MONOTONE[name], rows) >= 0
    assert cost(MONOTONE[name], rows) == cost(MONOTONE[name], rows[::-1])


def test_every_model_is_held_to_a_law_or_named_here():
    without = {
        "volume": "a step into a cheaper tier lowers the price of all units",
        "seats": "the most seats at one time count, so parts do not add up",
        "external": "its source decides",
    }
    held = {next(iter(model)) for model in MONOTONE.values()}
    known = {field.alias or name for name, field in ChargeModel.model_fields.items()}
    assert held | set(without) == known


@pytest.mark.parametrize("name", MONOTONE)
def test_a_period_without_usage_costs_nothing_but_reserved_capacity(name):
    assert cost(MONOTONE[name], []) == (4 if name == "capacity" else 0)
