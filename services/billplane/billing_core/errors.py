"""What billing_core refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class WalletNotFound(BillplaneError):
    """No such wallet, or the customer has none in the currency."""

    kind = Kind.NOT_FOUND
    reason = "WALLET_NOT_FOUND"


class WalletBusy(BillplaneError):
    """Others changed it again and again before this could be decided."""

    kind = Kind.UNAVAILABLE
    reason = "WALLET_BUSY"


class ReservationNotFound(BillplaneError):
    """No such reservation."""

    kind = Kind.NOT_FOUND
    reason = "RESERVATION_NOT_FOUND"


class OperationNotFound(BillplaneError):
    """No such operation."""

    kind = Kind.NOT_FOUND
    reason = "OPERATION_NOT_FOUND"


class InsufficientBalance(BillplaneError):
    """More is asked for than is available."""

    kind = Kind.FAILED_PRECONDITION
    reason = "INSUFFICIENT_BALANCE"


class ReservationExpired(BillplaneError):
    """The reservation's time is over."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RESERVATION_EXPIRED"


class ReservationReleased(BillplaneError):
    """The reservation was given back."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RESERVATION_RELEASED"


class ReservationCommitted(BillplaneError):
    """The reservation was committed to its end."""

    kind = Kind.FAILED_PRECONDITION
    reason = "RESERVATION_COMMITTED"


class CommitExceedsReservation(BillplaneError):
    """More is to be committed than the reservation still holds."""

    kind = Kind.FAILED_PRECONDITION
    reason = "COMMIT_EXCEEDS_RESERVATION"


class CurrencyMismatch(BillplaneError):
    """The wallet is kept in another currency, or it is not clear which wallet is meant."""

    kind = Kind.FAILED_PRECONDITION
    reason = "CURRENCY_MISMATCH"


class OperationNotRefundable(BillplaneError):
    """The operation took nothing that could be given back here."""

    kind = Kind.FAILED_PRECONDITION
    reason = "OPERATION_NOT_REFUNDABLE"


class RefundExceedsOperation(BillplaneError):
    """More is to be given back than the operation took."""

    kind = Kind.FAILED_PRECONDITION
    reason = "REFUND_EXCEEDS_OPERATION"


class PaymentNotSucceeded(BillplaneError):
    """The payment has not brought that money."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PAYMENT_NOT_SUCCEEDED"


class PaymentMismatch(BillplaneError):
    """The payment is of another amount, currency or customer, or fills another wallet."""

    kind = Kind.FAILED_PRECONDITION
    reason = "PAYMENT_MISMATCH"


class BalanceOutOfRange(BillplaneError):
    """The wallet would hold more than can be told exactly."""

    kind = Kind.FAILED_PRECONDITION
    reason = "BALANCE_OUT_OF_RANGE"


class NothingToCharge(BillplaneError):
    """The price, or the amount in the wallet's currency, comes to nothing."""

    kind = Kind.FAILED_PRECONDITION
    reason = "NOTHING_TO_CHARGE"
