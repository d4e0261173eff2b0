"""Tables of discount."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `discount`."""

    metadata = service_metadata("discount")
    type_annotation_map = COLUMN_TYPES


class CouponRow(Base):
    """A coupon; `redemptions` counts its live redemptions."""

    __tablename__ = "coupons"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    code: Mapped[str]
    code_key: Mapped[str]
    name: Mapped[str]
    percent: Mapped[Decimal | None] = mapped_column(Numeric(9, 6))
    amount_minor: Mapped[int | None]
    currency_code: Mapped[str]
    duration: Mapped[str]
    duration_periods: Mapped[int | None]
    redemptions_max: Mapped[int | None]
    redemptions_per_customer_max: Mapped[int | None]
    redemptions: Mapped[int]
    priority: Mapped[int]
    cap_minor: Mapped[int | None]
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    plans: Mapped[list[Any]]
    charges: Mapped[list[Any]]
    meters: Mapped[list[Any]]
    stackable: Mapped[bool]
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class RuleRow(Base):
    """A discount that needs no code."""

    __tablename__ = "discount_rules"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    kind: Mapped[str]
    name: Mapped[str]
    user_types: Mapped[list[Any]]
    minimum_minor: Mapped[int | None]
    per: Mapped[str]
    percent: Mapped[Decimal | None] = mapped_column(Numeric(9, 6))
    amount_minor: Mapped[int | None]
    currency_code: Mapped[str]
    cap_minor: Mapped[int | None]
    priority: Mapped[int]
    stackable: Mapped[bool]
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    plans: Mapped[list[Any]]
    charges: Mapped[list[Any]]
    meters: Mapped[list[Any]]
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class DocumentRow(Base):
    """The lines of a document that count towards thresholds of its period."""

    __tablename__ = "discount_documents"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str]
    currency_code: Mapped[str]
    falls_at: Mapped[datetime]
    lines: Mapped[list[Any]]


class RedemptionRow(Base):
    """A customer, or a subscription of one, that took up a coupon; `documents` counts uses."""

    __tablename__ = "redemptions"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    coupon_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(primary_key=True)
    subscription_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    documents: Mapped[int]


class ApplicationRow(Base):
    """One coupon or rule on one document; `reversed_at` is set when it was given back."""

    __tablename__ = "discount_applications"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    coupon_id: Mapped[str]
    rule_id: Mapped[str]
    code: Mapped[str]
    description: Mapped[str]
    customer_id: Mapped[str]
    subscription_id: Mapped[str]
    reference: Mapped[str]
    amount_minor: Mapped[int]
    currency_code: Mapped[str]
    shares: Mapped[list[Any]]
    created_at: Mapped[datetime]
    reversed_at: Mapped[datetime | None]
