"""Errors of admin."""

from billplane.chassis.errors import BillplaneError, Kind


class ServiceNotFound(BillplaneError):
    """There is no service of that name."""

    kind = Kind.NOT_FOUND
    reason = "SERVICE_NOT_FOUND"
