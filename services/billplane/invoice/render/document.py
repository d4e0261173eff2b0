"""What an invoice says, as plain values: the input of the PDF and of nothing else.

Everything is decided before it comes here: amounts are final, texts are in the customer's
language, dates are local dates. Rendering only formats and lays out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from billplane.money import CurrencyCode

Locale = Literal["en", "de", "fr", "ja"]


class DocumentKind(StrEnum):
    """Which document it is; the word in its title."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class DocumentState(StrEnum):
    """The states that show on paper: everything but FINAL is marked across each page."""

    DRAFT = "draft"
    PREVIEW = "preview"
    FINAL = "final"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Party:
    """Seller or customer, as printed.

    Shape: `address` is one string a printed line, without the name; `tax_ids` as registered.
    """

    name: str
    address: tuple[str, ...] = ()
    tax_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Period:
    """The days the invoice is for, the last one included."""

    first_on: date
    last_on: date


@dataclass(frozen=True, slots=True)
class Line:
    """One charged line.

    Units: `quantity`, `unit_amount` and `tax_rate` are decimal strings; the rate in percent
        ("20" is 20 %). Empty strings leave the cell empty.
    """

    description: str
    amount_minor: int
    details: str = ""
    quantity: str = ""
    unit: str = ""
    unit_amount: str = ""
    tax_rate: str = ""


@dataclass(frozen=True, slots=True)
class Discount:
    """A discount between subtotal and taxes; its amount is negative."""

    description: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Tax:
    """One tax group, with the words to print: "VAT 20 %"."""

    label: str
    base_minor: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class ExchangeNote:
    """The one rate by which the invoice's prices were converted.

    Units: `rate` is how many units of `quote` one unit of `base` is.
    """

    base: CurrencyCode
    quote: CurrencyCode
    rate: str
    source: str
    as_of: date


@dataclass(frozen=True, slots=True)
class UsagePoint:
    """One bar: a day, the first day of a month, or a label of its own."""

    at: date | str
    quantity: str


@dataclass(frozen=True, slots=True)
class UsageChart:
    """The usage behind the invoice, in order of time; an empty unit is not printed."""

    title: str
    unit: str
    points: tuple[UsagePoint, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """How a tenant's documents look.

    Shape: `accent` is #rrggbb, `logo` a data URI of a PNG or JPEG, `words` those of WORDS that
        the tenant has others for; empty ones are ours.
    """

    accent: str = ""
    logo: str = ""
    words: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InvoiceDocument:
    """An invoice ready to be printed.

    Units: every `*_minor` in minor units of `currency`.
    Shape: `payment` has words of WORDS and their values; `attachment` is the XML of a Factur-X.
    """

    seller: Party
    customer: Party
    currency: CurrencyCode
    locale: Locale
    lines: tuple[Line, ...]
    subtotal_minor: int
    total_minor: int
    state: DocumentState
    kind: DocumentKind = DocumentKind.INVOICE
    number: str | None = None
    corrects: str = ""
    issued_on: date | None = None
    due_on: date | None = None
    period: Period | None = None
    discounts: tuple[Discount, ...] = ()
    taxes: tuple[Tax, ...] = ()
    paid_minor: int = 0
    reverse_charge_note: str = ""
    exchange: ExchangeNote | None = None
    notes: tuple[str, ...] = field(default=())
    usage: UsageChart | None = None
    payment: tuple[tuple[str, str], ...] = ()
    look: Look = field(default_factory=Look)
    attachment: str = ""
