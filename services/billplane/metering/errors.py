"""What metering refuses."""

from collections.abc import Sequence
from typing import Any

from billplane.chassis.errors import BillplaneError, FieldError, Kind


class EventsRefused(BillplaneError):
    """Some events of a request are wrong; none was taken."""

    kind = Kind.INVALID_ARGUMENT

    def __init__(self, errors: Sequence["EventError"]) -> None:
        first = errors[0]
        super().__init__(first.detail, field=first.field, errors=errors)
        self.reason = first.reason


class EventIdReused(BillplaneError):
    """An event's id was used for another event."""

    kind = Kind.ABORTED
    reason = "EVENT_ID_REUSED"


class TooManyEvents(BillplaneError):
    """A request carries more events than one may."""

    kind = Kind.TOO_LARGE
    reason = "TOO_MANY_EVENTS"


class MediaTypeUnsupported(BillplaneError):
    """The body is of a kind that is not read here."""

    kind = Kind.UNSUPPORTED_MEDIA_TYPE
    reason = "UNSUPPORTED_MEDIA_TYPE"


class NotPost(BillplaneError):
    """Another method than POST."""

    kind = Kind.METHOD_NOT_ALLOWED
    reason = "METHOD_NOT_ALLOWED"


class MeterNotFound(BillplaneError):
    """No such meter."""

    kind = Kind.NOT_FOUND
    reason = "METER_NOT_FOUND"


class UsageEventNotFound(BillplaneError):
    """No such event is stored."""

    kind = Kind.NOT_FOUND
    reason = "USAGE_EVENT_NOT_FOUND"


class UsageEventVoided(BillplaneError):
    """The event was voided, so that there is nothing to adjust."""

    kind = Kind.FAILED_PRECONDITION
    reason = "USAGE_EVENT_VOIDED"


class PlanNotFound(BillplaneError):
    """The customer is on no plan and the tenant has no default one."""

    kind = Kind.NOT_FOUND
    reason = "PLAN_NOT_FOUND"


class IngestBusy(BillplaneError):
    """More usage is waiting to be stored than fits; nothing was taken."""

    kind = Kind.UNAVAILABLE
    reason = "INGEST_BUSY"


class EventError(FieldError):
    """One bad field of one event; `index` counts from 0."""

    __slots__ = ("index",)

    def __init__(self, index: int, field: str, reason: str, detail: str) -> None:
        super().__init__(field, reason, detail)
        object.__setattr__(self, "index", index)

    index: int

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"index": self.index, **super().as_json()}
