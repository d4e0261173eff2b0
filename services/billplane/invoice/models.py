"""Tables of invoice."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import LargeBinary
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `invoice`."""

    metadata = service_metadata("invoice")
    type_annotation_map = COLUMN_TYPES


class InvoiceRow(Base):
    """A document; all but state and payment is frozen once it has a number."""

    __tablename__ = "invoices"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    state: Mapped[str]
    revision: Mapped[int]
    number: Mapped[str]
    series: Mapped[str]
    sequence: Mapped[int]
    customer_id: Mapped[str]
    customer: Mapped[dict[str, Any]]
    test_clock_id: Mapped[str]
    seller: Mapped[dict[str, Any]]
    subscription_id: Mapped[str]
    plan_id: Mapped[str]
    plan_name: Mapped[str]
    occasion: Mapped[str]
    period_starts_at: Mapped[datetime | None]
    period_ends_at: Mapped[datetime | None]
    currency_code: Mapped[str]
    time_zone: Mapped[str]
    at: Mapped[datetime]
    simulated: Mapped[bool]
    coupon_codes: Mapped[list[Any]]
    refused_coupons: Mapped[list[Any]]
    due_requested_on: Mapped[date | None]
    issued_on: Mapped[date | None]
    due_on: Mapped[date | None]
    past_due_at: Mapped[datetime | None]
    subtotal_minor: Mapped[int]
    discount_minor: Mapped[int]
    net_minor: Mapped[int]
    tax_minor: Mapped[int]
    total_minor: Mapped[int]
    paid_minor: Mapped[int]
    credited_minor: Mapped[int]
    returned_minor: Mapped[int]
    closed_on: Mapped[date | None]
    conversion: Mapped[dict[str, Any]]
    chart: Mapped[dict[str, Any]]
    notes: Mapped[list[Any]]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    tax_calculation_id: Mapped[str]
    attempt: Mapped[int]
    created_at: Mapped[datetime]
    finalized_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    voided_at: Mapped[datetime | None]


class LineRow(Base):
    """One charged line."""

    __tablename__ = "invoice_lines"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[str]
    position: Mapped[int]
    charge: Mapped[str]
    kind: Mapped[str]
    description: Mapped[str]
    quantity: Mapped[str]
    unit: Mapped[str]
    unit_amount: Mapped[str]
    amount_minor: Mapped[int]
    discount_minor: Mapped[int]
    net_minor: Mapped[int]
    tax_minor: Mapped[int]
    tax_category: Mapped[str]
    tax_inclusive: Mapped[bool]
    tax_rule_id: Mapped[str]
    tax_on: Mapped[date | None]
    tax_rate: Mapped[str]
    tax_keys: Mapped[list[Any]]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    detail_json: Mapped[str]


class DiscountRow(Base):
    """One discount; `application_id` is empty until it was redeemed."""

    __tablename__ = "invoice_discounts"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str]
    description: Mapped[str]
    amount_minor: Mapped[int]
    application_id: Mapped[str]


class TaxRow(Base):
    """One group of tax."""

    __tablename__ = "invoice_taxes"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    label: Mapped[str]
    jurisdiction: Mapped[str]
    category: Mapped[str]
    rate: Mapped[str]
    treatment: Mapped[str]
    base_minor: Mapped[int]
    tax_minor: Mapped[int]


@dataclass(slots=True)
class Invoice:
    """A document with its parts, in their order."""

    row: InvoiceRow
    lines: list[LineRow] = field(default_factory=list)
    discounts: list[DiscountRow] = field(default_factory=list)
    taxes: list[TaxRow] = field(default_factory=list)


class SeriesRow(Base):
    """The last number that a series gave."""

    __tablename__ = "invoice_series"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    last_number: Mapped[int]


class AttemptRow(Base):
    """One attempt to finalize: pending → done, or reversing → reversed."""

    __tablename__ = "finalization_attempts"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[str] = mapped_column(primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    state: Mapped[str]
    reason: Mapped[str]
    at: Mapped[datetime]
    created_at: Mapped[datetime]


class HistoryRow(Base):
    """One change of state or amount, and who or what caused it."""

    __tablename__ = "invoice_history"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[str]
    at: Mapped[datetime]
    from_state: Mapped[str]
    to_state: Mapped[str]
    total_minor: Mapped[int]
    cause: Mapped[str]
    note: Mapped[str]
    tax_calculation_id: Mapped[str]
    discount_application_ids: Mapped[list[Any]]


class DocumentRow(Base):
    """The PDF as it was issued."""

    __tablename__ = "invoice_documents"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[str] = mapped_column(primary_key=True)
    locale: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


class SettingsRow(Base):
    """What a tenant prints on its invoices and how it numbers them."""

    __tablename__ = "invoice_settings"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    seller: Mapped[dict[str, Any]]
    prefix: Mapped[str]
    payment_terms_days: Mapped[int]
    credit_note_prefix: Mapped[str]
    e_invoice: Mapped[str]
    template: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime]


class CreditNoteRow(Base):
    """A credit note: issued once, and never changed."""

    __tablename__ = "credit_notes"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    invoice_id: Mapped[str]
    number: Mapped[str]
    series: Mapped[str]
    sequence: Mapped[int]
    customer_id: Mapped[str]
    currency_code: Mapped[str]
    reason: Mapped[str]
    excess: Mapped[str]
    net_minor: Mapped[int]
    tax_minor: Mapped[int]
    total_minor: Mapped[int]
    applied_minor: Mapped[int]
    excess_minor: Mapped[int]
    issued_on: Mapped[date]
    at: Mapped[datetime]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    created_at: Mapped[datetime]


class CreditLineRow(Base):
    """What is given back of one line."""

    __tablename__ = "credit_note_lines"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    credit_note_id: Mapped[str]
    invoice_line_id: Mapped[str]
    position: Mapped[int]
    description: Mapped[str]
    quantity: Mapped[str]
    unit: Mapped[str]
    unit_amount: Mapped[str]
    amount_minor: Mapped[int]
    net_minor: Mapped[int]
    tax_minor: Mapped[int]


class CreditTaxRow(Base):
    """What is given back of one group of tax."""

    __tablename__ = "credit_note_taxes"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    credit_note_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    label: Mapped[str]
    jurisdiction: Mapped[str]
    category: Mapped[str]
    rate: Mapped[str]
    treatment: Mapped[str]
    base_minor: Mapped[int]
    tax_minor: Mapped[int]


@dataclass(slots=True)
class CreditNote:
    """A credit note with its parts, in their order."""

    row: CreditNoteRow
    lines: list[CreditLineRow] = field(default_factory=list)
    taxes: list[CreditTaxRow] = field(default_factory=list)


class CreditNoteDocumentRow(Base):
    """The PDF of a credit note as it was issued."""

    __tablename__ = "credit_note_documents"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    credit_note_id: Mapped[str] = mapped_column(primary_key=True)
    locale: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


class SettlementRow(Base):
    """Money or credit that settled an invoice, or a part of it, on a day of the customer's time."""

    __tablename__ = "invoice_settlements"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    invoice_id: Mapped[str]
    on_day: Mapped[date]
    amount_minor: Mapped[int]
    created_at: Mapped[datetime]
