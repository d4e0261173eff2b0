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


class RateDeviates(BillplaneError):
    """A rate by hand differs from the known one by more than the feed allows."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RATE_DEVIATES"


class RateNotHeldBack(BillplaneError):
    """There is nothing to approve: the rate is used already."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RATE_NOT_HELD_BACK"


class ApprovalByAuthor(BillplaneError):
    """Who recorded a rate cannot approve it too."""

    kind = Kind.PERMISSION_DENIED
    reason = "APPROVAL_BY_AUTHOR"


class RateNotByHand(BillplaneError):
    """Only rates by hand are withdrawn."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RATE_NOT_BY_HAND"


class RateWithdrawn(BillplaneError):
    """The rate was withdrawn already."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RATE_WITHDRAWN"


class CurrencyDisabled(BillplaneError):
    """The tenant has disabled the currency."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CURRENCY_DISABLED"


class CurrencyIsDefault(BillplaneError):
    """The tenant's default currency cannot be disabled."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CURRENCY_IS_DEFAULT"
