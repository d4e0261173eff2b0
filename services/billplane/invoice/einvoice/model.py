"""The semantic model of EN 16931, as far as documents here have it.

Source: EN 16931-1:2017; the numbers of business terms (BT) and groups (BG) are its own.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from billplane.money import CurrencyCode, minor_units

ZERO: Final = Decimal(0)


class Kind(StrEnum):
    """Type code of the document (BT-3), of UNTDID 1001."""

    INVOICE = "380"
    CREDIT_NOTE = "381"


@dataclass(frozen=True, slots=True)
class Party:
    """Seller (BG-4) or buyer (BG-7).

    Shape: `country` is ISO 3166-1; `vat_id` begins with its country's letters; `endpoint` is
    (scheme of EAS, address).
    """

    name: str = ""
    identifier: str = ""  # BT-29, BT-46
    registration: str = ""  # BT-30, BT-47
    vat_id: str = ""  # BT-31, BT-48
    tax_number: str = ""  # BT-32
    line1: str = ""
    line2: str = ""
    city: str = ""
    postal_code: str = ""
    region: str = ""
    country: str = ""
    endpoint: tuple[str, str] = ("", "")  # BT-34, BT-49
    contact_name: str = ""
    contact_phone: str = ""
    contact_email: str = ""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is taken off a line (BG-27)."""

    amount: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line (BG-25).

    Units: `price` is for `base_quantity` units, without VAT; `rate` is in percent, None where the
    category has none.
    """

    id: str
    name: str
    quantity: Decimal
    unit_code: str
    price: Decimal
    base_quantity: Decimal
    net: Decimal  # BT-131
    category: str
    rate: Decimal | None
    allowances: tuple[Allowance, ...] = ()
    first_on: date | None = None
    last_on: date | None = None


@dataclass(frozen=True, slots=True)
class TaxGroup:
    """One row of the VAT breakdown (BG-23)."""

    category: str
    rate: Decimal | None
    base: Decimal
    tax: Decimal
    reason: str = ""
    reason_code: str = ""


@dataclass(frozen=True, slots=True)
class Payment:
    """How the seller wants to be paid (BG-16)."""

    iban: str = ""
    bic: str = ""
    account_name: str = ""
    terms: str = ""


@dataclass(frozen=True, slots=True)
class Preceding:
    """The invoice that a credit note corrects (BG-3)."""

    number: str
    issued_on: date | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice or a credit note, every amount as it was issued."""

    kind: Kind
    number: str
    issued_on: date
    currency: CurrencyCode
    seller: Party
    buyer: Party
    lines: tuple[Line, ...]
    taxes: tuple[TaxGroup, ...]
    net: Decimal
    tax: Decimal
    total: Decimal
    due_on: date | None = None
    first_on: date | None = None
    last_on: date | None = None
    notes: tuple[str, ...] = ()
    buyer_reference: str = ""
    order_reference: str = ""
    preceding: Preceding | None = None
    payment: Payment = field(default_factory=Payment)

    @property
    def categories(self) -> frozenset[str]:
        """Every VAT category of the document."""
        return frozenset(group.category for group in self.taxes)

    @property
    def delivered_on(self) -> date:
        """The day of supply (BT-72): the last one of the period, else that of issue."""
        return self.last_on or self.issued_on

    def money(self, amount: Decimal) -> str:
        """Write an amount with the digits of the currency."""
        return f"{amount:.{minor_units(self.currency)}f}"


def number(value: Decimal) -> str:
    """Write a quantity, price or rate without an exponent and without idle zeros."""
    return f"{value.normalize():f}" if value else "0"
