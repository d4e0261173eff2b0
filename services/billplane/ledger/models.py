"""Tables of ledger."""

from datetime import datetime
from typing import Any

from sqlalchemy import FetchedValue
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `ledger`."""

    metadata = service_metadata("ledger")
    type_annotation_map = COLUMN_TYPES


class AccountRow(Base):
    """An account; the database keeps its balances."""

    __tablename__ = "accounts"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    external_id: Mapped[str]
    name: Mapped[str]
    type: Mapped[str]
    currency_code: Mapped[str]
    allow_negative: Mapped[bool]
    credit_limit_minor: Mapped[int | None]
    # `metadata` is SQLAlchemy's own name.
    tags: Mapped[dict[str, Any]] = mapped_column("metadata")
    posted_minor: Mapped[int] = mapped_column(server_default=FetchedValue())
    pending_in_minor: Mapped[int] = mapped_column(server_default=FetchedValue())
    pending_out_minor: Mapped[int] = mapped_column(server_default=FetchedValue())
    entry_count: Mapped[int] = mapped_column(server_default=FetchedValue())
    created_at: Mapped[datetime]


class TransactionRow(Base):
    """A transaction, as it was recorded."""

    __tablename__ = "transactions"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    number: Mapped[int]
    kind: Mapped[str]
    parent_id: Mapped[str]
    currency_code: Mapped[str]
    external_id: Mapped[str]
    fingerprint: Mapped[str]
    description: Mapped[str]
    tags: Mapped[dict[str, Any]] = mapped_column("metadata")
    rate_id: Mapped[str]
    recorded_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class EntryRow(Base):
    """What a transaction did to an account, and the balances after it."""

    __tablename__ = "entries"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    transaction_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    account_id: Mapped[str]
    direction: Mapped[str]
    phase: Mapped[str]
    amount_minor: Mapped[int]
    currency_code: Mapped[str]
    number: Mapped[int]
    posted_after_minor: Mapped[int]
    pending_in_after_minor: Mapped[int]
    pending_out_after_minor: Mapped[int]
    recorded_at: Mapped[datetime]


class HoldRow(Base):
    """What a pending transaction still reserves."""

    __tablename__ = "holds"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    transaction_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    state: Mapped[str]
    divisible: Mapped[bool]
    amount_minor: Mapped[int]
    committed_minor: Mapped[int]
    remaining_minor: Mapped[int]
    expires_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
