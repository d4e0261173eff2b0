from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from billplane.money import CurrencyMismatch, Money, Rate, Rounding, UnknownCurrency
from hypothesis import given, settings
from hypothesis import strategies as st

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)
rates = st.decimals(min_value="0.0001", max_value="100000", places=6)


def rate(base, quote, value, *, as_of=MONDAY, ids=()):
    return Rate.of(base, quote, Decimal(value), as_of=as_of, ids=ids)


def test_a_rate_converts_its_base_into_its_quote():
    converted = rate("EUR", "USD", "1.0842").convert(Money(10000, "EUR"), mode=Rounding.HALF_UP)
    assert converted == Money(10842, "USD")


def test_minor_units_of_both_currencies_count():
    euro_to_yen = rate("EUR", "JPY", "161.35")
    assert euro_to_yen.convert(Money(1001, "EUR"), mode=Rounding.HALF_UP) == Money(1615, "JPY")
    assert euro_to_yen.invert().convert(Money(1615, "JPY"), mode=Rounding.HALF_UP) == Money(
        1001, "EUR"
    )


def test_an_amount_in_the_quote_currency_is_not_converted_backwards():
    with pytest.raises(CurrencyMismatch):
        rate("EUR", "USD", "1.1").convert(Money(100, "USD"), mode=Rounding.HALF_UP)


def test_a_tie_behind_an_inverse_is_still_a_tie():
    # 3 cents / 1.2 = 2.5 cents; 0.8333… times 3 in decimals would fall short of it.
    back = rate("EUR", "USD", "1.2").invert()
    assert back.convert(Money(3, "USD"), mode=Rounding.HALF_UP) == Money(3, "EUR")
    assert back.convert(Money(3, "USD"), mode=Rounding.HALF_EVEN) == Money(2, "EUR")


def test_a_cross_goes_through_the_common_currency_and_names_both_rates():
    dollar = rate("EUR", "USD", "1.25", as_of=TUESDAY, ids=("rat_usd",))
    yen = rate("EUR", "JPY", "160", as_of=MONDAY, ids=("rat_jpy",))
    cross = dollar.invert().cross(yen)
    assert (cross.base, cross.quote) == ("USD", "JPY")
    assert cross.value == Decimal(128)
    assert cross.ids == ("rat_usd", "rat_jpy")
    assert cross.as_of == MONDAY


def test_rates_that_do_not_meet_do_not_cross():
    with pytest.raises(CurrencyMismatch):
        rate("EUR", "USD", "1.1").cross(rate("EUR", "JPY", "160"))


@pytest.mark.parametrize("value", ["0", "-1", "NaN", "Infinity", "1e999999999", "1e-999999999"])
def test_a_rate_is_finite_and_above_zero(value):
    with pytest.raises(ValueError, match="rate EUR→USD"):
        rate("EUR", "USD", value)


def test_a_rate_needs_known_currencies():
    with pytest.raises(UnknownCurrency):
        rate("EUR", "ZZZ", "1")


def test_a_currency_is_worth_itself():
    same = Rate.identity("JPY", as_of=MONDAY)
    assert same.convert(Money(123, "JPY"), mode=Rounding.HALF_UP) == Money(123, "JPY")
    assert same.ids == ()


@pytest.mark.parametrize("exact", ["NaN", "Infinity", "1e999999"])
def test_only_finite_amounts_convert(exact):
    with pytest.raises(ValueError, match="amount to convert"):
        rate("EUR", "USD", "1.1").convert_exact(Decimal(exact))


@settings(max_examples=100)
@given(rates)
def test_an_inverse_of_an_inverse_is_the_rate(value):
    direct = rate("EUR", "USD", value, ids=("a", "b"))
    assert direct.invert().invert() == direct


@settings(max_examples=100)
@given(rates, rates, st.integers(-(10**5), 10**5))
def test_a_conversion_is_within_half_a_minor_unit_of_the_exact_amount(first, second, minor):
    cross = rate("EUR", "USD", first).invert().cross(rate("EUR", "KWD", second))
    converted = cross.convert(Money(minor, "USD"), mode=Rounding.HALF_UP)
    exact = Fraction(minor, 100) * Fraction(second) / Fraction(first) * 1000
    assert abs(converted.minor - exact) <= Fraction(1, 2)
