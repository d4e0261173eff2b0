"""Money, currencies, rates and rounding: the pure kernel that every amount passes through.

Owns what an amount is, where it may be rounded and how it is split. Owns no storage, no clock and
no rate source. Every service, and `billplane.resources`, builds on it; it imports nothing of ours.

Amounts are whole minor units with a currency; prices, quantities and rates are exact decimals;
`round_to_minor` is the one way from the second to the first.
"""

from billplane.money.allocate import allocate
from billplane.money.currency import (
    CURRENCY_CODES,
    CurrencyCode,
    UnknownCurrency,
    currency_name,
    minor_units,
    parse_currency,
)
from billplane.money.money import (
    MINOR_MAX,
    AmountOutOfRange,
    CurrencyMismatch,
    Money,
    check_minor,
    minor_to_exact,
)
from billplane.money.rate import Rate
from billplane.money.rounding import (
    Rounding,
    round_to_minor,
    round_to_money,
    to_decimal,
    to_ratio,
    wide_precision,
)

__all__ = [
    "CURRENCY_CODES",
    "MINOR_MAX",
    "AmountOutOfRange",
    "CurrencyCode",
    "CurrencyMismatch",
    "Money",
    "Rate",
    "Rounding",
    "UnknownCurrency",
    "allocate",
    "check_minor",
    "currency_name",
    "minor_to_exact",
    "minor_units",
    "parse_currency",
    "round_to_minor",
    "round_to_money",
    "to_decimal",
    "to_ratio",
    "wide_precision",
]
