"""What the listener refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class AuditEntryNotFound(BillplaneError):
    """No such entry."""

    kind = Kind.NOT_FOUND
    reason = "AUDIT_ENTRY_NOT_FOUND"
