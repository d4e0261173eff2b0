"""What subscription refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class CustomerNotFound(BillplaneError):
    """No such customer."""

    kind = Kind.NOT_FOUND
    reason = "CUSTOMER_NOT_FOUND"


class ExternalIdTaken(BillplaneError):
    """Another customer has the external id."""

    kind = Kind.ALREADY_EXISTS
    reason = "EXTERNAL_ID_TAKEN"


class CustomerInUse(BillplaneError):
    """The customer has subscriptions."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CUSTOMER_IN_USE"


class SubscriptionNotFound(BillplaneError):
    """No such subscription."""

    kind = Kind.NOT_FOUND
    reason = "SUBSCRIPTION_NOT_FOUND"


class SubscriptionEndedAlready(BillplaneError):
    """The subscription has ended."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SUBSCRIPTION_ENDED"


class PlanArchived(BillplaneError):
    """The plan is no longer sold."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PLAN_ARCHIVED"


class CurrencyNotPriced(BillplaneError):
    """The plan is not priced in the customer's currency."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CURRENCY_NOT_PRICED"


class BillingRunNotFound(BillplaneError):
    """No such billing run."""

    kind = Kind.NOT_FOUND
    reason = "BILLING_RUN_NOT_FOUND"


class TestClockNotFound(BillplaneError):
    """No such test clock."""

    kind = Kind.NOT_FOUND
    reason = "TEST_CLOCK_NOT_FOUND"


class TestModeOnly(BillplaneError):
    """Test clocks exist in test mode only."""

    kind = Kind.FAILED_PRECONDITION
    reason = "TEST_MODE_ONLY"


class ClockMovesForward(BillplaneError):
    """A test clock cannot go back."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CLOCK_MOVES_FORWARD"


class SubscriptionBusy(BillplaneError):
    """Another worker bills the subscription now."""

    kind = Kind.ABORTED
    reason = "SUBSCRIPTION_BUSY"


class InvoiceItemNotFound(BillplaneError):
    """No such item."""

    kind = Kind.NOT_FOUND
    reason = "INVOICE_ITEM_NOT_FOUND"


class InvoiceItemBilled(BillplaneError):
    """The item is on an invoice."""

    kind = Kind.FAILED_PRECONDITION
    reason = "INVOICE_ITEM_BILLED"


class PlanUnchanged(BillplaneError):
    """The subscription is on that plan."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PLAN_UNCHANGED"


class SubscriptionNotActive(BillplaneError):
    """The subscription's state does not allow it."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SUBSCRIPTION_NOT_ACTIVE"


class SubscriptionNotPaused(BillplaneError):
    """The subscription is not paused."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SUBSCRIPTION_NOT_PAUSED"
