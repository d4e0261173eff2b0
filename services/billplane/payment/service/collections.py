"""Invoices on their way to being paid: what is due, when it is tried, how it ended."""

from datetime import datetime

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.payment import repository
from billplane.payment.domain import after_failure
from billplane.payment.models import AttemptRow, CollectionRow, PaymentIntentRow
from billplane.payment.service.state import settings_of
from billplane.protos.payment.v1.events_pb2 import CollectionExhausted, CreditApplied

COLLECTING = "collect:"
OPEN_STATES = ("prepared", "due", "waiting")


async def note_success(tx: Transaction, intent: PaymentIntentRow, amount_minor: int) -> datetime:
    """Count money that came in for an invoice; return the customer's time."""
    if not intent.invoice_id:
        return tx.now
    row = await repository.collection(tx, intent.invoice_id, lock=True)
    if row is None:
        return tx.now
    row.collected_minor += amount_minor
    settle(tx, row)
    return await now_of(tx, row)


async def note_failure(
    tx: Transaction, intent: PaymentIntentRow, attempt: AttemptRow
) -> datetime | None:
    """Plan what follows a decline; return when the next attempt is made, None for never.

    Only attempts of our own count: what the customer tried meanwhile changes no schedule.
    """
    if not intent.invoice_id or not attempt.request_key.startswith(COLLECTING):
        return None
    row = await repository.collection(tx, intent.invoice_id, lock=True)
    if row is None or row.state not in OPEN_STATES:
        return None
    settings = settings_of(tx)
    row.attempts += 1
    row.updated_at = tx.now
    then = after_failure(row.attempts, await now_of(tx, row), settings.dunning_days)
    row.next_attempt_at = then.at
    if then.exhausted:
        row.state = "exhausted"
        fact = CollectionExhausted(
            invoice_id=row.invoice_id,
            customer_id=row.customer_id,
            subscription_id=row.subscription_id,
            final_action=settings.dunning_final_action,
        )
        await tx.publish(fact, aggregate_id=row.invoice_id)
    return then.at


async def note_credit(
    tx: Transaction, row: CollectionRow, operation_id: str, amount_minor: int
) -> None:
    """Count what the customer's wallet settled of an invoice."""
    row.rounds += 1
    row.credit_asked_minor = 0
    row.updated_at = tx.now
    if amount_minor == 0:
        return
    row.credit_minor += amount_minor
    fact = CreditApplied(
        invoice_id=row.invoice_id,
        customer_id=row.customer_id,
        operation_id=operation_id,
        currency_code=row.currency_code,
        amount_minor=amount_minor,
    )
    await tx.publish(fact, aggregate_id=row.invoice_id)


def left(row: CollectionRow) -> int:
    """Return what is still to be collected, in minor units."""
    return row.due_minor - row.credit_minor - row.collected_minor


def settle(tx: Transaction, row: CollectionRow) -> bool:
    """Close a collection that has all it asks for; tell whether it has."""
    row.updated_at = tx.now
    if left(row) > 0:
        return False
    row.state, row.next_attempt_at = "paid", None
    return True


async def now_of(tx: ReadTransaction, row: CollectionRow) -> datetime:
    """Return the customer's time."""
    return await repository.clock_now(tx, row.test_clock_id)
