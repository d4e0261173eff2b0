"""REST bodies of the listener."""

from datetime import datetime
from typing import Any

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


class DeadLetter(Resource):
    """A message that a reaction failed on as often as it may."""

    id: str
    reaction: str
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
    """One fact as it was received; hashes in hex."""

    id: str
    sequence: int
    event_id: str
    message: str
    source: str
    aggregate_type: str
    aggregate_id: str
    aggregate_version: int
    occurred_at: datetime
    created_at: datetime
    correlation_id: str
    causation_id: str
    payload: dict[str, Any]
    previous_hash: str
    hash: str


class AuditEntryList(Resource):
    """A page of the audit log."""

    data: list[AuditEntry]
    next_cursor: str | None
