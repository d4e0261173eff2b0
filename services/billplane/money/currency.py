"""ISO 4217 currencies that an amount can be in, with their minor units."""

from typing import Final, NewType

import iso4217

CurrencyCode = NewType("CurrencyCode", str)

# Codes that left ISO 4217's list of current currencies while amounts in them are still stored,
# printed and found in historical rate files.
# Source: ISO 4217 list three (historic denominations); minor units as last published.
_WITHDRAWN: Final = {
    "BGN": ("Bulgarian Lev", 2),
    "CUC": ("Peso Convertible", 2),
    "CYP": ("Cyprus Pound", 2),
    "EEK": ("Kroon", 2),
    "HRK": ("Kuna", 2),
    "LTL": ("Lithuanian Litas", 2),
    "LVL": ("Latvian Lats", 2),
    "MTL": ("Maltese Lira", 2),
    "ROL": ("Romanian Leu (before 2005)", 2),
    "SIT": ("Tolar", 2),
    "SKK": ("Slovak Koruna", 2),
    "SLL": ("Leone (before 2022)", 2),
    "TRL": ("Turkish Lira (before 2005)", 2),
    "VEF": ("Bolívar (before 2018)", 2),
    "ZWL": ("Zimbabwe Dollar", 2),
    "ANG": ("Netherlands Antillean Guilder", 2),
}


class UnknownCurrency(ValueError):
    """A code that is not an ISO 4217 currency with minor units."""

    def __init__(self, code: object, why: str = "is not an ISO 4217 currency code") -> None:
        self.code = code
        super().__init__(f"{code!r} {why}")


def _load() -> tuple[dict[CurrencyCode, int], dict[CurrencyCode, str], frozenset[str]]:
    units = {CurrencyCode(code): exponent for code, (_, exponent) in _WITHDRAWN.items()}
    names = {CurrencyCode(code): name for code, (name, _) in _WITHDRAWN.items()}
    unitless: set[str] = set()
    for currency in iso4217.Currency:
        if currency.exponent is None:
            unitless.add(currency.code)
            continue
        units[CurrencyCode(currency.code)] = currency.exponent
        names[CurrencyCode(currency.code)] = currency.currency_name
    return units, names, frozenset(unitless)


_MINOR_UNITS, _NAMES, _UNITLESS = _load()

CURRENCY_CODES: Final = frozenset(_MINOR_UNITS)


def parse_currency(code: str) -> CurrencyCode:
    """Return the code as a currency that amounts can be in.

    Raises: UnknownCurrency for other letters, other case, and codes without minor units (XAU, XXX).
    Source: ISO 4217.
    """
    if code in CURRENCY_CODES:
        return CurrencyCode(code)
    if code in _UNITLESS:
        raise UnknownCurrency(code, "has no minor unit, so no amount can be in it")
    if isinstance(code, str) and code.upper() in CURRENCY_CODES:
        raise UnknownCurrency(code, f"must be written in upper case: {code.upper()}")
    raise UnknownCurrency(code)


def minor_units(currency: CurrencyCode) -> int:
    """Return how many decimal digits the currency's minor unit has.

    Units: a power of ten: EUR 2, JPY 0, KWD 3.
    Raises: UnknownCurrency.
    """
    try:
        return _MINOR_UNITS[currency]
    except (KeyError, TypeError):
        return _MINOR_UNITS[parse_currency(currency)]


def currency_name(currency: CurrencyCode) -> str:
    """Return the currency's English name in ISO 4217.

    Raises: UnknownCurrency.
    """
    return _NAMES[parse_currency(currency)]
