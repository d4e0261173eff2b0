"""What utility_provider refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class ProviderNotFound(BillplaneError):
    """No such provider."""

    kind = Kind.NOT_FOUND
    reason = "PROVIDER_NOT_FOUND"


class NoEndpoint(BillplaneError):
    """The provider has a simulator only, and none runs yet."""

    kind = Kind.FAILED_PRECONDITION
    reason = "NO_ENDPOINT"
