import iso4217
import pytest
from billplane.money import (
    CURRENCY_CODES,
    UnknownCurrency,
    currency_name,
    minor_units,
    parse_currency,
)


@pytest.mark.parametrize(
    ("code", "digits"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("ISK", 0), ("XAF", 0)]
)
def test_a_currency_has_the_minor_units_of_iso_4217(code, digits):
    assert minor_units(parse_currency(code)) == digits


def test_every_current_currency_with_minor_units_is_known():
    current = {c.code: c.exponent for c in iso4217.Currency if c.exponent is not None}
    assert {code: minor_units(code) for code in current} == current
    assert len(current) > 150


@pytest.mark.parametrize("code", ["BGN", "HRK", "LTL", "LVL", "EEK"])
def test_a_withdrawn_currency_stays_readable(code):
    assert minor_units(parse_currency(code)) == 2
    assert currency_name(parse_currency(code))


@pytest.mark.parametrize("code", ["", "EU", "EURO", "ZZZ", "€", "EUR ", "\u0395UR"])
def test_other_letters_are_no_currency(code):
    with pytest.raises(UnknownCurrency, match="not an ISO 4217"):
        parse_currency(code)


@pytest.mark.parametrize("code", ["eur", "Usd"])
def test_lower_case_is_refused_with_the_right_spelling(code):
    with pytest.raises(UnknownCurrency, match=code.upper()):
        parse_currency(code)


@pytest.mark.parametrize("code", ["XAU", "XXX", "XTS", "XDR"])
def test_a_code_without_minor_units_cannot_hold_an_amount(code):
    with pytest.raises(UnknownCurrency, match="no minor unit"):
        parse_currency(code)


@pytest.mark.parametrize("value", [None, 978, ["EUR"]])
def test_what_is_not_text_is_no_currency(value):
    with pytest.raises((UnknownCurrency, TypeError)):
        minor_units(value)


def test_an_unknown_currency_is_a_value_error():
    assert issubclass(UnknownCurrency, ValueError)
    assert "EUR" in CURRENCY_CODES
    assert "XAU" not in CURRENCY_CODES
