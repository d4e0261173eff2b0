"""Tables of the listener."""

from datetime import datetime

from sqlalchemy import LargeBinary
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `listener`."""

    metadata = service_metadata("listener")
    type_annotation_map = COLUMN_TYPES


class AuditEntryRow(Base):
    """One fact as it was received; never changed, never deleted."""

    __tablename__ = "audit_entries"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str]
    livemode: Mapped[bool]
    event_id: Mapped[str]
    event_type: Mapped[str]
    source: Mapped[str]
    aggregate_type: Mapped[str]
    aggregate_id: Mapped[str]
    aggregate_version: Mapped[int]
    occurred_at: Mapped[datetime]
    created_at: Mapped[datetime]
    correlation_id: Mapped[str]
    causation_id: Mapped[str]
    envelope: Mapped[bytes] = mapped_column(LargeBinary)
    previous_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class AuditHeadRow(Base):
    """Where a tenant's chain ends; its lock makes entries follow one another."""

    __tablename__ = "audit_heads"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
