"""An exchange rate that knows its direction, where it came from and for which day it holds."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Self

from billplane.money.currency import CurrencyCode, minor_units
from billplane.money.money import CurrencyMismatch, Money
from billplane.money.rounding import Rounding, round_to_money, to_decimal, to_ratio


@dataclass(frozen=True, slots=True)
class Rate:
    """How many units of `quote` one unit of `base` is, on one day.

    The value is kept as a ratio: an inverse or a cross stays exact, so a conversion is rounded
    once and a tie (3 cents at 1 / 1.2 = 2.5) is still seen as a tie.

    Shape: `ids` names every stored rate that took part, in the order of the conversion.
    Raises: UnknownCurrency, ValueError for a rate that is not above zero, on construction.
    """

    base: CurrencyCode
    quote: CurrencyCode
    ratio: Fraction
    as_of: date
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        minor_units(self.base)
        minor_units(self.quote)
        if self.ratio <= 0:
            message = f"the rate {self.base}→{self.quote} must be above zero"
            raise ValueError(message)

    @classmethod
    def of(
        cls,
        base: CurrencyCode,
        quote: CurrencyCode,
        value: Decimal,
        *,
        as_of: date,
        ids: tuple[str, ...] = (),
    ) -> Self:
        """Make a rate from its published value: `value` units of quote for one unit of base.

        Raises: UnknownCurrency, ValueError for values that are not finite and above zero.
        """
        return cls(base, quote, to_ratio(value, f"the rate {base}→{quote}"), as_of, ids)

    @classmethod
    def identity(cls, currency: CurrencyCode, *, as_of: date) -> Self:
        """Make the rate of a currency to itself, which no source has to give."""
        return cls(currency, currency, Fraction(1), as_of)

    @property
    def value(self) -> Decimal:
        """Units of quote for one unit of base, to 120 digits."""
        return to_decimal(self.ratio)

    def invert(self) -> "Rate":
        """Return the rate quote→base, from the same stored rates."""
        return Rate(self.quote, self.base, 1 / self.ratio, self.as_of, tuple(reversed(self.ids)))

    def cross(self, onward: "Rate") -> "Rate":
        """Return base→onward.quote, by way of the currency where the two rates meet.

        The cross is as old as the older of the two.
        Raises: CurrencyMismatch if this rate does not end where the other begins.
        """
        if self.quote != onward.base:
            raise CurrencyMismatch(self.quote, onward.base)
        return Rate(
            self.base,
            onward.quote,
            self.ratio * onward.ratio,
            min(self.as_of, onward.as_of),
            self.ids + onward.ids,
        )

    def convert_exact(self, exact: Decimal) -> Decimal:
        """Convert an amount of base, in its own unit, without rounding to minor units.

        Raises: ValueError for NaN, infinities and amounts of an unusual size.
        """
        return to_decimal(to_ratio(exact, "an amount to convert") * self.ratio)

    def convert(self, amount: Money, *, mode: Rounding) -> Money:
        """Convert an amount of base into quote and round it, once.

        Raises: CurrencyMismatch if the amount is not in base; AmountOutOfRange.
        """
        if amount.currency != self.base:
            raise CurrencyMismatch(amount.currency, self.base)
        return round_to_money(self.convert_exact(amount.exact), self.quote, mode=mode)
