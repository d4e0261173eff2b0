"""Tables of identity."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `identity`."""

    metadata = service_metadata("identity")
    type_annotation_map = COLUMN_TYPES


class TenantRow(Base):
    """A customer of the platform."""

    __tablename__ = "tenants"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    live: Mapped[bool]
    created_at: Mapped[datetime]


class UserRow(Base):
    """A person; its row lives in the tenant that registration made."""

    __tablename__ = "users"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    email_key: Mapped[str]
    password_hash: Mapped[str]
    created_at: Mapped[datetime]


class MembershipRow(Base):
    """What a person may do in a tenant."""

    __tablename__ = "memberships"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    created_at: Mapped[datetime]


class StaffRow(Base):
    """A person of the operating company, in the tenant that its registration made."""

    __tablename__ = "staff"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    granted_by: Mapped[str]
    granted_at: Mapped[datetime]


class RefreshTokenRow(Base):
    """A refresh token, by its hash."""

    __tablename__ = "refresh_tokens"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class ApiKeyRow(Base):
    """An API key, by its hash."""

    __tablename__ = "api_keys"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    name: Mapped[str]
    hash: Mapped[str]
    scopes: Mapped[list[Any]]
    unlimited: Mapped[bool]
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
