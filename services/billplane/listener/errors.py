"""What the listener refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class AuditEntryNotFound(BillplaneError):
    """No such entry."""

    kind = Kind.NOT_FOUND
    reason = "AUDIT_ENTRY_NOT_FOUND"


class DeadLetterNotFound(BillplaneError):
    """No such dead letter."""

    kind = Kind.NOT_FOUND
    reason = "DEAD_LETTER_NOT_FOUND"


class ReplayFailed(BillplaneError):
    """The reaction failed again; the letter stays."""

    kind = Kind.FAILED_PRECONDITION
    reason = "REPLAY_FAILED"
