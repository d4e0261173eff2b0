"""How what happened elsewhere is posted: which legs a fact of invoice or payment has."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from billplane.ledger.domain.transactions import OPPOSITE, Direction, Posting, mirrored

MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Fact:
    """The money of a fact.

    `kind` is its proto's name; an invoice's amount is its net and its `taxes`, by jurisdiction.
    """

    kind: str
    currency_code: str
    amount_minor: int
    net_minor: int = 0
    taxes: Mapping[str, int] = field(default_factory=dict)
    fee_minor: int = 0
    processor: str = ""
    of_invoice: bool = True
    won: bool = False
    applied_minor: int = 0
    by_hand: bool = False


def fact_postings(fact: Fact) -> list[Posting]:
    """Return the legs of a fact on accounts of the chart, by name; none where no money moved."""
    legs = _Legs(fact.currency_code)
    _RULES[fact.kind](fact, legs)
    return legs.postings


class _Legs:
    """Collects legs in one currency; a negative amount stands on the other side, zero nowhere."""

    def __init__(self, currency: str) -> None:
        self.postings: list[Posting] = []
        self._currency = currency

    def debit(self, amount: int, *name: str) -> None:
        self._add("debit", amount, name)

    def credit(self, amount: int, *name: str) -> None:
        self._add("credit", amount, name)

    def _add(self, direction: Direction, amount: int, name: tuple[str, ...]) -> None:
        if not amount:
            return
        account = ":".join(
            (name[0], *(part.replace(":", "-") for part in name[1:]), self._currency)
        )
        side = direction if amount > 0 else OPPOSITE[direction]
        self.postings.append(Posting(account, side, abs(amount), self._currency))


def _finalized(fact: Fact, legs: _Legs) -> None:
    legs.debit(fact.amount_minor, "receivables")
    legs.credit(fact.net_minor, "revenue")
    for jurisdiction, amount in sorted(fact.taxes.items()):
        legs.credit(amount, "tax_payable", jurisdiction)
    legs.credit(fact.amount_minor - fact.net_minor - sum(fact.taxes.values()), "rounding")


def _voided(fact: Fact, legs: _Legs) -> None:
    issued = _Legs(fact.currency_code)
    _finalized(fact, issued)
    legs.postings += mirrored(issued.postings)


def _credited(fact: Fact, legs: _Legs) -> None:
    issued = _Legs(fact.currency_code)
    issued.credit(fact.net_minor, "revenue")
    for jurisdiction, amount in sorted(fact.taxes.items()):
        issued.credit(amount, "tax_payable", jurisdiction)
    issued.credit(fact.amount_minor - fact.net_minor - sum(fact.taxes.values()), "rounding")
    legs.postings += mirrored(issued.postings)
    legs.credit(fact.applied_minor, "receivables")
    over = fact.amount_minor - fact.applied_minor
    if fact.by_hand:
        legs.credit(over, "cash", MANUAL)
    else:
        legs.credit(over, "unapplied_payments")


def _paid_by_hand(fact: Fact, legs: _Legs) -> None:
    legs.debit(fact.amount_minor, "cash", MANUAL)
    legs.credit(fact.amount_minor, "receivables")


def _written_off(fact: Fact, legs: _Legs) -> None:
    legs.debit(fact.amount_minor, "bad_debts")
    legs.credit(fact.amount_minor, "receivables")


def _paid(fact: Fact, legs: _Legs) -> None:
    legs.debit(fact.amount_minor - fact.fee_minor, "cash", fact.processor)
    legs.debit(fact.fee_minor, "fees")
    legs.credit(fact.amount_minor, "receivables" if fact.of_invoice else "unapplied_payments")


def _refunded(fact: Fact, legs: _Legs) -> None:
    legs.debit(fact.amount_minor, "refunds" if fact.of_invoice else "unapplied_payments")
    legs.credit(fact.amount_minor, "cash", fact.processor)


def _disputed(fact: Fact, legs: _Legs) -> None:
    legs.debit(fact.amount_minor, "disputes")
    legs.debit(fact.fee_minor, "fees")
    legs.credit(fact.amount_minor + fact.fee_minor, "cash", fact.processor)


def _decided(fact: Fact, legs: _Legs) -> None:
    if fact.won:
        legs.debit(fact.amount_minor, "cash", fact.processor)
    else:
        legs.debit(fact.amount_minor, "dispute_losses")
    legs.credit(fact.amount_minor, "disputes")


_RULES = {
    "InvoiceFinalized": _finalized,
    "InvoiceVoided": _voided,
    "CreditNoteIssued": _credited,
    "InvoicePaid": _paid_by_hand,
    "InvoiceUncollectible": _written_off,
    "PaymentSucceeded": _paid,
    "RefundSucceeded": _refunded,
    "DisputeOpened": _disputed,
    "DisputeClosed": _decided,
}

_ANY = "<CUR>"
_PROCESSOR = "<processor>"
_TAXES = {"<jurisdiction>": 19}
# Each fact with names in place of what differs, for the documentation.
EXAMPLES: Mapping[str, Fact] = {
    "InvoiceFinalized": Fact("InvoiceFinalized", _ANY, 119, net_minor=100, taxes=_TAXES),
    "InvoiceVoided": Fact("InvoiceVoided", _ANY, 119, net_minor=100, taxes=_TAXES),
    "CreditNoteIssued, of what is due": Fact(
        "CreditNoteIssued", _ANY, 119, net_minor=100, taxes=_TAXES, applied_minor=119
    ),
    "CreditNoteIssued, of what was paid": Fact(
        "CreditNoteIssued", _ANY, 119, net_minor=100, taxes=_TAXES
    ),
    "CreditNoteIssued, given back by hand": Fact(
        "CreditNoteIssued", _ANY, 119, net_minor=100, taxes=_TAXES, by_hand=True
    ),
    "InvoicePaid, what was paid by hand": Fact("InvoicePaid", _ANY, 119),
    "InvoiceUncollectible, what is due": Fact("InvoiceUncollectible", _ANY, 119),
    "PaymentSucceeded, of an invoice": Fact(
        "PaymentSucceeded", _ANY, 119, fee_minor=3, processor=_PROCESSOR
    ),
    "PaymentSucceeded, of none": Fact(
        "PaymentSucceeded", _ANY, 119, fee_minor=3, processor=_PROCESSOR, of_invoice=False
    ),
    "RefundSucceeded, of an invoice": Fact("RefundSucceeded", _ANY, 119, processor=_PROCESSOR),
    "RefundSucceeded, of a credit note or of none": Fact(
        "RefundSucceeded", _ANY, 119, processor=_PROCESSOR, of_invoice=False
    ),
    "DisputeOpened": Fact("DisputeOpened", _ANY, 119, fee_minor=15, processor=_PROCESSOR),
    "DisputeClosed, won": Fact("DisputeClosed", _ANY, 119, processor=_PROCESSOR, won=True),
    "DisputeClosed, lost": Fact("DisputeClosed", _ANY, 119, processor=_PROCESSOR),
}
