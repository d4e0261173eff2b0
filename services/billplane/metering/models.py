"""Tables of metering."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.applied import AppliedColumns
from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `metering`."""

    metadata = service_metadata("metering")
    type_annotation_map = COLUMN_TYPES


class MeterRow(AppliedColumns, Base):
    """What is counted and how."""

    __tablename__ = "meters"


class UsageEventRow(Base):
    """A usage event as it came. `quantity` is set by the kept path and goes before `data`."""

    __tablename__ = "usage_events"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    event_type: Mapped[str]
    subject: Mapped[str]
    time: Mapped[datetime]
    data: Mapped[dict[str, Any]]
    quantity: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    content_hash: Mapped[int]
    received_at: Mapped[datetime]


class UsageConflictRow(Base):
    """A later event with the id of a stored one and other content; the stored one stands."""

    __tablename__ = "usage_conflicts"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    source: Mapped[str]
    id: Mapped[str]
    event_type: Mapped[str]
    subject: Mapped[str]
    time: Mapped[datetime]
    data: Mapped[dict[str, Any]]
    quantity: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    received_at: Mapped[datetime]


class UsageRecordRow(Base):
    """A meter's quantity of one customer and hour: a documented table to read from."""

    __tablename__ = "usage_records"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(primary_key=True)
    meter_id: Mapped[str] = mapped_column(primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    dimensions: Mapped[dict[str, Any]] = mapped_column(primary_key=True)
    quantity: Mapped[Decimal] = mapped_column(Numeric(30, 6))
    event_count: Mapped[int]
    updated_at: Mapped[datetime]
