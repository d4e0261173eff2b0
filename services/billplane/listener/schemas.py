"""REST bodies of the listener."""

from datetime import datetime

from billplane.chassis.message_bodies import FailedMessage, LoggedFact
from billplane.chassis.rest import Resource


class Reaction(Resource):
    """One row of the table of reactions."""

    name: str
    message: str
    condition: str
    task: str
    enabled: bool


class ReactionList(Resource):
    """All reactions; there are few, so that there is no next page."""

    data: list[Reaction]
    next_cursor: str | None


class DeadLetter(FailedMessage):
    """A message that a reaction failed on as often as it may."""

    reaction: str


class DeadLetterList(Resource):
    """A page of dead letters."""

    data: list[DeadLetter]
    next_cursor: str | None


class AuditEntry(LoggedFact):
    """One fact as it was received."""

    aggregate_version: int
    created_at: datetime
    correlation_id: str
    causation_id: str
    previous_hash: str


class AuditEntryList(Resource):
    """A page of the audit log."""

    data: list[AuditEntry]
    next_cursor: str | None
