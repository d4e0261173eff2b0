"""What others ask about an invoice's money: collect it now, what came in, what can go back."""

from dataclasses import dataclass

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.payment import repository
from billplane.payment.errors import CollectionNotBegun
from billplane.payment.models import CollectionRow, PaymentIntentRow
from billplane.payment.service import collecting, collections, outcomes

_BEGUN = ("due", "waiting", "exhausted")


@dataclass(frozen=True, slots=True)
class Collected:
    """How the collection of an invoice stands."""

    row: CollectionRow
    intent: PaymentIntentRow | None
    refundable_minor: int

    @property
    def state(self) -> str:
        """What it came to, in one word."""
        row, intent = self.row, self.intent
        if row.state in ("paid", "closed"):
            return row.state
        if intent is not None and intent.state in ("requires_action", "processing"):
            return intent.state
        return "no_payment_method" if row.state == "waiting" else "failed"


async def collect_now(call: Call, invoice_id: str) -> Collected:
    """Try to collect an issued invoice at once, beside its schedule.

    Raises: CollectionNotBegun, ScopeMissing.
    Idempotent by: the invoice and the number of the attempt.
    """
    call.principal.require("payment_intents:write")
    async with call.writing() as tx:
        row = await repository.collection(tx, invoice_id, lock=True)
        if row is None or row.state == "prepared":
            raise CollectionNotBegun(
                f"the invoice {invoice_id} is not collected yet", retry_after_seconds=1
            )
        if row.state in _BEGUN:
            row.state, row.next_attempt_at = "due", await collections.now_of(tx, row)
    await collecting.collect(call, invoice_id)
    async with call.reading() as reading:
        return await collection_of(reading, invoice_id)


async def collection_of(tx: ReadTransaction, invoice_id: str) -> Collected:
    """Return what was collected of an invoice.

    Raises: CollectionNotBegun.
    """
    tx.authorize("payment_intents:read")
    row = await repository.collection(tx, invoice_id)
    if row is None:
        raise CollectionNotBegun(f"the invoice {invoice_id} is not collected yet")
    intent, refundable = None, 0
    if row.payment_intent_id:
        intent = await repository.intent(tx, row.payment_intent_id)
    if intent is not None and intent.latest_charge_id:
        charge = await repository.charge(tx, intent.latest_charge_id)
        if charge is not None and not charge.disputed:
            refundable = charge.amount_captured_minor - charge.amount_refunded_minor
    return Collected(row, intent, refundable)


async def lower(tx: Transaction, invoice_id: str, credited_minor: int) -> None:
    """Let an invoice ask for less, as a credit note said.

    Raises: CollectionNotBegun while the invoice itself is not known yet.
    """
    known = await repository.collection(tx, invoice_id)
    if known is None or known.state == "prepared":
        raise CollectionNotBegun(f"the invoice {invoice_id} is not collected yet")
    intent = None
    if known.payment_intent_id:
        intent = await repository.intent(tx, known.payment_intent_id, lock=True)
    row = await repository.collection(tx, invoice_id, lock=True)
    if row is None:
        return
    row.due_minor -= credited_minor
    if row.state not in collections.OPEN_STATES:
        return
    over = collections.settle(tx, row)
    if intent is None or intent.state not in collecting.UNTOUCHED:
        return
    if over:
        await outcomes.give_up(tx, intent, "automatic")
    else:
        intent.amount_minor = collections.left(row)
