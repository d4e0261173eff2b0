"""Tables of billing_core."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `billing_core`."""

    metadata = service_metadata("billing_core")
    type_annotation_map = COLUMN_TYPES


class WalletRow(Base):
    """A customer's balance in a currency, and what the ledger last said of its account.

    What is taken counts here as soon as it is decided, what comes in once the ledger has it: there
    is never less in the ledger than here.
    """

    __tablename__ = "wallets"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    customer_id: Mapped[str]
    customer_external_id: Mapped[str]
    currency_code: Mapped[str]
    state: Mapped[str]
    overdraft_minor: Mapped[int]
    low_balance_minor: Mapped[int | None]
    auto_below_minor: Mapped[int | None]
    auto_amount_minor: Mapped[int | None]
    # `metadata` is SQLAlchemy's own name.
    tags: Mapped[dict[str, Any]] = mapped_column("metadata")
    posted_minor: Mapped[int]
    reserved_minor: Mapped[int]
    is_low: Mapped[bool]
    is_filling: Mapped[bool]
    account_id: Mapped[str]
    account_posted_minor: Mapped[int]
    account_reserved_minor: Mapped[int]
    account_entries: Mapped[int]
    compared_at: Mapped[datetime]
    created_at: Mapped[datetime]


class CreditRow(Base):
    """Credit with a priority and an end."""

    __tablename__ = "credits"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    wallet_id: Mapped[str]
    kind: Mapped[str]
    granted_minor: Mapped[int]
    remaining_minor: Mapped[int]
    priority: Mapped[int]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class ReservationRow(Base):
    """Money set aside: opening → open → committed, released or expired; or refused."""

    __tablename__ = "reservations"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    wallet_id: Mapped[str]
    state: Mapped[str]
    amount_minor: Mapped[int]
    committed_minor: Mapped[int]
    remaining_minor: Mapped[int]
    currency_code: Mapped[str]
    reference: Mapped[str]
    description: Mapped[str]
    rate_id: Mapped[str]
    hold_id: Mapped[str]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class OperationRow(Base):
    """Something that moves a balance or sets money aside: pending → done or refused.

    Shape: `amount_minor` is the change of the balance; `other_minor` what was charged in
    `other_currency_code`, above zero; `result` what its answer told.
    """

    __tablename__ = "operations"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    wallet_id: Mapped[str]
    kind: Mapped[str]
    state: Mapped[str]
    amount_minor: Mapped[int]
    currency_code: Mapped[str]
    other_minor: Mapped[int]
    other_currency_code: Mapped[str]
    rate_id: Mapped[str]
    refunded_minor: Mapped[int]
    reservation_id: Mapped[str]
    final: Mapped[bool]
    credit_id: Mapped[str]
    credit_kind: Mapped[str]
    credit_priority: Mapped[int]
    credit_expires_at: Mapped[datetime | None]
    refunded_id: Mapped[str]
    invoice_id: Mapped[str]
    payment_intent_id: Mapped[str]
    credit_note_id: Mapped[str]
    reference: Mapped[str]
    description: Mapped[str]
    cause: Mapped[str]
    request_key: Mapped[str]
    fingerprint: Mapped[str]
    transaction_id: Mapped[str]
    result: Mapped[dict[str, Any]]
    due_at: Mapped[datetime]
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class CreditMoveRow(Base):
    """What one operation did to one credit."""

    __tablename__ = "credit_moves"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    operation_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    credit_id: Mapped[str]
    amount_minor: Mapped[int]


class AutoTopUpRow(Base):
    """A payment to be asked for because a wallet ran low: pending → asked or failed → paid."""

    __tablename__ = "auto_top_ups"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    wallet_id: Mapped[str]
    state: Mapped[str]
    amount_minor: Mapped[int]
    currency_code: Mapped[str]
    payment_intent_id: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime]
