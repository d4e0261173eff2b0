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
