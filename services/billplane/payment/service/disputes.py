"""Disputes: opened by a payer's bank, answered by us, decided by the bank."""

from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.stripe_dialect import StripePage
from billplane.chassis.stripe_dialect.bodies import merged
from billplane.payment import repository
from billplane.payment.domain import ProcessorEvent
from billplane.payment.errors import (
    ChargeNotFound,
    DisputeDecided,
    DisputeNotFound,
    ProcessorUnavailable,
)
from billplane.payment.models import ChargeRow, DisputeRow, PaymentIntentRow
from billplane.payment.providers.base import OutcomeUnknown
from billplane.payment.service import facts, intents
from billplane.payment.service.state import state_of

Answer = TypeVar("Answer")
DECIDED = ("won", "lost", "warning_closed")
ANSWER_DAYS = 9


async def open_dispute(tx: Transaction, event: ProcessorEvent) -> str:
    """Note that a payer's bank asked for its money.

    Raises: ChargeNotFound when the charge is not known yet.
    Idempotent by: the processor's name of the dispute.
    """
    values = event.values
    reference = str(values["dispute_reference"])
    intent, charge = await _charge(tx, event.reference)
    if await repository.dispute_of_reference(tx, reference) is not None:
        return "known"
    row = DisputeRow(
        tenant_id=tx.tenant_id,
        id=ids.new("dp"),
        livemode=tx.livemode,
        charge_id=charge.id,
        payment_intent_id=intent.id,
        status=str(values["status"]),
        amount_minor=int(values["amount_minor"]),
        fee_minor=int(values["fee_minor"]),
        currency_code=charge.currency_code,
        reason=str(values["reason"]),
        reference=reference,
        evidence={},
        submissions=0,
        tags={},
        due_at=tx.now + timedelta(days=ANSWER_DAYS),
        created_at=tx.now,
    )
    tx.session.add(row)
    await tx.session.flush()
    # An inquiry asks for words, not for money.
    if not row.status.startswith("warning"):
        charge.disputed = True
        await facts.tell_dispute_opened(tx, row, charge, intent)
    return row.id


async def close_by_event(tx: Transaction, event: ProcessorEvent) -> str:
    """Note how a dispute was decided.

    Raises: DisputeNotFound when it is not known yet.
    """
    found = await repository.dispute_of_reference(tx, event.reference)
    if found is None:
        raise DisputeNotFound(f"no dispute {event.reference} is known")
    intent, charge = await _locked(tx, found)
    row = await _held(tx, found.id, lock=True)
    return await _decide(tx, row, charge, intent, str(event.values["outcome"]))


async def _decide(
    tx: Transaction, row: DisputeRow, charge: ChargeRow, intent: PaymentIntentRow, outcome: str
) -> str:
    if row.status in DECIDED:
        return "known"
    inquiry = row.status.startswith("warning")
    row.status = "warning_closed" if inquiry else outcome
    if not inquiry:
        # What was won is as if never asked for; what was lost stays marked.
        charge.disputed = outcome == "lost"
        await facts.tell_dispute_closed(tx, row, charge, intent)
    return row.status


async def update_dispute(
    call: Call, dispute_id: str, *, evidence: dict[str, str], submit: bool, changes: dict[str, Any]
) -> DisputeRow:
    """Collect evidence, and send it to the bank unless it is to wait.

    Raises: DisputeNotFound, DisputeDecided, ScopeMissing; ProcessorUnavailable.
    """
    call.principal.require("disputes:write")
    async with call.reading() as reading:
        known = await _held(reading, dispute_id)
        charge = await repository.charge(reading, known.charge_id)
    processor = charge.processor if charge is not None else ""
    given = {**known.evidence, **evidence}
    if known.status in DECIDED and (evidence or submit):
        raise DisputeDecided("The dispute is decided; it takes no more evidence.")
    status = ""
    if submit and evidence:
        asked = state_of(call.runtime).named(processor).answer_dispute(known.reference, given)
        status = await _answer(asked)
    tx = await call.last()
    intent, locked = await _locked(tx, known)
    row = await _held(tx, dispute_id, lock=True)
    if "metadata" in changes:
        row.tags = merged(row.tags, changes["metadata"])
    row.evidence = {**row.evidence, **evidence}
    if status:
        row.submissions += 1
        await _answered(tx, row, locked, intent, status)
    await tx.session.flush()
    return row


async def _answered(
    tx: Transaction, row: DisputeRow, charge: ChargeRow, intent: PaymentIntentRow, status: str
) -> None:
    if status in ("won", "lost"):
        await _decide(tx, row, charge, intent, status)
    elif row.status not in DECIDED:
        warning = row.status.startswith("warning")
        row.status = "warning_under_review" if warning else "under_review"


async def close_dispute(call: Call, dispute_id: str) -> DisputeRow:
    """Accept that a dispute is lost.

    Raises: DisputeNotFound, DisputeDecided, ScopeMissing; ProcessorUnavailable.
    """
    call.principal.require("disputes:write")
    async with call.reading() as reading:
        known = await _held(reading, dispute_id)
        charge = await repository.charge(reading, known.charge_id)
    if known.status in DECIDED:
        raise DisputeDecided("The dispute is decided already.")
    processor = charge.processor if charge is not None else ""
    await _answer(state_of(call.runtime).named(processor).close_dispute(known.reference))
    tx = await call.last()
    intent, locked = await _locked(tx, known)
    row = await _held(tx, dispute_id, lock=True)
    await _decide(tx, row, locked, intent, "lost")
    await tx.session.flush()
    return row


async def _answer(asked: Awaitable[Answer]) -> Answer:
    try:
        return await asked
    except OutcomeUnknown as error:
        raise ProcessorUnavailable(str(error), retry_after_seconds=1) from None


async def get_dispute(tx: ReadTransaction, dispute_id: str) -> DisputeRow:
    """Return a dispute.

    Raises: DisputeNotFound, ScopeMissing.
    """
    tx.authorize("disputes:read")
    return await _held(tx, dispute_id)


async def list_disputes(
    tx: ReadTransaction, page: StripePage, intent_id: str, charge_id: str
) -> tuple[Sequence[DisputeRow], bool]:
    """Return a page of disputes.

    Raises: ScopeMissing.
    """
    tx.authorize("disputes:read")
    return await repository.list_disputes(tx, page, intent_id, charge_id)


async def _held(tx: ReadTransaction, dispute_id: str, *, lock: bool = False) -> DisputeRow:
    row = await repository.dispute(tx, dispute_id, lock=lock)
    if row is None:
        raise DisputeNotFound(f"No such dispute: '{dispute_id}'", field="/id")
    return row


async def _charge(tx: Transaction, reference: str) -> tuple[PaymentIntentRow, ChargeRow]:
    found = await repository.charge_of_reference(tx, reference)
    if found is None:
        raise ChargeNotFound(f"no charge {reference} is known")
    intent = await intents.held_intent(tx, found.payment_intent_id, lock=True)
    charge = await repository.charge(tx, found.id, lock=True)
    return intent, charge or found


async def _locked(tx: Transaction, row: DisputeRow) -> tuple[PaymentIntentRow, ChargeRow]:
    intent = await intents.held_intent(tx, row.payment_intent_id, lock=True)
    charge = await repository.charge(tx, row.charge_id, lock=True)
    if charge is None:
        raise ChargeNotFound(f"No such charge: '{row.charge_id}'")
    return intent, charge
