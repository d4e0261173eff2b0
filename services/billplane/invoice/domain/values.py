"""What a document is made of, and how it adds up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from billplane.invoice.domain.days import local_date
from billplane.money import CurrencyCode

DRAFT = "draft"
FINALIZING = "finalizing"
FINALIZED = "finalized"
PAID = "paid"
PAST_DUE = "past_due"
UNCOLLECTIBLE = "uncollectible"
VOIDED = "voided"

STATES = (DRAFT, FINALIZING, FINALIZED, PAID, PAST_DUE, UNCOLLECTIBLE, VOIDED)
OPEN = (FINALIZED, PAST_DUE, UNCOLLECTIBLE)


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class TaxId:
    """A tax identification number."""

    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer as it was when the document was made."""

    customer_id: str
    name: str = ""
    email: str = ""
    address: Address = field(default_factory=Address)
    tax_ids: tuple[TaxId, ...] = ()
    tax_type: str = "consumer"
    user_type: str = ""
    locale: str = ""
    payment_terms_days: int | None = None
    external_id: str = ""
    test_clock_id: str = ""


@dataclass(frozen=True, slots=True)
class Seller:
    """The tenant as it stands on its documents."""

    name: str = ""
    address: Address = field(default_factory=Address)
    tax_id: str = ""
    footer: str = ""
    tax_number: str = ""
    registration: str = ""
    email: str = ""
    phone: str = ""
    contact_name: str = ""
    electronic_address: str = ""
    electronic_address_scheme: str = ""
    iban: str = ""
    bic: str = ""
    account_name: str = ""
    payment_instructions: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """How a tenant's documents look; everything in it is only drawn or written.

    Shape: `logo` is a PNG or JPEG as base64; `wording` gives other words, by locale and key.
    """

    accent: str = ""
    logo: str = ""
    wording: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a tenant prints and how it numbers."""

    seller: Seller = field(default_factory=Seller)
    prefix: str = ""
    payment_terms_days: int = 14
    credit_note_prefix: str = "CN-"
    e_invoice: str = "off"
    template: Template = field(default_factory=Template)


@dataclass(frozen=True, slots=True)
class Line:
    """A line before discounts and tax.

    Units: `quantity` and `unit_amount` are decimal strings, '' where there is none.
    """

    id: str
    description: str
    amount_minor: int
    charge: str = ""
    kind: str = "one_off"
    quantity: str = ""
    unit: str = ""
    unit_amount: str = ""
    tax_category: str = ""
    tax_inclusive: bool = False
    tax_rule_id: str = ""
    tax_on: date | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    detail_json: str = ""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The rate that turned the plan's currency into the document's; empty base = none."""

    base: str = ""
    quote: str = ""
    rate: str = ""
    rate_id: str = ""
    as_of: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """The usage chart: labels with quantities."""

    title: str = ""
    unit: str = ""
    points: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything that makes a document, before discounts and tax."""

    customer: Customer
    currency: CurrencyCode
    lines: tuple[Line, ...]
    at: datetime
    time_zone: str = "Etc/UTC"
    subscription_id: str = ""
    plan_id: str = ""
    plan_name: str = ""
    occasion: str = ""
    period_starts_at: datetime | None = None
    period_ends_at: datetime | None = None
    coupon_codes: tuple[str, ...] = ()
    due_on: date | None = None
    chart: Chart = field(default_factory=Chart)
    conversion: Conversion = field(default_factory=Conversion)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def tax_on(self, line: Line) -> date:
        """Return the date that selects a line's rate: its period's last day, else the issue date.

        Units: a local date of the document's time zone.
        """
        if line.tax_on is not None:
            return line.tax_on
        if line.ends_at is not None:
            return local_date(line.ends_at - timedelta(microseconds=1), self.time_zone)
        return local_date(self.at, self.time_zone)


@dataclass(frozen=True, slots=True)
class Discount:
    """One discount of a document and its part on each line that it lowers."""

    code: str
    description: str
    amount_minor: int
    shares: Mapping[str, int]
    application_id: str = ""


@dataclass(frozen=True, slots=True)
class Discounts:
    """What discount said."""

    applied: tuple[Discount, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    def of_line(self, line_id: str) -> int:
        """Sum what is taken off a line."""
        return sum(discount.shares.get(line_id, 0) for discount in self.applied)

    def same_as(self, shown: Sequence[tuple[str, int]]) -> bool:
        """True when exactly these codes take off exactly these amounts."""
        return sorted((item.code, item.amount_minor) for item in self.applied) == sorted(shown)


@dataclass(frozen=True, slots=True)
class TaxGroup:
    """Everything taxed alike."""

    key: str
    label: str
    jurisdiction: str
    category: str
    rate: str
    treatment: str
    base_minor: int
    tax_minor: int


@dataclass(frozen=True, slots=True)
class TaxedLine:
    """One line after tax."""

    net_minor: int
    tax_minor: int
    group_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taxation:
    """What tax said."""

    lines: Mapping[str, TaxedLine]
    groups: tuple[TaxGroup, ...] = ()
    notes: tuple[str, ...] = ()
    calculation_id: str = ""

    def rate_of(self, line_id: str) -> str:
        """Return a line's rate in percent, stacked ones added; '' when it is not taxed."""
        rates = {group.key: Decimal(group.rate) for group in self.groups}
        total = sum((rates[key] for key in self.lines[line_id].group_keys), Decimal(0)) * 100
        return f"{total.normalize():f}" if total else ""


@dataclass(frozen=True, slots=True)
class Priced:
    """A document with discounts and tax: what is stored and printed."""

    draft: Draft
    discounts: Discounts
    taxation: Taxation

    @property
    def subtotal_minor(self) -> int:
        """Sum of the lines as they came."""
        return sum(line.amount_minor for line in self.draft.lines)

    @property
    def discount_minor(self) -> int:
        """Sum of the discounts."""
        return sum(discount.amount_minor for discount in self.discounts.applied)

    @property
    def net_minor(self) -> int:
        """Sum of the lines after discounts, without tax."""
        return sum(line.net_minor for line in self.taxation.lines.values())

    @property
    def tax_minor(self) -> int:
        """Sum of the lines' tax."""
        return sum(line.tax_minor for line in self.taxation.lines.values())

    @property
    def total_minor(self) -> int:
        """What the document asks for."""
        return self.net_minor + self.tax_minor
