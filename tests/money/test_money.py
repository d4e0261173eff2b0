from decimal import Decimal, localcontext

import pytest
from billplane.money import (
    MINOR_MAX,
    AmountOutOfRange,
    CurrencyMismatch,
    Money,
    UnknownCurrency,
    minor_to_exact,
)
from hypothesis import given, settings
from hypothesis import strategies as st

amounts = st.integers(-(MINOR_MAX // 2), MINOR_MAX // 2)


def test_amounts_of_one_currency_add_subtract_and_compare():
    a, b = Money(199, "EUR"), Money(1, "EUR")
    assert a + b == Money(200, "EUR")
    assert a - b == Money(198, "EUR")
    assert -a == Money(-199, "EUR")
    assert abs(-a) == a
    assert b < a
    assert a >= b
    assert max(a, b) == a
    assert not Money.zero("EUR")


@pytest.mark.parametrize(
    "combine", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a < b, lambda a, b: a >= b]
)
def test_amounts_of_two_currencies_do_not_combine(combine):
    with pytest.raises(CurrencyMismatch, match="EUR with USD"):
        combine(Money(1, "EUR"), Money(1, "USD"))


def test_equal_digits_of_two_currencies_are_not_equal():
    assert Money(1, "EUR") != Money(1, "USD")


@pytest.mark.parametrize("minor", [MINOR_MAX + 1, -MINOR_MAX - 1, 10**30])
def test_an_amount_beyond_two_to_the_53_is_refused(minor):
    with pytest.raises(AmountOutOfRange):
        Money(minor, "EUR")


def test_a_sum_beyond_the_bound_is_refused():
    with pytest.raises(AmountOutOfRange):
        Money(MINOR_MAX, "EUR") + Money(1, "EUR")


@pytest.mark.parametrize("minor", [1.0, Decimal(1), "1", True, None])
def test_minor_units_are_int_and_nothing_like_it(minor):
    with pytest.raises(TypeError):
        Money(minor, "EUR")


def test_an_amount_needs_a_known_currency():
    with pytest.raises(UnknownCurrency):
        Money(1, "ZZZ")


@pytest.mark.parametrize(
    ("money", "text"),
    [
        (Money(199, "EUR"), "1.99 EUR"),
        (Money(-5, "EUR"), "-0.05 EUR"),
        (Money(1000, "JPY"), "1000 JPY"),
        (Money(1, "KWD"), "0.001 KWD"),
        (Money(0, "EUR"), "0.00 EUR"),
    ],
)
def test_an_amount_reads_in_its_own_unit(money, text):
    assert str(money) == text


@settings(max_examples=100)
@given(amounts, amounts)
def test_addition_is_undone_by_subtraction(left, right):
    total = Money(left, "EUR") + Money(right, "EUR")
    assert total - Money(right, "EUR") == Money(left, "EUR")


@settings(max_examples=100)
@given(amounts, st.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_the_exact_form_ignores_the_surrounding_context(minor, currency):
    with localcontext() as context:
        context.prec = 3
        exact = minor_to_exact(minor, currency)
    assert int(exact.scaleb(-exact.as_tuple().exponent)) == minor
