"""REST bodies of admin."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from billplane.chassis.rest import Body, Resource


class DeadLetter(Resource):
    """A message that a service could not handle."""

    id: str
    service: str
    consumer: str
    message: str
    event_id: str
    aggregate_id: str
    reason: str
    detail: str
    attempts: int
    created_at: datetime


class DeadLetterList(Resource):
    """A page of dead letters."""

    data: list[DeadLetter]
    next_cursor: str | None


class AuditEntry(Resource):
    """Something that happened; `hash` is over the entry before and this one, hex."""

    id: str
    sequence: int
    event_id: str
    message: str
    source: str
    aggregate_type: str
    aggregate_id: str
    occurred_at: datetime
    payload: dict[str, Any]
    hash: str


class AuditEntryList(Resource):
    """A page of the audit log."""

    data: list[AuditEntry]
    next_cursor: str | None


class StaffBody(Body):
    """A member of the staff to be: by id, for anybody may register with any address."""

    user_id: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    role: Literal["support", "finance", "platform"]


class StaffMember(Resource):
    """A person of the operating company."""

    user_id: str
    email: str
    role: str
    granted_by: str
    granted_at: datetime


class StaffList(Resource):
    """A page of the staff."""

    data: list[StaffMember]
    next_cursor: str | None


class Received(Resource):
    """A processor's event is stored; `duplicate` when it was before."""

    id: str
    duplicate: bool
