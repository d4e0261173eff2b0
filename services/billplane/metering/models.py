"""Tables of metering; usage itself is written and read set-wise, by SQL."""

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
    event_at: Mapped[datetime]
    data: Mapped[dict[str, Any]]
    quantity: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    received_at: Mapped[datetime]


class UsageSubjectRow(Base):
    """A name that events were sent for, and the customer it was found to be."""

    __tablename__ = "usage_subjects"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None]
    first_seen_at: Mapped[datetime]
    looked_at: Mapped[datetime | None]


class UsageEventRow(Base):
    """A stored event, as far as it may be adjusted; it is written set-wise."""

    __tablename__ = "usage_events"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    event_type: Mapped[str]
    subject: Mapped[str]
    event_at: Mapped[datetime]
    data: Mapped[dict[str, Any]]
    quantity: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    voided_at: Mapped[datetime | None]
    adjusted_at: Mapped[datetime | None]


class UsageAdjustmentRow(Base):
    """A void or a correction of a stored event: what it said, what counts instead, who did it."""

    __tablename__ = "usage_adjustments"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    kind: Mapped[str]
    source: Mapped[str]
    event_id: Mapped[str]
    event_type: Mapped[str]
    subject: Mapped[str]
    event_at: Mapped[datetime]
    data_before: Mapped[dict[str, Any]]
    quantity_before: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    data: Mapped[dict[str, Any] | None]
    quantity: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    reason: Mapped[str]
    actor: Mapped[str]
    created_at: Mapped[datetime]


class ThresholdCheckRow(Base):
    """Usage that may have reached a threshold: which instants are to be looked at."""

    __tablename__ = "threshold_checks"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    event_type: Mapped[str] = mapped_column(primary_key=True)
    from_at: Mapped[datetime]
    until_at: Mapped[datetime]
    changes: Mapped[int]
    tried_at: Mapped[datetime | None]
