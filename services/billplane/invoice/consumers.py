"""Tasks that invoice works on, and what it does when money moves."""

from billplane.chassis.database import Transaction
from billplane.chassis.events import Consumers, Event, fact, task
from billplane.chassis.rpc import from_timestamp
from billplane.invoice.service import credit_notes, lifecycle, note_documents, printing
from billplane.protos.invoice.v1.events_pb2 import (
    PrintCreditNote,
    RefundCreditNote,
    RenderInvoice,
)
from billplane.protos.payment.v1.events_pb2 import (
    CollectionExhausted,
    CreditApplied,
    DisputeClosed,
    DisputeOpened,
    PaymentFailed,
    PaymentSucceeded,
    RefundSucceeded,
)
from billplane.protos.subscription.v1.events_pb2 import TestClockAdvanced

consumers = Consumers()

RENDER = task(RenderInvoice)
RENDER_NOTE = task(PrintCreditNote)
REFUND_NOTE = task(RefundCreditNote)


@consumers.on(RENDER)
async def render_invoice(tx: Transaction, event: Event[RenderInvoice]) -> None:
    """Print an issued document and keep it."""
    await printing.print_issued(tx, event.payload.invoice_id)


@consumers.on(RENDER_NOTE)
async def print_credit_note(tx: Transaction, event: Event[PrintCreditNote]) -> None:
    """Print an issued credit note and keep it."""
    await note_documents.print_note(tx, event.payload.credit_note_id)


@consumers.on(REFUND_NOTE)
async def refund_credit_note(tx: Transaction, event: Event[RefundCreditNote]) -> None:
    """Give back what a credit note leaves over of a paid invoice."""
    await credit_notes.refund(tx, event.payload.credit_note_id)


@consumers.on(fact(PaymentSucceeded, "payment_intent"))
async def settle_by_payment(tx: Transaction, event: Event[PaymentSucceeded]) -> None:
    """Count a payment."""
    payment = event.payload
    if payment.invoice_id:
        note = f"paid by {payment.charge_id}"
        at = from_timestamp(payment, "succeeded_at")
        await lifecycle.settle(tx, payment.invoice_id, payment.amount_minor, note, at)


@consumers.on(fact(CreditApplied, "collection"))
async def settle_by_credit(tx: Transaction, event: Event[CreditApplied]) -> None:
    """Count credit of the customer's wallet."""
    credit = event.payload
    note = f"settled by credit, {credit.operation_id}"
    await lifecycle.settle(tx, credit.invoice_id, credit.amount_minor, note)


@consumers.on(fact(PaymentFailed, "payment_intent"))
async def note_failure(tx: Transaction, event: Event[PaymentFailed]) -> None:
    """Write a declined attempt into the history."""
    payment = event.payload
    if payment.invoice_id:
        why = payment.decline_code or payment.failure_code
        note = f"{payment.payment_intent_id} failed: {why}"
        await lifecycle.note_payment(tx, payment.invoice_id, note)


@consumers.on(fact(RefundSucceeded, "payment_intent"))
async def note_refund(tx: Transaction, event: Event[RefundSucceeded]) -> None:
    """Write a refund into the history: the invoice stays paid, a credit note corrects it."""
    refund = event.payload
    if refund.invoice_id:
        note = f"{refund.amount_minor} {refund.currency_code} given back, {refund.refund_id}"
        await lifecycle.note_payment(tx, refund.invoice_id, note)


@consumers.on(fact(DisputeOpened, "payment_intent"))
async def note_dispute(tx: Transaction, event: Event[DisputeOpened]) -> None:
    """Write into the history that the payer's bank asks for the money."""
    dispute = event.payload
    if dispute.invoice_id:
        note = f"disputed: {dispute.reason}, {dispute.dispute_id}"
        await lifecycle.note_payment(tx, dispute.invoice_id, note)


@consumers.on(fact(DisputeClosed, "payment_intent"))
async def note_outcome(tx: Transaction, event: Event[DisputeClosed]) -> None:
    """Write a dispute's outcome into the history."""
    dispute = event.payload
    if dispute.invoice_id:
        note = f"dispute {dispute.outcome}, {dispute.dispute_id}"
        await lifecycle.note_payment(tx, dispute.invoice_id, note)


@consumers.on(fact(CollectionExhausted, "collection"))
async def give_up(tx: Transaction, event: Event[CollectionExhausted]) -> None:
    """Write off what no attempt could collect, unless it is to stay past due."""
    if event.payload.final_action != "leave_past_due":
        await lifecycle.give_up(tx, event.payload.invoice_id)


@consumers.on(fact(TestClockAdvanced, "test_clock"))
async def fall_due(tx: Transaction, event: Event[TestClockAdvanced]) -> None:
    """Let invoices of a test clock's customers fall due."""
    clock = event.payload
    now = from_timestamp(clock, "now")
    if now is not None:
        await lifecycle.mark_past_due_by_clock(tx, clock.test_clock_id, now)
