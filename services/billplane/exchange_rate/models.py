"""Tables of exchange_rate."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import LargeBinary, Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.applied import AppliedColumns
from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `exchange_rate`."""

    metadata = service_metadata("exchange_rate")
    type_annotation_map = COLUMN_TYPES


class FeedRow(AppliedColumns, Base):
    """A feed and what its last fetch brought."""

    __tablename__ = "feeds"

    last_success_at: Mapped[datetime | None]
    next_refresh_at: Mapped[datetime | None]
    last_error: Mapped[str]
    stale_told: Mapped[bool]


class RateRow(Base):
    """Units of quote for one unit of base, on one date; by hand where `actor` is set."""

    __tablename__ = "rates"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    feed_id: Mapped[str]
    base: Mapped[str]
    quote: Mapped[str]
    rate: Mapped[Decimal] = mapped_column(Numeric(40, 18))
    as_of: Mapped[date]
    held_back: Mapped[bool]
    fetched_at: Mapped[datetime]
    until: Mapped[date | None]
    reason: Mapped[str | None]
    actor: Mapped[str | None]
    livemode: Mapped[bool | None]


class DecisionRow(Base):
    """What somebody decided about a rate: that it is used after all, or no more."""

    __tablename__ = "rate_decisions"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    rate_id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    actor: Mapped[str]
    reason: Mapped[str]
    effective_on: Mapped[date]
    decided_at: Mapped[datetime]


class CurrencyRow(Base):
    """What a tenant has set of a currency; all others are enabled."""

    __tablename__ = "currencies"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    enabled: Mapped[bool]
    is_default: Mapped[bool]
    changed_by: Mapped[str]
    changed_at: Mapped[datetime]


class FeedSourceRow(Base):
    """What the Secrets and ConfigMaps hold that a feed's sources name, sealed."""

    __tablename__ = "feed_sources"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    feed_id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    provided_at: Mapped[datetime]
