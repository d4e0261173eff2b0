"""The two lanes of usage columns answer every question alike, whatever the sizes."""

import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import pytest
from billplane.pricing.domain import UsageRow, columns_from_lists, columns_from_rows
from billplane.pricing.domain.array_columns import ArrayColumns, parse_micro
from billplane.pricing.domain.columns import ARRAY_ROWS_MIN
from billplane.pricing.domain.list_columns import ListColumns
from billplane.pricing.domain.usage import to_micro
from billplane.pricing.errors import (
    UsageQuantityInvalid,
    UsageShapeMismatch,
    UsageWindowMismatch,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pricing.plans import JANUARY, LANES, columns, lists, row

QUANTITIES = st.decimals("-999999999999.999999", "999999999999.999999", places=6)
ROWS = st.lists(
    st.builds(
        lambda quantity, quarter, seconds, region, size: row(
            quantity,
            JANUARY + timedelta(minutes=15 * quarter),
            seconds=seconds,
            dimensions={"region": region, "size": size},
        ),
        QUANTITIES,
        st.integers(0, 3000),
        st.sampled_from([0, 1, 900]),
        st.sampled_from("abc"),
        st.text(max_size=2),
    ),
    min_size=1,
    max_size=40,
)
LIMITS = st.one_of(st.none(), st.integers(-(10**20), 10**20))


@given(rows=ROWS, dimensions=st.sampled_from([(), ("region",), ("size", "region")]), data=st.data())
@settings(max_examples=120, deadline=None)
def test_arrays_add_up_as_lists_of_unbounded_integers_do(rows, dimensions, data):
    plain, arrays = (columns(rows, dimensions, lane) for lane in LANES)
    free, low, high = data.draw(st.integers(0, 5)), data.draw(LIMITS), data.draw(LIMITS)
    if low is not None and high is not None and low > high:
        low, high = high, low

    assert isinstance(arrays, ArrayColumns)
    assert arrays.totals() == plain.totals()
    assert arrays.slot_totals(lambda step: step % 3) == plain.slot_totals(lambda step: step % 3)
    assert arrays.step_totals() == plain.step_totals()
    assert arrays.span_totals() == plain.span_totals()
    assert arrays.fits_windows(int) is plain.fits_windows(int) is True
    assert arrays.event_bands(free, low, high) == plain.event_bands(free, low, high)


def test_a_sum_beyond_64_bits_is_exact():
    rows = [row("999999999999.999999") for _ in range(5000)]

    (total,) = columns(rows, lane=ArrayColumns).totals()

    assert total.micro == 5000 * (10**18 - 1)


@given(st.lists(QUANTITIES, min_size=1, max_size=20))
@settings(deadline=None)
def test_decimals_are_read_all_at_once_as_they_are_one_by_one(quantities):
    texts = [format(quantity, "f") for quantity in quantities]

    assert parse_micro(texts).tolist() == [to_micro(text) for text in texts]


@given(st.text(alphabet="0123456789.-eE_+ \x00٣N", max_size=22))
@settings(max_examples=300, deadline=None)
def test_what_is_read_all_at_once_is_never_read_wrongly(text):
    parsed = parse_micro(["1", text])

    if parsed is not None:
        assert parsed.tolist() == [1_000_000, to_micro(text)]


@pytest.mark.parametrize(
    "text", ["", "-", ".5", "5.", "1e3", "NaN", "Infinity", "1_000", "١٢", "0.0000001", "+1", " 1"]
)
def test_a_quantity_that_is_no_plain_decimal_is_refused_in_every_lane(text):
    for count in (1, ARRAY_ROWS_MIN):
        rows = [row("1")] * count
        with pytest.raises(UsageQuantityInvalid):
            columns_from_lists(
                type(lists(rows))(
                    starts_at=[0] * count,
                    seconds=[0] * count,
                    quantity=["1"] * (count - 1) + [text],
                    event_count=[1] * count,
                    dimensions=[],
                    properties=[],
                )
            )


def test_many_rows_become_arrays_and_quantities_of_unusual_size_stay_lists():
    few = columns_from_lists(lists([row("1")] * (ARRAY_ROWS_MIN - 1)))
    many = columns_from_lists(lists([row("1")] * ARRAY_ROWS_MIN))
    wide = columns_from_lists(lists([row("1000000000000.5")] * ARRAY_ROWS_MIN))

    assert [type(made) for made in (few, many, wide)] == [ListColumns, ArrayColumns, ListColumns]
    assert wide.totals()[0].micro == ARRAY_ROWS_MIN * 1_000_000_000_000_500_000


def test_dimensions_of_very_many_values_add_up():
    rows = [row("2", dimensions={"a": str(n % 1999), "b": str(n % 1009)}) for n in range(4000)]

    plain, arrays = (columns(rows, ("a", "b"), lane) for lane in LANES)

    assert arrays.totals() == plain.totals()
    assert arrays.step_totals() == plain.step_totals()


def test_spans_that_come_back_among_others_are_one():
    rows = [row(quantity, seconds=seconds) for quantity, seconds in [("1", 900), ("2", 0)] * 2]

    plain, arrays = (columns(rows, lane=lane) for lane in LANES)

    assert arrays.span_totals() == plain.span_totals()
    assert len(plain.span_totals()) == 2


def test_rows_become_columns():
    rows = [UsageRow(("JFK",), JANUARY, 3600, Decimal("1.5"), 2, ("9.99",))] * 3

    made = columns_from_rows(rows)

    assert made.totals() == [(("JFK",), 4_500_000, 6)]
    assert (made.dimension_count, made.property_count) == (1, 1)
    assert columns_from_rows([]).totals() == []


def test_rows_of_different_shapes_are_refused():
    rows = [
        UsageRow(("JFK",), JANUARY, 3600, Decimal(1), 1),
        UsageRow((), JANUARY, 3600, Decimal(1), 1),
    ]

    with pytest.raises(UsageShapeMismatch):
        columns_from_rows(rows)


@pytest.mark.parametrize("lane", LANES)
def test_rows_that_are_cut_too_wide_are_refused(lane):
    quarter = timedelta(minutes=15)
    over_a_change = columns([row("1", JANUARY + quarter)], lane=lane)
    wider_than_an_hour = columns([row("1", seconds=7200)], lane=lane)
    several_events = columns([row("1", events=2)], lane=lane)

    with pytest.raises(UsageWindowMismatch, match="over a change"):
        over_a_change.slot_totals(lambda step: step // 4)
    with pytest.raises(UsageWindowMismatch, match="wider than an hour"):
        wider_than_an_hour.slot_totals(lambda step: 0)
    with pytest.raises(UsageWindowMismatch, match="EVENT"):
        several_events.event_bands(0, None, None)
    assert over_a_change.fits_windows(lambda step: step // 4) is False


def test_numpy_is_not_loaded_until_many_rows_are_rated():
    program = (
        "import sys, datetime as d\n"
        "from billplane.pricing.domain import UsageRow, columns_from_rows\n"
        "from decimal import Decimal\n"
        "row = UsageRow((), d.datetime(2026, 1, 1, tzinfo=d.UTC), 3600, Decimal(1), 1)\n"
        "few = columns_from_rows([row] * 10).totals(), 'numpy' in sys.modules\n"
        "many = columns_from_rows([row] * 5000).totals(), 'numpy' in sys.modules\n"
        "print(few[1], many[1])\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout.split() == [b"False", b"True"]
