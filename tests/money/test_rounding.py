from decimal import Decimal, getcontext, localcontext
from fractions import Fraction

import pytest
from billplane.money import (
    MINOR_MAX,
    AmountOutOfRange,
    Money,
    Rounding,
    minor_units,
    round_to_minor,
    round_to_money,
    wide_precision,
)
from hypothesis import given, settings
from hypothesis import strategies as st

exacts = st.decimals(
    min_value=-(10**12), max_value=10**12, places=15, allow_nan=False, allow_infinity=False
)


@pytest.mark.parametrize(
    ("exact", "by_mode"),
    [
        # HALF_UP, HALF_EVEN, HALF_DOWN, UP, DOWN, CEILING, FLOOR
        ("0.125", (13, 12, 12, 13, 12, 13, 12)),
        ("0.135", (14, 14, 13, 14, 13, 14, 13)),
        ("-0.125", (-13, -12, -12, -13, -12, -12, -13)),
        ("0.1250000000000000000000000000000000001", (13, 13, 13, 13, 12, 13, 12)),
        ("0.1249999999999999999999999999999999999", (12, 12, 12, 13, 12, 13, 12)),
        ("0.12", (12,) * 7),
    ],
)
def test_each_mode_decides_as_it_is_named(exact, by_mode):
    modes = (
        Rounding.HALF_UP,
        Rounding.HALF_EVEN,
        Rounding.HALF_DOWN,
        Rounding.UP,
        Rounding.DOWN,
        Rounding.CEILING,
        Rounding.FLOOR,
    )
    assert set(modes) == set(Rounding)
    assert tuple(round_to_minor(Decimal(exact), "EUR", mode=m) for m in modes) == by_mode


def test_the_currency_decides_how_many_digits_stay():
    exact = Decimal("1234.5678")
    rounded = {c: round_to_minor(exact, c, mode=Rounding.HALF_UP) for c in ("EUR", "JPY", "KWD")}
    assert rounded == {"EUR": 123457, "JPY": 1235, "KWD": 1234568}


def test_a_rounded_amount_can_come_as_money():
    assert round_to_money(Decimal("0.005"), "EUR", mode=Rounding.HALF_UP) == Money(1, "EUR")


def test_the_surrounding_precision_does_not_matter():
    exact = Decimal("90071992547409.905")
    with localcontext() as context:
        context.prec = 5
        assert round_to_minor(exact, "EUR", mode=Rounding.HALF_UP) == 9007199254740991


@pytest.mark.parametrize(
    "exact", ["NaN", "sNaN", "Infinity", "-Infinity", "1e999999", "90071992547409.915", "1e18"]
)
def test_what_no_amount_can_be_is_refused(exact):
    with pytest.raises(AmountOutOfRange):
        round_to_minor(Decimal(exact), "EUR", mode=Rounding.HALF_UP)


def test_the_largest_amount_is_accepted():
    exact = Decimal("90071992547409.914")
    assert round_to_minor(exact, "EUR", mode=Rounding.HALF_UP) == MINOR_MAX


@pytest.mark.parametrize(
    ("exact", "mode", "minor"),
    [
        ("1e-999999", Rounding.HALF_UP, 0),
        ("1e-999999", Rounding.UP, 1),
        ("-1e-999999", Rounding.FLOOR, -1),
        ("0e-999999", Rounding.UP, 0),
        ("-0.001", Rounding.HALF_UP, 0),
    ],
)
def test_dust_is_rounded_by_its_sign_alone(exact, mode, minor):
    assert round_to_minor(Decimal(exact), "EUR", mode=mode) == minor


def test_a_product_of_the_widest_price_and_quantity_is_exact_in_wide_precision():
    price = Decimal("999999999999999999.999999999999")
    quantity = Decimal("999999999999.999999")
    with wide_precision():
        product = price * quantity
    assert Fraction(product) == Fraction(price) * Fraction(quantity)
    assert getcontext().prec == 28


@settings(max_examples=200)
@given(exacts, st.sampled_from(["EUR", "JPY", "KWD"]), st.sampled_from(list(Rounding)))
def test_rounding_agrees_with_exact_fractions(exact, currency, mode):
    scaled = Fraction(exact) * 10 ** minor_units(currency)
    rounded = round_to_minor(exact, currency, mode=mode)
    distance = abs(rounded - scaled)
    assert distance < 1
    if mode.value.startswith("ROUND_HALF"):
        assert distance <= Fraction(1, 2)
    if mode is Rounding.HALF_EVEN:
        assert rounded == round(scaled)
    if mode is Rounding.DOWN:
        assert abs(rounded) <= abs(scaled)
    if mode is Rounding.UP:
        assert abs(rounded) >= abs(scaled)
    if mode is Rounding.HALF_UP and distance == Fraction(1, 2):
        assert abs(rounded) > abs(scaled)


@settings(max_examples=100)
@given(exacts, st.sampled_from([Rounding.HALF_UP, Rounding.HALF_EVEN, Rounding.UP, Rounding.DOWN]))
def test_a_credit_rounds_as_the_charge_it_mirrors(exact, mode):
    assert round_to_minor(-exact, "EUR", mode=mode) == -round_to_minor(exact, "EUR", mode=mode)
