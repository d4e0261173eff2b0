"""Tables of notification."""

from datetime import datetime
from typing import Any

from sqlalchemy import Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from billplane.chassis.database import COLUMN_TYPES, service_metadata


class Base(DeclarativeBase):
    """Tables of the schema `notification`."""

    metadata = service_metadata("notification")
    type_annotation_map = COLUMN_TYPES


class EventHeadRow(Base):
    """The number of a mode's last event; its lock makes events follow one another."""

    __tablename__ = "event_heads"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    sequence: Mapped[int]


class EventRow(Base):
    """One event as its readers see it; never changed."""

    __tablename__ = "events"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str]
    type: Mapped[str]
    object_id: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime]


class ObjectVersionRow(Base):
    """The last version of an object that was told, so that its events come in order."""

    __tablename__ = "object_versions"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    aggregate_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]


class EndpointRow(Base):
    """Where events are delivered."""

    __tablename__ = "webhook_endpoints"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    url: Mapped[str]
    description: Mapped[str]
    enabled_events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    tags: Mapped[dict[str, Any]] = mapped_column("metadata")
    api_version: Mapped[str]
    status: Mapped[str]
    disabled_reason: Mapped[str]
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    previous_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    previous_expires_at: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]
    created_at: Mapped[datetime]


class DeliveryRow(Base):
    """One event on its way to one endpoint; the lease of who has it in hand is its due time."""

    __tablename__ = "deliveries"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    endpoint_id: Mapped[str]
    event_id: Mapped[str]
    event_sequence: Mapped[int]
    event_type: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    due_at: Mapped[datetime]
    claimed_by: Mapped[str | None]
    last_status: Mapped[int | None] = mapped_column(Integer)
    last_error: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class AttemptRow(Base):
    """One attempt at a delivery."""

    __tablename__ = "delivery_attempts"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    delivery_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    attempted_at: Mapped[datetime]
    milliseconds: Mapped[int] = mapped_column(Integer)
    status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str]
    answer: Mapped[str]


class MessageRow(Base):
    """An e-mail or short message to a person."""

    __tablename__ = "messages"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    livemode: Mapped[bool]
    channel: Mapped[str]
    recipient: Mapped[str]
    template: Mapped[str]
    locale: Mapped[str]
    variables: Mapped[dict[str, Any]]
    dedupe_key: Mapped[str]
    subject: Mapped[str]
    state: Mapped[str]
    detail: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    due_at: Mapped[datetime]
    claimed_by: Mapped[str | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class TemplateRow(Base):
    """A tenant's own wording of a message."""

    __tablename__ = "templates"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    locale: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str]
    text: Mapped[str]
    html: Mapped[str]
    updated_at: Mapped[datetime]


class SettingsRow(Base):
    """How a tenant's messages look."""

    __tablename__ = "settings"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    locale: Mapped[str]
    sender_name: Mapped[str]
    reply_to: Mapped[str]
    notice_email: Mapped[str]
    updated_at: Mapped[datetime]
