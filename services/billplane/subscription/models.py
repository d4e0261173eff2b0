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
    """A customer on a plan."""

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
    interval: Mapped[dict[str, Any]]
    state: Mapped[str]
    starts_at: Mapped[datetime]
    billing_starts_at: Mapped[datetime]
    period_starts_at: Mapped[datetime]
    period_ends_at: Mapped[datetime]
    nominal_starts_at: Mapped[datetime]
    nominal_ends_at: Mapped[datetime]
    advance_due: Mapped[bool]
    cancel_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    coupon_codes: Mapped[list[Any]]
    past_due_invoices: Mapped[list[Any]]
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata")
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[datetime | None]
    created_at: Mapped[datetime]


class BilledPeriodRow(Base):
    """A period and the invoice that bills it."""

    __tablename__ = "billed_periods"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    subscription_id: Mapped[str] = mapped_column(primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    ends_at: Mapped[datetime]
    plan_version: Mapped[int]
    invoice_id: Mapped[str]
    run_id: Mapped[str]
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
