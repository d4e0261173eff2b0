"""What is posted when others say that something happened: one handler a fact.

Which legs each has is in `domain.facts`; docs/concepts/chart-of-accounts.md shows them.
"""

from typing import Any

from billplane.chassis.database import Transaction
from billplane.chassis.events import Consumers, Event, fact
from billplane.ledger.domain import Fact
from billplane.ledger.service.posting import post_fact
from billplane.protos.invoice.v1.events_pb2 import (
    CreditNoteIssued,
    InvoiceFinalized,
    InvoicePaid,
    InvoiceUncollectible,
    InvoiceVoided,
)
from billplane.protos.payment.v1.events_pb2 import (
    DisputeClosed,
    DisputeOpened,
    PaymentSucceeded,
    RefundSucceeded,
)

consumers = Consumers()
_OF_PAYMENT = "payment_intent"


@consumers.on(fact(InvoiceFinalized, "invoice"))
async def post_finalized_invoice(tx: Transaction, event: Event[InvoiceFinalized]) -> None:
    """Post what the customer owes as revenue and tax."""
    await _post_invoice(tx, event, event.payload.total_minor, "finalized")


@consumers.on(fact(InvoiceVoided, "invoice"))
async def post_voided_invoice(tx: Transaction, event: Event[InvoiceVoided]) -> None:
    """Post the opposite of what was posted when the invoice was finalized."""
    await _post_invoice(tx, event, event.payload.total_minor, "voided", settles=True)


@consumers.on(fact(CreditNoteIssued, "invoice"))
async def post_credit_note(tx: Transaction, event: Event[CreditNoteIssued]) -> None:
    """Post what was given back of revenue and tax, less owed or left over."""
    note = event.payload
    await post_fact(
        tx,
        event.metadata.event_id,
        Fact(
            kind=note.DESCRIPTOR.name,
            currency_code=note.currency_code,
            amount_minor=note.total_minor,
            net_minor=note.net_minor,
            taxes=_taxes(note),
            applied_minor=note.applied_minor,
            by_hand=note.excess == "by_hand",
        ),
        description=f"credit note {note.number} of invoice {note.invoice_number}",
        metadata={
            "event_type": event.metadata.event_type,
            "credit_note_id": note.credit_note_id,
            "invoice_id": note.invoice_id,
            "customer_id": note.customer_id,
        },
    )


@consumers.on(fact(InvoicePaid, "invoice"))
async def post_payment_by_hand(tx: Transaction, event: Event[InvoicePaid]) -> None:
    """Post what was paid past the platform; what was collected is posted as it comes."""
    await _post_invoice(tx, event, event.payload.manual_minor, "paid by hand", settles=True)


@consumers.on(fact(InvoiceUncollectible, "invoice"))
async def post_write_off(tx: Transaction, event: Event[InvoiceUncollectible]) -> None:
    """Post what is due as a bad debt."""
    await _post_invoice(tx, event, event.payload.due_minor, "written off", writes_off=True)


@consumers.on(fact(PaymentSucceeded, _OF_PAYMENT))
async def post_payment(tx: Transaction, event: Event[PaymentSucceeded]) -> None:
    """Post money that came in, less what the processor keeps."""
    payment = event.payload
    money = _money(payment, payment.amount_minor, fee_minor=payment.fee_minor)
    await _post_payment(tx, event, money, f"payment {payment.charge_id}")


@consumers.on(fact(RefundSucceeded, _OF_PAYMENT))
async def post_refund(tx: Transaction, event: Event[RefundSucceeded]) -> None:
    """Post money that went back."""
    refund = event.payload
    money = _money(refund, refund.amount_minor)
    await _post_payment(tx, event, money, f"refund {refund.refund_id}", refund_id=refund.refund_id)


@consumers.on(fact(DisputeOpened, _OF_PAYMENT))
async def post_dispute(tx: Transaction, event: Event[DisputeOpened]) -> None:
    """Post money that the payer's bank holds, and what the processor takes for it."""
    dispute = event.payload
    money = _money(dispute, dispute.amount_minor, fee_minor=dispute.fee_minor)
    await _post_payment(
        tx, event, money, f"dispute {dispute.dispute_id}", dispute_id=dispute.dispute_id
    )


@consumers.on(fact(DisputeClosed, _OF_PAYMENT))
async def post_dispute_outcome(tx: Transaction, event: Event[DisputeClosed]) -> None:
    """Post the money of a dispute back to cash, or as lost."""
    dispute = event.payload
    money = _money(dispute, dispute.amount_minor, won=dispute.outcome == "won")
    description = f"dispute {dispute.dispute_id} {dispute.outcome}"
    await _post_payment(tx, event, money, description, dispute_id=dispute.dispute_id)


async def _post_invoice(
    tx: Transaction,
    event: Event[Any],
    amount_minor: int,
    what: str,
    *,
    settles: bool = False,
    writes_off: bool = False,
) -> None:
    invoice = event.payload
    await post_fact(
        tx,
        event.metadata.event_id,
        Fact(
            kind=invoice.DESCRIPTOR.name,
            currency_code=invoice.currency_code,
            amount_minor=amount_minor,
            net_minor=invoice.net_minor,
            taxes=_taxes(invoice),
        ),
        description=f"invoice {invoice.number or invoice.invoice_id} {what}",
        metadata={
            "event_type": event.metadata.event_type,
            "invoice_id": invoice.invoice_id,
            "customer_id": invoice.customer_id,
            "written_off": invoice.invoice_id if writes_off else "",
        },
        settles=invoice.invoice_id if settles else "",
    )


def _taxes(payload: Any) -> dict[str, int]:
    taxes: dict[str, int] = {}
    for tax in payload.taxes:
        taxes[tax.jurisdiction] = taxes.get(tax.jurisdiction, 0) + tax.amount_minor
    return taxes


def _money(payment: Any, amount_minor: int, *, fee_minor: int = 0, won: bool = False) -> Fact:
    return Fact(
        kind=payment.DESCRIPTOR.name,
        currency_code=payment.currency_code,
        amount_minor=amount_minor,
        fee_minor=fee_minor,
        processor=payment.processor,
        # What a credit note leaves over belongs to no invoice any more.
        of_invoice=bool(payment.invoice_id) and not getattr(payment, "credit_note_id", ""),
        won=won,
    )


async def _post_payment(
    tx: Transaction, event: Event[Any], money: Fact, description: str, **metadata: str
) -> None:
    payment = event.payload
    await post_fact(
        tx,
        event.metadata.event_id,
        money,
        description=description,
        metadata={
            "event_type": event.metadata.event_type,
            "payment_intent_id": payment.payment_intent_id,
            "charge_id": payment.charge_id,
            "invoice_id": payment.invoice_id,
            "customer_id": payment.customer_id,
            **metadata,
        },
    )
