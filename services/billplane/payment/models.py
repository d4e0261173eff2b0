"""Tables of payment."""

from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `payment`."""

    metadata = service_metadata("payment")
    type_annotation_map = COLUMN_TYPES


def _metadata() -> Mapped[dict[str, Any]]:
    # `metadata` is SQLAlchemy's own name.
    return mapped_column("metadata")


class PaymentIntentRow(Base):
    """An intent to collect an amount; `details` are words that only its readers care about."""

    __tablename__ = "payment_intents"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    state: Mapped[str]
    amount_minor: Mapped[int]
    amount_capturable_minor: Mapped[int] = mapped_column(default=0)
    amount_received_minor: Mapped[int] = mapped_column(default=0)
    currency_code: Mapped[str]
    customer_id: Mapped[str] = mapped_column(default="")
    payment_method_id: Mapped[str] = mapped_column(default="")
    capture_method: Mapped[str] = mapped_column(default="automatic")
    details: Mapped[dict[str, Any]]
    tags: Mapped[dict[str, Any]] = _metadata()
    invoice_id: Mapped[str] = mapped_column(default="")
    top_up_wallet_id: Mapped[str] = mapped_column(default="")
    processor: Mapped[str]
    latest_charge_id: Mapped[str] = mapped_column(default="")
    last_error: Mapped[dict[str, Any] | None]
    next_action: Mapped[dict[str, Any] | None]
    client_secret: Mapped[str]
    cancellation_reason: Mapped[str] = mapped_column(default="")
    canceled_at: Mapped[datetime | None]
    request_key: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]


class PaymentMethodRow(Base):
    """A payment method: the processor's token and what may be known of the card."""

    __tablename__ = "payment_methods"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    processor: Mapped[str]
    token: Mapped[str]
    card: Mapped[dict[str, Any]]
    customer_id: Mapped[str] = mapped_column(default="")
    detached: Mapped[bool] = mapped_column(default=False)
    billing_details: Mapped[dict[str, Any]]
    tags: Mapped[dict[str, Any]] = _metadata()
    created_at: Mapped[datetime]


class CustomerRow(Base):
    """What payment knows of a customer: the method that invoices are collected by."""

    __tablename__ = "customers"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    default_payment_method_id: Mapped[str]
    details: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime]


class AttemptRow(Base):
    """One request to the processor, repeated under the same key until its outcome is known.

    `subject_id` is what it works on: the intent, or the refund.
    """

    __tablename__ = "attempts"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    kind: Mapped[str]
    payment_intent_id: Mapped[str]
    subject_id: Mapped[str]
    number: Mapped[int]
    state: Mapped[str] = mapped_column(default="started")
    processor: Mapped[str]
    reference: Mapped[str] = mapped_column(default="")
    payment_method_id: Mapped[str] = mapped_column(default="")
    token: Mapped[str] = mapped_column(default="")
    amount_minor: Mapped[int]
    currency_code: Mapped[str]
    off_session: Mapped[bool] = mapped_column(default=False)
    return_url: Mapped[str] = mapped_column(default="")
    challenge: Mapped[str] = mapped_column(default="")
    challenge_token: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="")
    failure_code: Mapped[str] = mapped_column(default="")
    decline_code: Mapped[str] = mapped_column(default="")
    failure_message: Mapped[str] = mapped_column(default="")
    request_key: Mapped[str] = mapped_column(default="")
    asked_at: Mapped[datetime]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class ChargeRow(Base):
    """What an attempt to charge came to."""

    __tablename__ = "charges"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    payment_intent_id: Mapped[str]
    attempt_id: Mapped[str]
    status: Mapped[str]
    amount_minor: Mapped[int]
    captured: Mapped[bool]
    canceled: Mapped[bool] = mapped_column(default=False)
    amount_captured_minor: Mapped[int]
    amount_refunded_minor: Mapped[int] = mapped_column(default=0)
    fee_minor: Mapped[int]
    currency_code: Mapped[str]
    customer_id: Mapped[str]
    processor: Mapped[str]
    reference: Mapped[str]
    payment_method_id: Mapped[str]
    card: Mapped[dict[str, Any]]
    billing_details: Mapped[dict[str, Any]]
    details: Mapped[dict[str, Any]]
    tags: Mapped[dict[str, Any]] = _metadata()
    failure_code: Mapped[str] = mapped_column(default="")
    decline_code: Mapped[str] = mapped_column(default="")
    failure_message: Mapped[str] = mapped_column(default="")
    disputed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class RefundRow(Base):
    """Money that goes back, or went."""

    __tablename__ = "refunds"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    charge_id: Mapped[str]
    payment_intent_id: Mapped[str]
    status: Mapped[str]
    amount_minor: Mapped[int]
    currency_code: Mapped[str]
    reason: Mapped[str]
    reference: Mapped[str] = mapped_column(default="")
    failure_reason: Mapped[str] = mapped_column(default="")
    tags: Mapped[dict[str, Any]] = _metadata()
    request_key: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]


class DisputeRow(Base):
    """What a payer's bank asked back."""

    __tablename__ = "disputes"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    charge_id: Mapped[str]
    payment_intent_id: Mapped[str]
    status: Mapped[str]
    amount_minor: Mapped[int]
    fee_minor: Mapped[int]
    currency_code: Mapped[str]
    reason: Mapped[str]
    reference: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    submissions: Mapped[int] = mapped_column(default=0)
    tags: Mapped[dict[str, Any]] = _metadata()
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]


class ProcessorEventRow(Base):
    """What a processor told, as it came."""

    __tablename__ = "processor_events"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    processor: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    kind: Mapped[str]
    reference: Mapped[str]
    event: Mapped[dict[str, Any]]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    result: Mapped[str] = mapped_column(default="")
    received_at: Mapped[datetime]
    applied_at: Mapped[datetime | None]


class CollectionRow(Base):
    """An invoice on its way to being paid."""

    __tablename__ = "collections"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    invoice_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    customer_id: Mapped[str]
    subscription_id: Mapped[str]
    number: Mapped[str]
    currency_code: Mapped[str]
    due_minor: Mapped[int]
    credit_minor: Mapped[int] = mapped_column(default=0)
    collected_minor: Mapped[int] = mapped_column(default=0)
    credit_asked_minor: Mapped[int] = mapped_column(default=0)
    state: Mapped[str]
    payment_intent_id: Mapped[str] = mapped_column(default="")
    attempts: Mapped[int] = mapped_column(default=0)
    rounds: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    test_clock_id: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class TestClockRow(Base):
    """Where a test clock stands."""

    __tablename__ = "test_clocks"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    now: Mapped[datetime]
