"""Rules of invoices: what a document is made of, how it adds up, when it is due, its number."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billplane.money import (
    MINOR_MAX,
    CurrencyCode,
    Rounding,
    round_to_minor,
    wide_precision,
)

DRAFT = "draft"
FINALIZING = "finalizing"
FINALIZED = "finalized"
PAID = "paid"
PAST_DUE = "past_due"
UNCOLLECTIBLE = "uncollectible"
VOIDED = "voided"

STATES = (DRAFT, FINALIZING, FINALIZED, PAID, PAST_DUE, UNCOLLECTIBLE, VOIDED)
OPEN = (FINALIZED, PAST_DUE, UNCOLLECTIBLE)
KINDS = ("recurring", "usage", "commitment", "cap", "one_off")
LINES_MAX = 1000
TERMS_DAYS_MAX = 366
# An instant that lies further from the clock than any delay does comes from a test clock.
SIMULATED_AFTER = timedelta(days=1)

_DECIMAL = re.compile(r"^-?[0-9]{1,30}(\.[0-9]{1,30})?\Z")


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


@dataclass(frozen=True, slots=True)
class Settings:
    """What a tenant prints and how it numbers."""

    seller: Seller = field(default_factory=Seller)
    prefix: str = ""
    payment_terms_days: int = 14


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


def faults(draft: Draft) -> list[tuple[str, str, str]]:
    """List what is wrong with a draft: field, reason and sentence."""
    found = []
    if not draft.customer.customer_id:
        found.append(("/customer/customer_id", "FIELD_REQUIRED", "customer_id is needed"))
    if draft.customer.tax_type not in ("consumer", "business"):
        found.append(("/customer/tax_type", "FIELD_INVALID", "expected consumer or business"))
    if not 0 <= (draft.customer.payment_terms_days or 0) <= TERMS_DAYS_MAX:
        found.append(
            ("/customer/payment_terms_days", "FIELD_INVALID", f"0 to {TERMS_DAYS_MAX} days")
        )
    starts, ends = draft.period_starts_at, draft.period_ends_at
    if starts is not None and (ends is None or ends <= starts):
        found.append(("/period_ends_at", "FIELD_INVALID", "the period must end after its start"))
    try:
        ZoneInfo(draft.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        found.append(("/time_zone", "TIME_ZONE_UNKNOWN", "expected a name such as Europe/Vienna"))
    if len(draft.lines) > LINES_MAX:
        found.append(("/lines", "TOO_MANY_LINES", f"at most {LINES_MAX} lines"))
    if sum(abs(line.amount_minor) for line in draft.lines) > MINOR_MAX:
        found.append(("/lines", "AMOUNT_OUT_OF_RANGE", "the amounts together are too large"))
    for index, line in enumerate(draft.lines):
        found += [
            (f"/lines/{index}/{name}", reason, detail)
            for name, reason, detail in _line_faults(line)
        ]
    return found + _note_faults(draft)


def _line_faults(line: Line) -> list[tuple[str, str, str]]:
    found = []
    if line.kind not in KINDS:
        found.append(("kind", "FIELD_INVALID", f"expected one of {', '.join(KINDS)}"))
    for name in ("quantity", "unit_amount"):
        value = getattr(line, name)
        if value and not _DECIMAL.match(value):
            found.append((name, "FIELD_INVALID", f"{name} must be a decimal"))
    try:
        parse_detail(line.detail_json)
    except (ValueError, RecursionError):
        found.append(("detail_json", "FIELD_INVALID", "detail_json must be JSON"))
    return found


def _note_faults(draft: Draft) -> list[tuple[str, str, str]]:
    found = []
    if any(not _DECIMAL.match(quantity) for _, quantity in draft.chart.points):
        found.append(("/chart/points", "FIELD_INVALID", "quantities must be decimals"))
    rate = draft.conversion
    if rate.base:
        if not _DECIMAL.match(rate.rate) or Decimal(rate.rate) <= 0:
            found.append(("/conversion/rate", "FIELD_INVALID", "a rate is a decimal above zero"))
        try:
            date.fromisoformat(rate.as_of)
        except ValueError:
            found.append(("/conversion/as_of", "FIELD_INVALID", "expected YYYY-MM-DD"))
    return found


def free_texts(draft: Draft) -> dict[str, str]:
    """Return what people wrote into a draft, by field."""
    return {
        **{f"/lines/{at}/description": line.description for at, line in enumerate(draft.lines)},
        **{f"/metadata/{name}": value for name, value in draft.metadata.items()},
    }


def parse_detail(detail_json: str) -> Any:
    """Return how a line was rated; fractions stay strings, as exact as they were written.

    Raises: ValueError, RecursionError.
    """
    return json.loads(detail_json or "null", parse_float=str, parse_constant=_refuse)


def _refuse(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)


def amount_of(quantity: str, unit_amount: str, currency: CurrencyCode) -> int:
    """Multiply and round half up to minor units, once.

    Raises: AmountOutOfRange.
    """
    with wide_precision():
        exact = Decimal(quantity) * Decimal(unit_amount)
    return round_to_minor(exact, currency, mode=Rounding.HALF_UP)


def local_date(instant: datetime, time_zone: str) -> date:
    """Return the date of an instant in a time zone."""
    return instant.astimezone(ZoneInfo(time_zone)).date()


def end_of(day: date, time_zone: str) -> datetime:
    """Return the instant at which a local day is over."""
    following = day + timedelta(days=1)
    start = datetime(following.year, following.month, following.day, tzinfo=ZoneInfo(time_zone))
    return start.astimezone(UTC)


def due_date(draft: Draft, issued_on: date, terms_days: int) -> date:
    """Return the day by which the document is to be paid."""
    if draft.due_on is not None:
        return max(draft.due_on, issued_on)
    days = draft.customer.payment_terms_days
    return issued_on + timedelta(days=terms_days if days is None else days)


def series_of(prefix: str, issued_on: date, *, livemode: bool) -> str:
    """Name the series of a document: each year begins one, and test mode has its own."""
    return f"{'' if livemode else 'TEST-'}{prefix}{issued_on.year}"


def number_of(series: str, sequence: int) -> str:
    """Write the number of a document."""
    return f"{series}-{sequence:06d}"
