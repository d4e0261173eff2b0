"""REST bodies of admin."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import StringConstraints

from billplane.chassis.message_bodies import FailedMessage, LoggedFact
from billplane.chassis.rest import Body, Resource


class DeadLetter(FailedMessage):
    """A message that a service could not handle."""

    service: str
    consumer: str


class DeadLetterList(Resource):
    """A page of dead letters."""

    data: list[DeadLetter]
    next_cursor: str | None


class AuditEntry(LoggedFact):
    """Something that happened."""


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
