"""Tables of tax."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `tax`."""

    metadata = service_metadata("tax")
    type_annotation_map = COLUMN_TYPES


class TaxRuleRow(Base):
    """A rule of the tenant; the shipped ones are data, not rows."""

    __tablename__ = "tax_rules"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    country: Mapped[str]
    region: Mapped[str]
    postal_prefix: Mapped[str]
    category: Mapped[str]
    treatment: Mapped[str]
    rate: Mapped[Decimal] = mapped_column(Numeric(12, 8))
    stacked: Mapped[bool]
    customer_id: Mapped[str]
    tax_type: Mapped[str]
    valid_from: Mapped[date]
    valid_until: Mapped[date | None]
    label: Mapped[str]
    county: Mapped[str]
    city: Mapped[str]
    level: Mapped[str]
    plan: Mapped[str]
    version: Mapped[int]
    series: Mapped[str]
    created_at: Mapped[datetime]


class TaxSettingsRow(Base):
    """Where the tenant itself is established."""

    __tablename__ = "tax_settings"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    country: Mapped[str]
    updated_at: Mapped[datetime]


class TaxCalculationRow(Base):
    """One recorded calculation."""

    __tablename__ = "tax_calculations"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    reference: Mapped[str]
    customer_id: Mapped[str]
    currency_code: Mapped[str]
    net_minor: Mapped[int]
    tax_minor: Mapped[int]
    total_minor: Mapped[int]
    lines: Mapped[list[Any]]
    groups: Mapped[list[Any]]
    notes: Mapped[list[Any]]
    buyer: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
