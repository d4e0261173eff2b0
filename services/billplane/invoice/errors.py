"""What invoice refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class InvoiceNotFound(BillplaneError):
    """No such invoice."""

    kind = Kind.NOT_FOUND
    reason = "INVOICE_NOT_FOUND"


class CustomerUnknown(BillplaneError):
    """No such customer to bill."""

    kind = Kind.INVALID_ARGUMENT
    reason = "CUSTOMER_UNKNOWN"


class InvoiceNotDraft(BillplaneError):
    """Only a draft can be changed, deleted or finalized."""

    kind = Kind.FAILED_PRECONDITION
    reason = "INVOICE_NOT_DRAFT"


class InvoiceNotOpen(BillplaneError):
    """Only a finalized invoice that waits for its money can be voided or marked as paid."""

    kind = Kind.FAILED_PRECONDITION
    reason = "INVOICE_NOT_OPEN"


class InvoiceChanged(BillplaneError):
    """Somebody else changed the draft meanwhile; the request can be sent again."""

    kind = Kind.ABORTED
    reason = "INVOICE_CHANGED"


class DiscountChanged(BillplaneError):
    """The discounts of the draft do not apply any more as it showed them."""

    kind = Kind.FAILED_PRECONDITION
    reason = "DISCOUNT_CHANGED"


class FinalizationAbandoned(BillplaneError):
    """The attempt to finalize was given up; the invoice is about to be a draft again."""

    kind = Kind.ABORTED
    reason = "FINALIZATION_ABANDONED"


class TotalNegative(BillplaneError):
    """An invoice cannot ask for less than nothing."""

    kind = Kind.INVALID_ARGUMENT
    reason = "TOTAL_NEGATIVE"
