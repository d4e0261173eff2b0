"""Tables of subscription."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `subscription`."""

    metadata = service_metadata("subscription")
    type_annotation_map = COLUMN_TYPES


class CustomerRow(Base):
    """Who is billed."""

    __tablename__ = "customers"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    external_id: Mapped[str | None]
    name: Mapped[str]
    email: Mapped[str]
    address: Mapped[dict[str, Any]]
    tax_ids: Mapped[list[Any]]
    tax_type: Mapped[str]
    user_type: Mapped[str]
    currency_code: Mapped[str]
    locale: Mapped[str]
    payment_terms_days: Mapped[int]
    time_zone: Mapped[str]
    test_clock_id: Mapped[str | None]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    created_at: Mapped[datetime]


class TestClockRow(Base):
    """Time that only moves when it is told to."""

    __tablename__ = "test_clocks"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    now: Mapped[datetime]
    created_at: Mapped[datetime]


class SubscriptionRow(Base):
    """A customer on a plan.

    Shape: `dated_versions` are [{version, effective_at}] of its plan, taken by the first period
        that begins at or after the instant; `segments` are the parts of the current period that
        earlier plans had; `pauses` are spans, the last one open while paused; `held` means that
        nothing falls due until it is resumed; `prepaid_invoices` billed the current period's fees
        in advance; `items_due` names the document that waiting items are to be billed on at once,
        `document` the last one that took items.
    """

    __tablename__ = "subscriptions"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    customer_id: Mapped[str]
    test_clock_id: Mapped[str | None]
    plan_id: Mapped[str]
    plan_name: Mapped[str]
    plan_version: Mapped[int]
    next_plan_version: Mapped[int | None]
    dated_versions: Mapped[list[Any]]
    interval: Mapped[dict[str, Any]]
    state: Mapped[str]
    starts_at: Mapped[datetime]
    billing_starts_at: Mapped[datetime]
    period_starts_at: Mapped[datetime]
    period_ends_at: Mapped[datetime]
    nominal_starts_at: Mapped[datetime]
    nominal_ends_at: Mapped[datetime]
    advance_due: Mapped[bool]
    anchor_at: Mapped[datetime | None]
    next_plan: Mapped[dict[str, Any] | None]
    segments: Mapped[list[Any]]
    pauses: Mapped[list[Any]]
    held: Mapped[bool]
    prepaid_invoices: Mapped[list[Any]]
    items_due: Mapped[str | None]
    document: Mapped[str | None]
    trial_end_told: Mapped[bool]
    cancel_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    coupon_codes: Mapped[list[Any]]
    past_due_invoices: Mapped[list[Any]]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    created_at: Mapped[datetime]


class BilledPeriodRow(Base):
    """A period and the invoice that bills it.

    Shape: without segments the whole period is of `plan_version`; `plan_id` and the nominal span
        lack in rows from before plans could be changed.
    """

    __tablename__ = "billed_periods"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    subscription_id: Mapped[str] = mapped_column(primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    ends_at: Mapped[datetime]
    plan_id: Mapped[str | None]
    plan_version: Mapped[int]
    nominal_starts_at: Mapped[datetime | None]
    nominal_ends_at: Mapped[datetime | None]
    segments: Mapped[list[Any]]
    invoice_id: Mapped[str]
    run_id: Mapped[str]
    created_at: Mapped[datetime]


class InvoiceItemRow(Base):
    """What waits for a customer's next invoice, or went on one.

    Shape: without a subscription it goes on the next invoice of any; `document` is the request id
        of the invoice that takes it.
    """

    __tablename__ = "invoice_items"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    customer_id: Mapped[str]
    subscription_id: Mapped[str | None]
    kind: Mapped[str]
    charge: Mapped[str]
    description: Mapped[str]
    quantity: Mapped[str]
    unit: Mapped[str]
    unit_amount: Mapped[str]
    amount_minor: Mapped[int]
    currency_code: Mapped[str]
    tax_category: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    detail: Mapped[dict[str, Any]]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    document: Mapped[str | None]
    invoice_id: Mapped[str | None]
    created_at: Mapped[datetime]


class BillingRunRow(Base):
    """One sweep over ended periods."""

    __tablename__ = "billing_runs"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    state: Mapped[str]
    at: Mapped[datetime | None]
    customer_ids: Mapped[list[Any]]
    finalize: Mapped[bool]
    automatic: Mapped[bool]
    periods: Mapped[int]
    invoiced: Mapped[int]
    errors: Mapped[list[Any]]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
