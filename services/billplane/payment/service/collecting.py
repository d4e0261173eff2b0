"""Collecting what invoices ask for: credit of the wallet first, then the payment method.

Each step carries an id made of the invoice and the round, so that two workers, or one that is
started again, have one effect.
"""

from datetime import datetime, timedelta

from billplane.chassis import ids, logging
from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.chassis.faults import faultpoint, register
from billplane.payment import peers, repository
from billplane.payment.domain import TERMINAL
from billplane.payment.models import AttemptRow, CollectionRow, PaymentIntentRow, PaymentMethodRow
from billplane.payment.service import attempts, collections, facts, outcomes
from billplane.payment.service.state import settings_of, state_of
from billplane.protos.invoice.v1 import events_pb2 as invoice_events

_log = logging.get("payment")
Finalized = invoice_events.InvoiceFinalized
Created = invoice_events.InvoiceCreated

# Nobody is paying an intent in these states at the moment.
UNTOUCHED = ("requires_payment_method", "requires_confirmation")

register("payment.after_wallet_credit")


async def prepare(tx: Transaction, invoice: Created | Finalized, state: str) -> CollectionRow:
    """Note that an invoice is to be collected, with what it asks for now."""
    row = await repository.collection(tx, invoice.invoice_id, lock=True)
    if row is None:
        row = CollectionRow(
            tenant_id=tx.tenant_id,
            invoice_id=invoice.invoice_id,
            livemode=tx.livemode,
            customer_id=invoice.customer_id,
            subscription_id=invoice.subscription_id,
            number=invoice.number,
            currency_code=invoice.currency_code,
            due_minor=0,
            credit_minor=0,
            collected_minor=0,
            state=state,
            payment_intent_id="",
            credit_asked_minor=0,
            attempts=0,
            rounds=0,
            test_clock_id=invoice.test_clock_id,
            created_at=tx.now,
            updated_at=tx.now,
        )
        tx.session.add(row)
    elif row.state != "prepared":
        return row
    row.due_minor = invoice.due_minor
    row.state, row.number, row.updated_at = state, invoice.number, tx.now
    return row


async def prepare_intent(tx: Transaction, invoice: Created) -> None:
    """Prepare the intent of a draft; nothing is charged."""
    row = await prepare(tx, invoice, "prepared")
    if row.state == "prepared" and row.due_minor > 0:
        await _intent(tx, row, row.due_minor)


async def begin_collection(tx: Transaction, invoice: Finalized) -> None:
    """Let a final invoice be collected as soon as a worker comes to it."""
    row = await prepare(tx, invoice, "due")
    if row.state != "due" or row.next_attempt_at is not None or row.rounds:
        return
    if row.due_minor <= 0:
        row.state = "paid"
        return
    row.next_attempt_at = await collections.now_of(tx, row)
    state_of(tx.runtime).wake.set()


async def end_collection(tx: Transaction, invoice_id: str) -> None:
    """Stop collecting an invoice that was voided, written off or paid another way."""
    row = await repository.collection(tx, invoice_id)
    if row is None:
        return
    intent = await _locked_intent(tx, row)
    row = await repository.collection(tx, invoice_id, lock=True)
    if row is None:
        return
    if row.state in collections.OPEN_STATES or row.state == "exhausted":
        row.state, row.next_attempt_at, row.updated_at = "closed", None, tx.now
    if intent is not None and intent.state not in (*TERMINAL, "processing", "requires_capture"):
        await outcomes.give_up(tx, intent, "void_invoice")


async def _locked_intent(tx: Transaction, row: CollectionRow) -> PaymentIntentRow | None:
    if not row.payment_intent_id:
        return None
    return await repository.intent(tx, row.payment_intent_id, lock=True)


async def collect(call: Call, invoice_id: str) -> None:
    """Make the attempt that is due for an invoice.

    Idempotent by: the invoice and the number of the attempt.
    """
    async with call.reading() as reading:
        row = await repository.collection(reading, invoice_id)
        if row is None or row.next_attempt_at is None:
            return
        wallet = settings_of(reading).wallet_credit
    if row.test_clock_id:
        # The clock may never have moved since it was made, and then nobody told of it.
        now = await peers.customer_now(call, row.customer_id)
        async with call.writing() as tx:
            await repository.move_clock(tx, row.test_clock_id, now)
    if row.rounds == row.attempts and not await _take_credit(call, row, wallet=wallet):
        return
    async with call.writing() as tx:
        begun = await _begin(tx, invoice_id)
    if begun is not None:
        done = await attempts.drive(call, begun)
        _log.info("invoice_collected", invoice_id=invoice_id, state=done.intent.state)


async def _take_credit(call: Call, row: CollectionRow, *, wallet: bool) -> bool:
    """Settle what the customer's wallet has; tell whether something is left to collect."""
    async with call.writing() as tx:
        asked = await _ask_credit(tx, row)
    if asked is None:
        return False
    operation_id, taken = "", 0
    if wallet:
        operation_id, taken = await peers.charge_wallet(
            call,
            request_id=f"{row.invoice_id}:credit:{row.rounds + 1}",
            customer_id=row.customer_id,
            currency_code=row.currency_code,
            amount_minor=asked,
            invoice_id=row.invoice_id,
        )
        faultpoint("payment.after_wallet_credit")
    async with call.writing() as tx:
        intent = await _locked_intent(tx, row)
        held = await repository.collection(tx, row.invoice_id, lock=True)
        if held is None or held.rounds != row.rounds:
            return False
        await collections.note_credit(tx, held, operation_id, taken)
        if not collections.settle(tx, held):
            return True
        if intent is not None and intent.state in UNTOUCHED:
            await outcomes.give_up(tx, intent, "automatic")
        return False


async def _ask_credit(tx: Transaction, known: CollectionRow) -> int | None:
    """Note how much credit is asked for, the same however often; None when it is not the time."""
    intent = await _locked_intent(tx, known)
    row = await repository.collection(tx, known.invoice_id, lock=True)
    if row is None or row.rounds != known.rounds or row.next_attempt_at is None:
        return None
    if intent is not None and intent.state not in (*UNTOUCHED, "canceled"):
        await _look_later(tx, row)
        return None
    row.credit_asked_minor = row.credit_asked_minor or collections.left(row)
    return row.credit_asked_minor


async def _look_later(tx: Transaction, row: CollectionRow) -> None:
    """Leave the customer to it who is paying; whether they got through is looked at a day later."""
    row.next_attempt_at = await collections.now_of(tx, row) + timedelta(days=1)


async def _begin(tx: Transaction, invoice_id: str) -> AttemptRow | None:
    row = await repository.collection(tx, invoice_id)
    if row is None:
        return None
    intent = await _locked_intent(tx, row)
    row = await repository.collection(tx, invoice_id, lock=True)
    if row is None or row.state not in ("due",) or row.next_attempt_at is None:
        return None
    key = f"{collections.COLLECTING}{row.invoice_id}:{row.attempts + 1}"
    if await repository.attempt_of_request(tx, key) is not None:
        return None  # under way: whoever began it, or the janitor, ends it
    method = await repository.method_to_collect_by(tx, row.customer_id)
    if method is None:
        row.state, row.next_attempt_at, row.updated_at = "waiting", None, tx.now
        return None
    if intent is None or intent.state == "canceled":
        intent = await _intent(tx, row, collections.left(row))
    if intent.state not in UNTOUCHED:
        await _look_later(tx, row)
        return None
    return await _attempt(tx, row, intent, method, key)


async def _attempt(
    tx: Transaction,
    row: CollectionRow,
    intent: PaymentIntentRow,
    method: PaymentMethodRow,
    key: str,
) -> AttemptRow:
    intent.amount_minor = collections.left(row)
    intent.payment_method_id = method.id
    intent.state = "processing"
    row.next_attempt_at = None
    task = attempts.Task(
        "confirm", intent.amount_minor, method=method, off_session=True, request_key=key
    )
    return await attempts.begin(tx, intent, task)


async def _intent(tx: Transaction, row: CollectionRow, amount_minor: int) -> PaymentIntentRow:
    """Make the intent of an invoice, or bring it to its amount."""
    known = await _locked_intent(tx, row)
    if known is not None and known.state != "canceled":
        if known.state in UNTOUCHED:
            known.amount_minor = amount_minor
        return known
    intent_id = ids.new("pi")
    intent = PaymentIntentRow(
        tenant_id=tx.tenant_id,
        id=intent_id,
        livemode=tx.livemode,
        state="requires_payment_method",
        amount_minor=amount_minor,
        amount_capturable_minor=0,
        amount_received_minor=0,
        currency_code=row.currency_code,
        customer_id=row.customer_id,
        payment_method_id="",
        capture_method="automatic",
        details={"description": f"Invoice {row.number}".strip()},
        tags={},
        invoice_id=row.invoice_id,
        top_up_wallet_id="",
        processor=state_of(tx.runtime).processor.name,
        latest_charge_id="",
        client_secret=f"{intent_id}_secret_{ids.new('s')[2:]}",
        cancellation_reason="",
        request_key="",
        created_at=tx.now,
    )
    tx.session.add(intent)
    await tx.session.flush()
    row.payment_intent_id = intent.id
    await facts.tell_intent(tx, "created", intent)
    return intent


async def follow_clock(tx: Transaction, test_clock_id: str, now: datetime) -> None:
    """Note that a test clock moved, and look what is due."""
    await repository.move_clock(tx, test_clock_id, now)
    state_of(tx.runtime).wake.set()
