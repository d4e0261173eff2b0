"""What applying and changing specs refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class StaleGeneration(BillplaneError):
    """An older epoch or generation came after a newer one."""

    kind = Kind.FAILED_PRECONDITION
    reason = "STALE_GENERATION"


class NameTaken(BillplaneError):
    """Another object has the name."""

    kind = Kind.ALREADY_EXISTS
    reason = "NAME_TAKEN"


class ManagedByResource(BillplaneError):
    """The object belongs to a resource and is read-only through the API."""

    kind = Kind.FAILED_PRECONDITION
    reason = "MANAGED_BY_RESOURCE"


class SpecHashDiffers(BillplaneError):
    """The caller's hash is not that of the spec it sent."""

    kind = Kind.INVALID_ARGUMENT
    reason = "SPEC_HASH_DIFFERS"


class ResourceNotFound(BillplaneError):
    """No such object."""

    kind = Kind.NOT_FOUND
    reason = "RESOURCE_NOT_FOUND"
