"""What ledger refuses."""

from billplane.chassis.errors import BillplaneError, Kind


class TransactionUnbalanced(BillplaneError):
    """Debits and credits differ in some currency."""

    kind = Kind.INVALID_ARGUMENT
    reason = "TRANSACTION_UNBALANCED"


class AccountNotFound(BillplaneError):
    """No such account."""

    kind = Kind.NOT_FOUND
    reason = "ACCOUNT_NOT_FOUND"


class AccountUnknown(BillplaneError):
    """A posting names an account that there is not."""

    kind = Kind.INVALID_ARGUMENT
    reason = "ACCOUNT_UNKNOWN"


class TransactionNotFound(BillplaneError):
    """No such transaction."""

    kind = Kind.NOT_FOUND
    reason = "TRANSACTION_NOT_FOUND"


class ExternalIdReused(BillplaneError):
    """The external_id belongs to another account, or to a transaction of other money."""

    kind = Kind.ALREADY_EXISTS
    reason = "EXTERNAL_ID_REUSED"


class InsufficientFunds(BillplaneError):
    """An account would fall below what it may."""

    kind = Kind.FAILED_PRECONDITION
    reason = "INSUFFICIENT_FUNDS"


class BalanceOutOfRange(BillplaneError):
    """An account would hold more than can be told exactly."""

    kind = Kind.FAILED_PRECONDITION
    reason = "BALANCE_OUT_OF_RANGE"


class NotAHold(BillplaneError):
    """The transaction was never pending."""

    kind = Kind.FAILED_PRECONDITION
    reason = "NOT_A_HOLD"


class HoldClosed(BillplaneError):
    """The hold was posted, released or has expired."""

    kind = Kind.FAILED_PRECONDITION
    reason = "HOLD_CLOSED"


class HoldExpired(BillplaneError):
    """The hold's time is over."""

    kind = Kind.FAILED_PRECONDITION
    reason = "HOLD_EXPIRED"


class HoldNotDue(BillplaneError):
    """The hold's time is not over yet."""

    kind = Kind.FAILED_PRECONDITION
    reason = "HOLD_NOT_DUE"


class HoldExceeded(BillplaneError):
    """More is to be posted than the hold still reserves."""

    kind = Kind.FAILED_PRECONDITION
    reason = "HOLD_EXCEEDED"


class HoldIndivisible(BillplaneError):
    """A hold of more than two postings is posted whole."""

    kind = Kind.FAILED_PRECONDITION
    reason = "HOLD_INDIVISIBLE"


class NotReversible(BillplaneError):
    """Only what was posted is reversed: a hold is released, a reversal stands."""

    kind = Kind.FAILED_PRECONDITION
    reason = "NOT_REVERSIBLE"


class AlreadyReversed(BillplaneError):
    """The transaction was reversed before."""

    kind = Kind.FAILED_PRECONDITION
    reason = "ALREADY_REVERSED"


class LedgerBusy(BillplaneError):
    """Too many transactions wait to be written."""

    kind = Kind.UNAVAILABLE
    reason = "LEDGER_BUSY"
