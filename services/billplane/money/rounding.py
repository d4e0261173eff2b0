"""The one place where an exact amount becomes minor units."""

import decimal
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from billplane.money.currency import CurrencyCode, minor_units
from billplane.money.money import AmountOutOfRange, Money, check_minor

# A price has at most 30 digits, a quantity 18 and a rate 30: their product, summed over all tiers
# of a plan, stays exact well within this, and a quotient keeps far more than any tie can need.
_PRECISION: Final = 120


class Rounding(StrEnum):
    """How a fraction of a minor unit is decided.

    UP is away from zero and DOWN towards it, HALF_UP sends ties away from zero, as tax law means
    by "round half up"; CEILING and FLOOR go towards the infinities.
    """

    HALF_UP = decimal.ROUND_HALF_UP
    HALF_EVEN = decimal.ROUND_HALF_EVEN
    HALF_DOWN = decimal.ROUND_HALF_DOWN
    UP = decimal.ROUND_UP
    DOWN = decimal.ROUND_DOWN
    CEILING = decimal.ROUND_CEILING
    FLOOR = decimal.ROUND_FLOOR


def _wide() -> decimal.Context:
    return decimal.Context(
        prec=_PRECISION,
        rounding=decimal.ROUND_HALF_EVEN,
        Emin=decimal.MIN_EMIN,
        Emax=decimal.MAX_EMAX,
        traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
    )


@contextmanager
def wide_precision() -> Iterator[decimal.Context]:
    """Compute with 120 digits inside the block, whatever the surrounding context is.

    The default of 28 digits silently drops digits of a price times a quantity. Do not hold the
    block open over an `await` or a `yield`.
    """
    with decimal.localcontext(_wide()) as context:
        yield context


def round_to_minor(exact: Decimal, currency: CurrencyCode, *, mode: Rounding) -> int:
    """Round an exact amount to the currency's minor units, once.

    Units: `exact` in the currency's own unit, the result in minor units.
    Raises: AmountOutOfRange for amounts beyond ±(2^53 - 1), NaN and infinities; UnknownCurrency.
    """
    digits = minor_units(currency)
    # The exponent is looked at first: int(Decimal("1e999999999")) would not return.
    if not exact.is_finite() or exact.adjusted() > 17:
        raise AmountOutOfRange(exact)
    if exact.adjusted() < -60:
        # Far below a minor unit only the sign counts; this keeps the exponent in range.
        exact = Decimal((exact.as_tuple().sign, (1,) if exact else (0,), -60))
    context = _wide()
    unit = Decimal((0, (1,), -digits))
    rounded = exact.quantize(unit, rounding=mode.value, context=context)
    return check_minor(int(rounded.scaleb(digits, context=context)))


def round_to_money(exact: Decimal, currency: CurrencyCode, *, mode: Rounding) -> Money:
    """Round an exact amount to Money, once.

    Raises: AmountOutOfRange, UnknownCurrency.
    """
    return Money(round_to_minor(exact, currency, mode=mode), currency)


def to_ratio(value: int | Decimal, what: str) -> Fraction:
    """Return a number as an exact ratio, for arithmetic that must not round at all.

    Raises: ValueError, naming `what`, for NaN, infinities and sizes that no amount or rate has.
    """
    # Bounded before the ratio is made: 1e999999999 as an integer does not fit in memory.
    if isinstance(value, Decimal) and (
        not value.is_finite() or (value and abs(value.adjusted()) > 60)
    ):
        message = f"{what} must be a finite number of a usual size"
        raise ValueError(message)
    return Fraction(value) if value else Fraction(0)


def to_decimal(ratio: Fraction) -> Decimal:
    """Return a ratio as a decimal of up to 120 digits; exact if it terminates within them."""
    with wide_precision():
        return Decimal(ratio.numerator) / Decimal(ratio.denominator)
