"""REST bodies of messages that failed and of facts in a log, which several services show."""

from datetime import datetime
from typing import Any

from billplane.chassis.rest import Resource


class FailedMessage(Resource):
    """A message that was handled in vain as often as it may be."""

    id: str
    message: str
    event_id: str
    aggregate_id: str
    reason: str
    detail: str
    attempts: int
    created_at: datetime


class LoggedFact(Resource):
    """An entry of a log in which each one's hash covers the one before; hex."""

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
