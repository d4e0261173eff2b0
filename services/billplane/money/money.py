"""An amount: whole minor units of one currency."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

from billplane.money.currency import CurrencyCode, minor_units

# The largest integer that every JSON reader keeps exactly (RFC 8259, section 6).
MINOR_MAX: Final = 2**53 - 1


class AmountOutOfRange(ValueError):
    """An amount beyond ±(2^53 - 1) minor units."""

    def __init__(self, amount: object) -> None:
        self.amount = amount
        super().__init__(f"an amount must lie within ±{MINOR_MAX} minor units")


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies where one currency is needed."""

    def __init__(self, left: CurrencyCode, right: CurrencyCode) -> None:
        self.left = left
        self.right = right
        super().__init__(f"cannot combine {left} with {right}: convert one of them first")


def check_minor(minor: int) -> int:
    """Return the minor units unchanged if they are an integer within bounds.

    Raises: AmountOutOfRange, TypeError for anything but an int.
    """
    if type(minor) is not int:
        message = f"minor units must be an int, not {type(minor).__name__}"
        raise TypeError(message)
    if not -MINOR_MAX <= minor <= MINOR_MAX:
        raise AmountOutOfRange(minor)
    return minor


def minor_to_exact(minor: int, currency: CurrencyCode) -> Decimal:
    """Return minor units as an exact amount in the currency's own unit (199 EUR-cent → 1.99).

    Raises: AmountOutOfRange, UnknownCurrency.
    """
    # From digits, so that no context can round it; -0 cannot arise from an int.
    sign = 1 if check_minor(minor) < 0 else 0
    digits = tuple(int(digit) for digit in str(abs(minor)))
    return Decimal((sign, digits, -minor_units(currency)))


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of one currency.

    Units: `minor` counts the currency's smallest unit: EUR cents, JPY yen, KWD fils.
    Raises: AmountOutOfRange, UnknownCurrency, TypeError on construction and on arithmetic.
    """

    minor: int
    currency: CurrencyCode

    def __post_init__(self) -> None:
        check_minor(self.minor)
        minor_units(self.currency)

    @classmethod
    def zero(cls, currency: CurrencyCode) -> Self:
        """Return nothing of a currency."""
        return cls(0, currency)

    @property
    def exact(self) -> Decimal:
        """The amount in the currency's own unit."""
        return minor_to_exact(self.minor, self.currency)

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __abs__(self) -> "Money":
        return Money(abs(self.minor), self.currency)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.minor > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.minor >= self._same(other)

    def __str__(self) -> str:
        return f"{self.exact:f} {self.currency}"

    def _same(self, other: "Money") -> int:
        if self.currency != other.currency:
            raise CurrencyMismatch(self.currency, other.currency)
        return other.minor
