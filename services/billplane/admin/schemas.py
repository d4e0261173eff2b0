"""REST bodies of admin."""

from billplane.chassis.message_bodies import FailedMessage, LoggedFact
from billplane.chassis.rest import Resource


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


class Received(Resource):
    """A processor's event is stored; `duplicate` when it was before."""

    id: str
    duplicate: bool
