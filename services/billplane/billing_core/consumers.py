"""What billing_core does when others, or itself, say that something happened."""

from billplane.billing_core.service import filling, operations, wallets
from billplane.chassis.database import Transaction
from billplane.chassis.events import Consumers, Event, fact
from billplane.protos.billing_core.v1.events_pb2 import BalanceLow
from billplane.protos.invoice.v1.events_pb2 import CreditNoteIssued
from billplane.protos.payment.v1.events_pb2 import PaymentSucceeded

consumers = Consumers()

BALANCE_LOW = fact(BalanceLow, "wallet")


@consumers.on(fact(PaymentSucceeded, "payment_intent"))
async def top_up_wallet(tx: Transaction, event: Event[PaymentSucceeded]) -> None:
    """Add what came in for a wallet."""
    paid = event.payload
    if paid.top_up_wallet_id:
        await operations.top_up_by_payment(
            tx,
            paid.top_up_wallet_id,
            paid.payment_intent_id,
            paid.amount_minor,
            paid.currency_code.upper(),
        )


@consumers.on(fact(CreditNoteIssued, "invoice"))
async def top_up_by_credit_note(tx: Transaction, event: Event[CreditNoteIssued]) -> None:
    """Add what a credit note leaves over of a paid invoice, where it is to stay as credit."""
    note = event.payload
    if note.excess == "credit" and note.excess_minor:
        await operations.top_up_by_credit_note(
            tx,
            wallets.Target(note.customer_id, note.currency_code),
            amount_minor=note.excess_minor,
            credit_note_id=note.credit_note_id,
            number=note.number,
        )


@consumers.on(BALANCE_LOW)
async def tell_customer(tx: Transaction, event: Event[BalanceLow]) -> None:
    """Tell the customer that a wallet runs low."""
    await filling.tell_customer(tx, event.payload, event.metadata.event_id)
