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


class InvoiceNotIssued(BillplaneError):
    """Only an issued invoice can be corrected, sent or written as an e-invoice."""

    kind = Kind.FAILED_PRECONDITION
    reason = "INVOICE_NOT_ISSUED"


class EInvoiceInvalid(BillplaneError):
    """The document would break rules of EN 16931; the fields that lack are named."""

    kind = Kind.FAILED_PRECONDITION
    reason = "E_INVOICE_INVALID"


class EInvoiceUnsupported(BillplaneError):
    """EN 16931 has no words for what the document says."""

    kind = Kind.FAILED_PRECONDITION
    reason = "E_INVOICE_UNSUPPORTED"


class CreditNoteNotFound(BillplaneError):
    """No such credit note."""

    kind = Kind.NOT_FOUND
    reason = "CREDIT_NOTE_NOT_FOUND"


class InvoiceNotCreditable(BillplaneError):
    """Only a finalized, past due or paid invoice can be credited."""

    kind = Kind.FAILED_PRECONDITION
    reason = "INVOICE_NOT_CREDITABLE"


class NothingToCredit(BillplaneError):
    """Everything of the invoice was credited before, or it asked for nothing."""

    kind = Kind.FAILED_PRECONDITION
    reason = "NOTHING_TO_CREDIT"


class CreditTooLarge(BillplaneError):
    """More is to be credited than is left of the invoice or of its line."""

    kind = Kind.INVALID_ARGUMENT
    reason = "CREDIT_TOO_LARGE"


class InvoiceCredited(BillplaneError):
    """An invoice that was credited or paid in part is corrected by credit notes, not voided."""

    kind = Kind.FAILED_PRECONDITION
    reason = "INVOICE_CREDITED"


class RecipientMissing(BillplaneError):
    """Nobody is named to send the document to."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RECIPIENT_MISSING"


class RefundNotPossible(BillplaneError):
    """Less was paid through payment than is to go back that way."""

    kind = Kind.FAILED_PRECONDITION
    reason = "REFUND_NOT_POSSIBLE"


class CreditNotPossible(BillplaneError):
    """There is no customer whose credit it could be."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CREDIT_NOT_POSSIBLE"


class PaymentNotCollected(BillplaneError):
    """The payment method was declined, or its owner has to confirm."""

    kind = Kind.DECLINED
    reason = "PAYMENT_DECLINED"
