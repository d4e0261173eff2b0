from decimal import Decimal
from fractions import Fraction

import pytest
from billplane.money import MINOR_MAX, AmountOutOfRange, allocate
from hypothesis import given, settings
from hypothesis import strategies as st

totals = st.integers(-MINOR_MAX, MINOR_MAX)
weights = st.lists(
    st.one_of(st.integers(0, 10**12), st.decimals("0", "1000000", places=6)),
    min_size=1,
    max_size=30,
)


@pytest.mark.parametrize(
    ("total", "by", "parts"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (5, [1, 1], [3, 2]),
        (-5, [1, 1], [-3, -2]),
        (10, [0, 1, 0], [0, 10, 0]),
        (7, [0, 0, 0], [3, 2, 2]),
        (0, [3, 4], [0, 0]),
        (1, [Decimal("0.1"), Decimal("0.2")], [0, 1]),
        (101, [50, 30, 20], [51, 30, 20]),
    ],
)
def test_parts_go_by_largest_remainder_and_ties_to_the_earlier(total, by, parts):
    assert allocate(total, by) == parts


@pytest.mark.parametrize(
    "by", [[], [-1, 2], [Decimal("NaN")], [Decimal("Infinity")], [Decimal("1e999999999")]]
)
def test_weights_that_cannot_split_anything_are_refused(by):
    with pytest.raises(ValueError, match=r"split|weight"):
        allocate(10, by)


def test_a_total_beyond_the_bound_is_refused():
    with pytest.raises(AmountOutOfRange):
        allocate(MINOR_MAX + 1, [1])


@settings(max_examples=200)
@given(totals, weights)
def test_parts_sum_to_the_whole_and_stay_within_one_unit_of_their_share(total, by):
    parts = allocate(total, by)
    assert len(parts) == len(by)
    assert sum(parts) == total
    whole = sum(map(Fraction, by))
    if whole:
        for part, weight in zip(parts, by, strict=True):
            assert abs(part - total * Fraction(weight) / whole) < 1
            if not weight:
                assert part == 0


@settings(max_examples=100)
@given(totals, weights)
def test_a_credit_splits_as_the_charge_it_mirrors(total, by):
    assert allocate(-total, by) == [-part for part in allocate(total, by)]
