"""What payment refuses."""

from typing import Any

from billplane.chassis.errors import BillplaneError, Kind


class PaymentIntentNotFound(BillplaneError):
    """No such intent."""

    kind = Kind.NOT_FOUND
    reason = "PAYMENT_INTENT_NOT_FOUND"


class PaymentMethodNotFound(BillplaneError):
    """No such payment method."""

    kind = Kind.NOT_FOUND
    reason = "PAYMENT_METHOD_NOT_FOUND"


class ChargeNotFound(BillplaneError):
    """No such charge."""

    kind = Kind.NOT_FOUND
    reason = "CHARGE_NOT_FOUND"


class RefundNotFound(BillplaneError):
    """No such refund."""

    kind = Kind.NOT_FOUND
    reason = "REFUND_NOT_FOUND"


class DisputeNotFound(BillplaneError):
    """No such dispute."""

    kind = Kind.NOT_FOUND
    reason = "DISPUTE_NOT_FOUND"


class CustomerNotFound(BillplaneError):
    """No such customer."""

    kind = Kind.NOT_FOUND
    reason = "CUSTOMER_NOT_FOUND"


class AuthenticationNotFound(BillplaneError):
    """No payer is asked at this address, or no longer."""

    kind = Kind.NOT_FOUND
    reason = "AUTHENTICATION_NOT_FOUND"


class PaymentIntentUnexpectedState(BillplaneError):
    """The intent's state does not allow it."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PAYMENT_INTENT_UNEXPECTED_STATE"


class AttemptRunning(BillplaneError):
    """Another request works on the same object at this moment."""

    kind = Kind.ABORTED
    reason = "LOCK_TIMEOUT"


class PaymentMethodMissing(BillplaneError):
    """There is nothing to pay with."""

    kind = Kind.INVALID_ARGUMENT
    reason = "PARAMETER_MISSING"


class PaymentMethodUnexpectedState(BillplaneError):
    """The payment method belongs to a customer, or to another one."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PAYMENT_METHOD_UNEXPECTED_STATE"


class AmountTooLarge(BillplaneError):
    """More than can be captured."""

    kind = Kind.INVALID_ARGUMENT
    reason = "AMOUNT_TOO_LARGE"


class RefundExceedsCharge(BillplaneError):
    """More than is left of what was captured."""

    kind = Kind.INVALID_ARGUMENT
    reason = "AMOUNT_TOO_LARGE"


class ChargeAlreadyRefunded(BillplaneError):
    """Nothing is left of what was captured."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CHARGE_ALREADY_REFUNDED"


class ChargeDisputed(BillplaneError):
    """A disputed charge cannot be refunded: its bank holds the money."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CHARGE_DISPUTED"


class ChargeNotCaptured(BillplaneError):
    """There is nothing captured that could go back."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CHARGE_NOT_REFUNDABLE"


class RefundNotCancelable(BillplaneError):
    """The refund is on its way or done."""

    kind = Kind.FAILED_PRECONDITION
    reason = "REFUND_NOT_CANCELABLE"


class DisputeDecided(BillplaneError):
    """A decided dispute takes no more evidence."""

    kind = Kind.FAILED_PRECONDITION
    reason = "DISPUTE_DECIDED"


class CardRefused(BillplaneError):
    """The processor did not take the card's particulars."""

    kind = Kind.DECLINED
    reason = "CARD_ERROR"

    def __init__(self, failure: Any, **stripe: Any) -> None:
        super().__init__(
            failure.message,
            metadata={"stripe": {"code": failure.code, **failure.as_stripe(), **stripe}},
        )


class CaptureRefused(BillplaneError):
    """The processor refused to capture."""

    kind = Kind.DECLINED
    reason = "CAPTURE_FAILED"


class ProcessorUnknown(BillplaneError):
    """No such processor, or not this platform's."""

    kind = Kind.NOT_FOUND
    reason = "PROCESSOR_UNKNOWN"


class ProcessorSignatureInvalid(BillplaneError):
    """The signature is not the processor's, or too old."""

    kind = Kind.MALFORMED
    reason = "PROCESSOR_SIGNATURE_INVALID"


class ProcessorUnavailable(BillplaneError):
    """The processor cannot be asked now."""

    kind = Kind.UNAVAILABLE
    reason = "PROCESSOR_UNAVAILABLE"


class CollectionNotBegun(BillplaneError):
    """The invoice is not known here yet, or is not final."""

    kind = Kind.ABORTED
    reason = "COLLECTION_NOT_BEGUN"
