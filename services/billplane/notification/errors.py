"""What notification refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class EventNotFound(BillplaneError):
    """No such event, or it is older than events are kept."""

    kind = Kind.NOT_FOUND
    reason = "EVENT_NOT_FOUND"


class CursorExpired(BillplaneError):
    """Events after the cursor were forgotten, so that going on from it would leave some out."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CURSOR_EXPIRED"


class EndpointNotFound(BillplaneError):
    """No such webhook endpoint."""

    kind = Kind.NOT_FOUND
    reason = "WEBHOOK_ENDPOINT_NOT_FOUND"


class EndpointUrlRefused(BillplaneError):
    """The address is one that nothing may be delivered to."""

    kind = Kind.INVALID_ARGUMENT
    reason = "URL_INVALID"


class EventTypeUnknown(BillplaneError):
    """No event has such a type."""

    kind = Kind.INVALID_ARGUMENT
    reason = "EVENT_TYPE_UNKNOWN"


class EndpointLimit(BillplaneError):
    """The mode has as many endpoints as it may have."""

    kind = Kind.FAILED_PRECONDITION
    reason = "WEBHOOK_ENDPOINT_LIMIT"


class EndpointDisabled(BillplaneError):
    """Nothing is delivered to an endpoint that is disabled."""

    kind = Kind.FAILED_PRECONDITION
    reason = "WEBHOOK_ENDPOINT_DISABLED"


class DeliveryNotFound(BillplaneError):
    """No such delivery."""

    kind = Kind.NOT_FOUND
    reason = "WEBHOOK_DELIVERY_NOT_FOUND"


class DeliveryPending(BillplaneError):
    """The delivery is still under way."""

    kind = Kind.FAILED_PRECONDITION
    reason = "WEBHOOK_DELIVERY_PENDING"


class MessageNotFound(BillplaneError):
    """No such e-mail or short message."""

    kind = Kind.NOT_FOUND
    reason = "NOTIFICATION_NOT_FOUND"


class MessageInvalid(BillplaneError):
    """The task asks for something that cannot be told."""

    kind = Kind.INVALID_ARGUMENT
    reason = "NOTIFICATION_INVALID"


class MessageNotFailed(BillplaneError):
    """Only what failed, or could not be sent, is sent again."""

    kind = Kind.FAILED_PRECONDITION
    reason = "NOTIFICATION_NOT_FAILED"


class TemplateNotFound(BillplaneError):
    """No such template."""

    kind = Kind.NOT_FOUND
    reason = "TEMPLATE_NOT_FOUND"


class TemplateInvalid(BillplaneError):
    """The template cannot be read, or does more than a template may."""

    kind = Kind.INVALID_ARGUMENT
    reason = "TEMPLATE_INVALID"
