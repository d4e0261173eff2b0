"""What the gateway itself refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class RouteNotFound(BillplaneError):
    """No service answers the path."""

    kind = Kind.NOT_FOUND
    reason = "ROUTE_NOT_FOUND"


class DemoDisabled(BillplaneError):
    """The demo tenant has a live key, so it no longer serves calls without a credential."""

    kind = Kind.UNAUTHENTICATED
    reason = "DEMO_DISABLED"


class UpstreamUnavailable(BillplaneError):
    """The service behind the path cannot be reached."""

    kind = Kind.UNAVAILABLE
    reason = "UPSTREAM_UNAVAILABLE"


class UpstreamTimeout(BillplaneError):
    """The service behind the path did not answer in time."""

    kind = Kind.DEADLINE_EXCEEDED
    reason = "UPSTREAM_TIMEOUT"


class TooManyStreams(BillplaneError):
    """The mode has as many streams open as it may have."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_STREAMS"
