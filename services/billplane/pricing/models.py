"""Tables of pricing."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.applied import AppliedColumns
from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `pricing`."""

    metadata = service_metadata("pricing")
    type_annotation_map = COLUMN_TYPES


class PlanRow(AppliedColumns, Base):
    """A plan: its name, its origin and what was asked for last."""

    __tablename__ = "plans"


class PlanVersionRow(Base):
    """One version of a plan, which is what is rated; the database refuses to change it."""

    __tablename__ = "plan_versions"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    plan_id: Mapped[str]
    version: Mapped[int]
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class PriceRow(Base):
    """One charge of one version of a plan."""

    __tablename__ = "prices"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    plan_id: Mapped[str]
    plan_name: Mapped[str]
    version: Mapped[int]
    charge: Mapped[str]
    meter: Mapped[str]
    model: Mapped[str]
    currency_code: Mapped[str]
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class ExternalPriceRow(Base):
    """What an external source was asked and answered."""

    __tablename__ = "external_prices"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    plan_id: Mapped[str]
    charge: Mapped[str]
    customer_id: Mapped[str]
    standing_hash: Mapped[str]
    asked: Mapped[dict[str, Any]]
    answered: Mapped[dict[str, Any]]
    amount: Mapped[str | None]
    unit_amount: Mapped[str | None]
    currency_code: Mapped[str]
    fetched_at: Mapped[datetime]


class PriceSecretRow(Base):
    """A bearer token for an external source, sealed."""

    __tablename__ = "price_secrets"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]
    updated_at: Mapped[datetime]


class PlanSecretRow(Base):
    """What the Secrets hold that a resource's plan names, sealed; the digest is the operator's."""

    __tablename__ = "plan_secrets"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    plan_id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    sealed: Mapped[bytes]
    provided_at: Mapped[datetime]
