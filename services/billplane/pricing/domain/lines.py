"""Lines: exact amounts, in the currency the customer pays in, rounded once."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, Literal

from billplane.money import (
    AmountOutOfRange,
    CurrencyCode,
    Rounding,
    minor_units,
    round_to_minor,
    to_decimal,
    wide_precision,
)
from billplane.pricing.domain.periods import Period
from billplane.pricing.domain.priced import text
from billplane.pricing.errors import AmountTooLarge

LineKind = Literal["recurring", "usage", "commitment", "cap"]

SHOWN_DIGITS: Final = 20


@dataclass(frozen=True, slots=True)
class RatedLine:
    """One line before discounts and tax.

    Units: `amount_minor` in minor units of the currency paid in, `exact_amount` and `unit_amount`
        in its own unit; `quantity` in `unit`.
    Shape: `unit_amount` is None where the price is not one per unit; `detail` is JSON data whose
        amounts are in the plan's currency.
    """

    charge: str
    kind: LineKind
    description: str
    quantity: Decimal
    unit: str
    unit_amount: Decimal | None
    exact_amount: Decimal
    amount_minor: int
    tax_category: str | None
    detail: dict[str, Any]
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    """A line before it has a currency.

    Units: exact amounts in the plan's currency's own unit.
    """

    charge: str
    kind: LineKind
    description: str
    quantity: Fraction
    unit: str
    unit_amount: Fraction | None
    amount: Fraction
    tax_category: str | None
    detail: dict[str, Any]
    period: Period


@dataclass(frozen=True, slots=True)
class Conversion:
    """The one rate by which all lines of an invoice are converted.

    Units: `rate` in units of `target` for one unit of `source`; 1 where they are the same.
    """

    source: CurrencyCode
    target: CurrencyCode
    rate: Fraction
    rate_id: str | None

    def line(self, draft: Draft) -> RatedLine:
        """Convert a draft exactly and round it, half up, once.

        Raises: AmountTooLarge.
        """
        exact = draft.amount * self.rate
        return self._rated(draft, exact, self.minor(draft.amount))

    def difference(self, draft: Draft, total_minor: int) -> RatedLine:
        """Return the line that brings a total of minor units to the draft's rounded amount.

        Raises: AmountTooLarge.
        """
        exact = draft.amount * self.rate - self.exact(total_minor)
        return self._rated(draft, exact, self.minor(draft.amount) - total_minor)

    def minor(self, amount: Fraction) -> int:
        """Convert an exact amount of the plan's currency and round it, half up, once.

        Raises: AmountTooLarge.
        """
        exact = to_decimal(amount * self.rate)
        try:
            return round_to_minor(exact, self.target, mode=Rounding.HALF_UP)
        except AmountOutOfRange as error:
            raise AmountTooLarge(str(error)) from error

    def exact(self, minor: int) -> Fraction:
        """Return minor units of the target in its own unit."""
        return Fraction(minor, 10 ** minor_units(self.target))

    def _rated(self, draft: Draft, exact: Fraction, minor: int) -> RatedLine:
        detail = dict(draft.detail)
        if self.source != self.target:
            detail["conversion"] = {
                "from": self.source,
                "amount": text(exact / self.rate),
                "rate": text(self.rate),
                "rate_id": self.rate_id,
            }
        unit_amount = draft.unit_amount
        return RatedLine(
            charge=draft.charge,
            kind=draft.kind,
            description=draft.description,
            quantity=to_decimal(draft.quantity),
            unit=draft.unit,
            unit_amount=None if unit_amount is None else to_decimal(unit_amount * self.rate),
            exact_amount=to_decimal(exact),
            amount_minor=minor,
            tax_category=draft.tax_category,
            detail=detail,
            starts_at=draft.period.starts_at,
            ends_at=draft.period.ends_at,
        )


def shown(exact: Decimal) -> str:
    """Write an exact amount for a reader: at most 20 fractional digits, ties to even.

    A price that never ends (100 / 31) would fill 120 digits; what is added up and rounded to
    minor units is the amount itself, never this text.
    """
    if exact.as_tuple().exponent >= -SHOWN_DIGITS:  # type: ignore[operator]
        return f"{exact:f}"
    with wide_precision():
        text = f"{exact.quantize(Decimal((0, (1,), -SHOWN_DIGITS))):f}"
    return text.rstrip("0").rstrip(".")
