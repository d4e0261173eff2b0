"""Webhooks of processors: verified, stored before they are answered, applied once."""

from dataclasses import dataclass

from billplane.chassis import logging
from billplane.chassis.auth import service_principal
from billplane.chassis.database import Transaction
from billplane.chassis.jobs import Worker
from billplane.chassis.runtime import Runtime
from billplane.payment import repository
from billplane.payment.domain import Failure, Outcome, ProcessorEvent
from billplane.payment.errors import (
    PaymentIntentNotFound,
    ProcessorSignatureInvalid,
    RefundNotFound,
)
from billplane.payment.providers.base import EventRefused
from billplane.payment.service import disputes, events, intents, outcomes
from billplane.payment.service.state import state_of

_log = logging.get("payment")


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a webhook: whose it is, where it is anybody's."""

    event_id: str
    duplicate: bool


async def receive(runtime: Runtime, processor: str, body: bytes, signature: str) -> Received:
    """Store a webhook of a processor, byte for byte, for the tenant whose payment it names.

    Raises: ProcessorUnknown, ProcessorSignatureInvalid.
    Idempotent by: the processor's id of the event.
    """
    try:
        event = state_of(runtime).named(processor).read_event(body, signature)
    except EventRefused as refusal:
        raise ProcessorSignatureInvalid(str(refusal)) from None
    owner = event.values.get("owner_reference", event.reference)
    rows = await Worker(runtime).find(
        "owner_of_reference", of_processor=processor, of_reference=str(owner)
    )
    if not rows:
        _log.info("processor_event_of_nobody", processor=processor, kind=event.kind)
        return Received(event.id, duplicate=False)
    principal = service_principal(runtime.name, rows[0].tenant_id, rows[0].livemode)
    async with runtime.database.write(runtime, principal) as tx:
        new = await events.store(tx, processor, event, body)
    return Received(event.id, duplicate=not new)


async def apply(tx: Transaction, processor: str, event_id: str) -> None:
    """Do what a stored event says, once.

    Raises: NotFound errors while what it is about is not known yet: it comes again then.
    """
    row = await repository.processor_event(tx, processor, event_id)
    if row is None or row.applied_at is not None:
        return
    event = ProcessorEvent(row.id, row.kind, row.reference, row.event)
    row.result = await _apply(tx, processor, event)
    row.applied_at = tx.now


async def _apply(tx: Transaction, processor: str, event: ProcessorEvent) -> str:
    if event.kind == "dispute_opened":
        return await disputes.open_dispute(tx, event)
    if event.kind == "dispute_closed":
        return await disputes.close_by_event(tx, event)
    if event.kind in ("refund_succeeded", "refund_failed"):
        return await _end_refund(tx, event)
    if event.kind in ("payment_succeeded", "payment_authorized", "payment_failed"):
        return await _end_attempt(tx, processor, event)
    return "ignored"


async def _end_refund(tx: Transaction, event: ProcessorEvent) -> str:
    found = await repository.refund_of_reference(tx, event.reference)
    if found is None:
        raise RefundNotFound(f"no refund {event.reference} is known")
    intent = await intents.held_intent(tx, found.payment_intent_id, lock=True)
    row = await repository.refund(tx, found.id, lock=True)
    if row is None or row.status != "pending":
        return "known"
    failed = event.kind == "refund_failed"
    reason = str(event.values.get("reason") or "unknown") if failed else ""
    await outcomes.end_refund(tx, intent, row, failure_reason=reason)
    return row.status


async def _end_attempt(tx: Transaction, processor: str, event: ProcessorEvent) -> str:
    attempt = await repository.attempt_of_reference(tx, processor, event.reference)
    if attempt is None:
        raise PaymentIntentNotFound(f"no payment {event.reference} is known")
    if attempt.finished_at is not None:
        return "known"
    if event.kind == "payment_failed":
        values = event.values
        failure = Failure(
            str(values.get("code") or "card_declined"),
            str(values.get("decline_code") or ""),
            str(values.get("message") or "Your card was declined."),
        )
        outcome = Outcome("declined", event.reference, failure=failure)
    else:
        captured = event.kind == "payment_succeeded"
        fee = int(event.values.get("fee_minor") or 0)
        outcome = Outcome("succeeded" if captured else "authorized", event.reference, fee)
    done = await outcomes.settle(tx, attempt.id, outcome)
    return done.intent.state
