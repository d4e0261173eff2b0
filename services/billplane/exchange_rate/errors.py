"""What exchange_rate refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class FeedNotFound(BillplaneError):
    """No such feed."""

    kind = Kind.NOT_FOUND
    reason = "FEED_NOT_FOUND"


class RateNotFound(BillplaneError):
    """No feed knows this pair at or before the date."""

    kind = Kind.NOT_FOUND
    reason = "RATE_NOT_FOUND"


class RateStale(BillplaneError):
    """The last known rate is older than the feed allows."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RATE_STALE"


class SourceUnreadable(BillplaneError):
    """The source's answer is not what the spec says it is."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SOURCE_UNREADABLE"


class SourceRefused(BillplaneError):
    """A Secret or ConfigMap holds what no source can use."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SOURCE_REFUSED"
