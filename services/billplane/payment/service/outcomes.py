"""What an answer of the processor changes: one transaction, one effect for each attempt."""

from dataclasses import dataclass
from typing import Any

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.payment import repository
from billplane.payment.domain import Failure, Outcome, after
from billplane.payment.errors import (
    AuthenticationNotFound,
    ChargeNotFound,
    PaymentIntentNotFound,
    RefundNotFound,
)
from billplane.payment.models import AttemptRow, ChargeRow, PaymentIntentRow, RefundRow
from billplane.payment.service import collections, events, facts
from billplane.payment.service.objects import method_object


@dataclass(frozen=True, slots=True)
class Done:
    """Where an attempt has come to; with a failure, why the processor refused."""

    intent: PaymentIntentRow
    attempt: AttemptRow
    failure: Failure | None = None
    charge_id: str = ""
    refund: RefundRow | None = None


async def settle(tx: Transaction, attempt_id: str, outcome: Outcome | None) -> Done:
    """Store an outcome, or that there is none yet; what was stored before stays."""
    found = await repository.attempt(tx, attempt_id)
    if found is None:
        raise PaymentIntentNotFound("the attempt is gone")
    intent = await _locked_intent(tx, found.payment_intent_id)
    attempt = await repository.attempt(tx, attempt_id, lock=True)
    if attempt is None or attempt.finished_at is not None or outcome is None:
        if outcome is None and attempt is not None and attempt.state == "started":
            attempt.state = "unknown"
        return await _present(tx, intent, attempt or found)
    attempt.reference = outcome.reference or attempt.reference
    if attempt.kind == "confirm":
        return await _confirmed(tx, intent, attempt, outcome)
    if attempt.kind == "capture":
        return await _captured(tx, intent, attempt, outcome)
    if attempt.kind == "cancel":
        return await _canceled(tx, intent, attempt, outcome)
    return await _refunded(tx, intent, attempt, outcome)


async def _present(tx: Transaction, intent: PaymentIntentRow, attempt: AttemptRow) -> Done:
    failure = None
    if attempt.state == "declined":
        failure = Failure(attempt.failure_code, attempt.decline_code, attempt.failure_message)
    refund = None
    if attempt.kind == "refund":
        refund = await repository.refund(tx, attempt.subject_id)
    return Done(intent, attempt, failure, intent.latest_charge_id, refund)


async def _confirmed(
    tx: Transaction, intent: PaymentIntentRow, attempt: AttemptRow, outcome: Outcome
) -> Done:
    if outcome.state == "pending":
        attempt.state = "pending"
        return Done(intent, attempt)
    if outcome.state == "requires_action" and attempt.state == "requires_action":
        return Done(intent, attempt)
    if intent.state == "requires_action":
        # The processor asked the payer itself, and tells what came of it.
        intent.state = after(intent.state, "authenticate")
    if outcome.state == "requires_action":
        attempt.state = "requires_action"
        intent.state = after(intent.state, "require_action")
        intent.next_action = {
            "type": "redirect_to_url",
            "redirect_to_url": {
                "return_url": attempt.return_url or None,
                "url": outcome.action_url,
            },
        }
        await facts.tell_intent(tx, "action_required", intent)
        return Done(intent, attempt)
    _finish(tx, attempt, outcome)
    intent.next_action = None
    charge = await _add_charge(tx, intent, attempt, outcome)
    if outcome.state == "declined":
        return await _declined(tx, intent, attempt, charge)
    intent.last_error = None
    intent.latest_charge_id = charge.id
    if outcome.state == "authorized":
        intent.state = after(intent.state, "authorize")
        intent.amount_capturable_minor = charge.amount_minor
    else:
        intent.state = after(intent.state, "succeed")
        await _take_in(tx, intent, charge)
    for values in outcome.events:
        await events.note(tx, attempt.processor, values)
    return Done(intent, attempt, None, charge.id)


async def _take_in(tx: Transaction, intent: PaymentIntentRow, charge: ChargeRow) -> None:
    """Count captured money, for the intent and for the invoice that it collects."""
    intent.amount_received_minor = charge.amount_captured_minor
    intent.amount_capturable_minor = 0
    at = await collections.note_success(tx, intent, charge.amount_captured_minor)
    await facts.tell_success(tx, intent, charge, at)


async def _declined(
    tx: Transaction, intent: PaymentIntentRow, attempt: AttemptRow, charge: ChargeRow
) -> Done:
    failure = Failure(attempt.failure_code, attempt.decline_code, attempt.failure_message)
    method = await repository.method(tx, attempt.payment_method_id)
    intent.state = after(intent.state, "decline")
    intent.latest_charge_id = charge.id
    intent.payment_method_id = ""
    intent.last_error = {
        "type": "card_error",
        "code": failure.code,
        "message": failure.message,
        "charge": charge.id,
        **failure.as_stripe(),
        "payment_method": method_object(method) if method is not None else None,
    }
    again_at = await collections.note_failure(tx, intent, attempt)
    await facts.tell_failure(tx, intent, charge.id, failure, again_at)
    return Done(intent, attempt, failure, charge.id)


async def _add_charge(
    tx: Transaction, intent: PaymentIntentRow, attempt: AttemptRow, outcome: Outcome
) -> ChargeRow:
    method = await repository.method(tx, attempt.payment_method_id)
    captured = outcome.state == "succeeded"
    failure = outcome.failure or Failure("", "", "")
    card: dict[str, Any] = dict(method.card) if method is not None else {}
    row = ChargeRow(
        tenant_id=tx.tenant_id,
        id=ids.new("ch"),
        livemode=tx.livemode,
        payment_intent_id=intent.id,
        attempt_id=attempt.id,
        status="failed" if outcome.state == "declined" else "succeeded",
        amount_minor=attempt.amount_minor,
        captured=captured,
        canceled=False,
        amount_captured_minor=attempt.amount_minor if captured else 0,
        amount_refunded_minor=0,
        fee_minor=outcome.fee_minor,
        currency_code=intent.currency_code,
        customer_id=intent.customer_id,
        processor=attempt.processor,
        reference=attempt.reference,
        payment_method_id=attempt.payment_method_id,
        card={**card, "checks": dict(outcome.checks)},
        billing_details=dict(method.billing_details) if method is not None else {},
        details={**intent.details, "invoice": intent.invoice_id or None},
        tags=dict(intent.tags),
        failure_code=failure.code,
        decline_code=failure.decline_code,
        failure_message=failure.message,
        disputed=False,
        created_at=tx.now,
    )
    tx.session.add(row)
    await tx.session.flush()
    return row


def _finish(tx: Transaction, attempt: AttemptRow, outcome: Outcome) -> None:
    attempt.state = outcome.state
    attempt.finished_at = tx.now
    if outcome.failure is not None:
        attempt.failure_code = outcome.failure.code
        attempt.decline_code = outcome.failure.decline_code
        attempt.failure_message = outcome.failure.message


async def _captured(
    tx: Transaction, intent: PaymentIntentRow, attempt: AttemptRow, outcome: Outcome
) -> Done:
    _finish(tx, attempt, outcome)
    if outcome.state == "declined":
        return await _present(tx, intent, attempt)
    charge = await _locked_charge(tx, intent.latest_charge_id)
    charge.captured = True
    charge.amount_captured_minor = attempt.amount_minor
    charge.fee_minor = outcome.fee_minor
    intent.state = after(intent.state, "capture")
    await _take_in(tx, intent, charge)
    return Done(intent, attempt, None, charge.id)


async def _canceled(
    tx: Transaction, intent: PaymentIntentRow, attempt: AttemptRow, outcome: Outcome
) -> Done:
    _finish(tx, attempt, outcome)
    if outcome.state == "declined":
        return await _present(tx, intent, attempt)
    charge = await _locked_charge(tx, intent.latest_charge_id)
    charge.canceled = True
    await give_up(tx, intent, attempt.reason)
    return Done(intent, attempt, None, charge.id)


async def give_up(tx: Transaction, intent: PaymentIntentRow, reason: str) -> None:
    """Cancel an intent that holds no money."""
    intent.state = after(intent.state, "cancel")
    intent.amount_capturable_minor = 0
    intent.next_action = None
    intent.cancellation_reason = reason
    intent.canceled_at = tx.now
    await facts.tell_intent(tx, "canceled", intent)


async def _refunded(
    tx: Transaction, intent: PaymentIntentRow, attempt: AttemptRow, outcome: Outcome
) -> Done:
    _finish(tx, attempt, outcome)
    refund = await repository.refund(tx, attempt.subject_id, lock=True)
    if refund is None:
        raise RefundNotFound(f"No such refund: '{attempt.subject_id}'")
    refund.reference = attempt.reference
    if outcome.state == "succeeded":
        await end_refund(tx, intent, refund, failure_reason="")
    elif outcome.state == "declined":
        await end_refund(tx, intent, refund, failure_reason=attempt.decline_code or "declined")
    for values in outcome.events:
        await events.note(tx, attempt.processor, values)
    return Done(intent, attempt, None, refund.charge_id, refund)


async def end_refund(
    tx: Transaction, intent: PaymentIntentRow, refund: RefundRow, *, failure_reason: str
) -> None:
    """Note that a refund arrived, or that it did not and its amount may be refunded again."""
    charge = await _locked_charge(tx, refund.charge_id)
    if failure_reason:
        refund.status, refund.failure_reason = "failed", failure_reason
        charge.amount_refunded_minor -= refund.amount_minor
        return
    refund.status = "succeeded"
    await facts.tell_refund(tx, refund, charge, intent)


async def answer_challenge(
    tx: Transaction, attempt_id: str, token: str, *, passed: bool
) -> AttemptRow:
    """Note what the payer's bank found out.

    Raises: AuthenticationNotFound.
    """
    found = await repository.attempt(tx, attempt_id)
    if found is None or found.challenge_token != token:
        raise AuthenticationNotFound("nobody is asked at this address")
    intent = await _locked_intent(tx, found.payment_intent_id)
    attempt = await repository.attempt(tx, attempt_id, lock=True)
    if attempt is None or attempt.state != "requires_action":
        raise AuthenticationNotFound("the authentication is over")
    attempt.challenge = "passed" if passed else "failed"
    attempt.state = "started"
    attempt.asked_at = tx.now
    intent.state = after(intent.state, "authenticate")
    intent.next_action = None
    return attempt


async def intent_of(tx: ReadTransaction, attempt: AttemptRow) -> PaymentIntentRow:
    """Return the intent of an attempt."""
    row = await repository.intent(tx, attempt.payment_intent_id)
    if row is None:
        raise PaymentIntentNotFound(f"No such payment_intent: '{attempt.payment_intent_id}'")
    return row


async def charge_of(tx: ReadTransaction, attempt: AttemptRow) -> ChargeRow:
    """Return the charge that an attempt to capture, cancel or refund works on."""
    refund = await repository.refund(tx, attempt.subject_id) if attempt.kind == "refund" else None
    intent = await intent_of(tx, attempt)
    row = await repository.charge(tx, refund.charge_id if refund else intent.latest_charge_id)
    if row is None:
        raise ChargeNotFound(f"the intent {intent.id} has no charge")
    return row


async def _locked_intent(tx: Transaction, intent_id: str) -> PaymentIntentRow:
    row = await repository.intent(tx, intent_id, lock=True)
    if row is None:
        raise PaymentIntentNotFound(f"No such payment_intent: '{intent_id}'")
    return row


async def _locked_charge(tx: Transaction, charge_id: str) -> ChargeRow:
    row = await repository.charge(tx, charge_id, lock=True)
    if row is None:
        raise ChargeNotFound(f"No such charge: '{charge_id}'")
    return row
