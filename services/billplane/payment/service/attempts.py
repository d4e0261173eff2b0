"""Attempts: what is asked of a processor, in steps that survive the end of the process.

An attempt is stored before the processor is asked, and carries the key that the processor knows
it by. Whoever finds one without an outcome, the same request again or the janitor, asks under the
same key and stores the outcome once.
"""

import asyncio
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.chassis.errors import IdempotencyKeyInUse
from billplane.chassis.faults import faultpoint, register
from billplane.payment import repository
from billplane.payment.domain import Failure, Outcome
from billplane.payment.errors import AttemptRunning
from billplane.payment.models import AttemptRow, PaymentIntentRow, PaymentMethodRow
from billplane.payment.providers.base import Authorization, Followup, OutcomeUnknown
from billplane.payment.service import outcomes
from billplane.payment.service.outcomes import Done
from billplane.payment.service.state import settings_of, state_of

GATEWAY_PORT = 8080

register("payment.after_attempt", "payment.after_processor", "payment.before_outcome_ends")


@dataclass(frozen=True, slots=True)
class Task:
    """What an attempt is to do."""

    kind: str
    amount_minor: int
    subject_id: str = ""
    method: PaymentMethodRow | None = None
    off_session: bool = False
    return_url: str = ""
    reason: str = ""
    request_key: str = ""


async def begin(tx: Transaction, intent: PaymentIntentRow, task: Task) -> AttemptRow:
    """Store an attempt of a locked intent; nothing else runs on its subject.

    Raises: AttemptRunning.
    """
    subject_id = task.subject_id or intent.id
    if await repository.open_attempt(tx, subject_id) is not None:
        raise AttemptRunning(
            "Another request works on this object at the moment; try again.",
            retry_after_seconds=1,
        )
    method = task.method
    row = AttemptRow(
        tenant_id=tx.tenant_id,
        id=ids.new("att"),
        livemode=tx.livemode,
        kind=task.kind,
        payment_intent_id=intent.id,
        subject_id=subject_id,
        number=await repository.next_attempt_number(tx, intent.id),
        state="started",
        processor=intent.processor,
        reference="",
        payment_method_id=method.id if method is not None else "",
        token=method.token if method is not None else "",
        amount_minor=task.amount_minor,
        currency_code=intent.currency_code,
        off_session=task.off_session,
        return_url=task.return_url,
        challenge="",
        challenge_token=secrets.token_urlsafe(24) if task.kind == "confirm" else "",
        reason=task.reason,
        request_key=task.request_key,
        asked_at=tx.now,
        started_at=tx.now,
    )
    tx.session.add(row)
    await tx.session.flush()
    return row


def request_key(call: Call) -> str:
    """Return by what a request is known again: its key and what it asks for."""
    return f"{call.key}:{call.fingerprint[:16]}" if call.key else ""


async def begun_by(tx: Transaction, call: Call) -> AttemptRow | None:
    """Return what the same request began before; one without an outcome is taken up again.

    Raises: IdempotencyKeyInUse while whoever began it may still be at it.
    """
    if not call.key:
        return None
    row = await repository.attempt_of_request(tx, request_key(call))
    if row is None or row.finished_at is not None or row.state == "requires_action":
        return row
    stale = timedelta(seconds=settings_of(tx).stale_attempt_seconds)
    if row.asked_at > tx.now - stale and row.state == "started":
        raise IdempotencyKeyInUse(
            "the first request with this key still runs", retry_after_seconds=1
        )
    row.asked_at = tx.now
    return row


async def drive(call: Call, attempt: AttemptRow, *, again: bool = False) -> Done:
    """Ask the processor, unless the outcome is known, and store what it answers.

    Idempotent by: the attempt, here and at the processor.
    """
    outcome: Outcome | None = None
    if attempt.finished_at is None and attempt.state != "requires_action":
        faultpoint("payment.after_attempt")
        outcome = await _ask(call, attempt, again=again)
        faultpoint("payment.after_processor")
    tx = await call.last()
    done = await outcomes.settle(tx, attempt.id, outcome)
    await tx.session.flush()
    faultpoint("payment.before_outcome_ends")
    return done


async def _ask(call: Call, attempt: AttemptRow, *, again: bool) -> Outcome | None:
    """Ask under the attempt's key; None when the answer did not come."""
    state = state_of(call.runtime)
    processor = state.named(attempt.processor)
    try:
        async with asyncio.timeout(state.settings.processor_timeout_seconds):
            if attempt.kind == "confirm":
                request = await _authorization(call, attempt)
                if again:
                    return await processor.recall(request)
                return await processor.authorize(request)
            followup = await _followup(call, attempt)
            if attempt.kind == "capture":
                return await processor.capture(followup)
            if attempt.kind == "cancel":
                return await processor.cancel(followup)
            return await processor.refund(followup)
    except (OutcomeUnknown, TimeoutError):
        return None


async def _authorization(call: Call, attempt: AttemptRow) -> Authorization:
    async with call.reading() as tx:
        intent = await outcomes.intent_of(tx, attempt)
    settings = state_of(call.runtime).settings
    here = f"http://localhost:{GATEWAY_PORT + settings.port_offset}"
    base = (settings.public_url or here).rstrip("/")
    return Authorization(
        key=attempt.id,
        amount_minor=attempt.amount_minor,
        currency_code=attempt.currency_code,
        method=attempt.token,
        capture=intent.capture_method != "manual",
        off_session=attempt.off_session,
        started_at=attempt.started_at,
        now=call.runtime.clock.now(),
        tenant_id=attempt.tenant_id,
        challenge=attempt.challenge,
        challenge_url=f"{base}/payments/authentications/{attempt.challenge_token}",
        return_url=attempt.return_url,
        reference=attempt.reference,
        description=str(intent.details.get("description") or ""),
        metadata={"billplane_payment_intent": intent.id},
    )


async def _followup(call: Call, attempt: AttemptRow) -> Followup:
    async with call.reading() as tx:
        charge = await outcomes.charge_of(tx, attempt)
        method = await repository.method(tx, charge.payment_method_id)
    return Followup(
        key=attempt.id,
        reference=charge.reference,
        amount_minor=attempt.amount_minor,
        currency_code=attempt.currency_code,
        method=method.token if method is not None else "",
        reason=attempt.reason,
    )


async def resume(call: Call, attempt_id: str) -> Done | None:
    """Find out what became of an attempt that has no outcome.

    Idempotent by: the attempt.
    """
    async with call.writing() as tx:
        attempt = await repository.attempt(tx, attempt_id, lock=True)
        if attempt is None or attempt.finished_at is not None:
            return None
        attempt.asked_at = tx.now
    return await drive(call, attempt, again=True)


async def authenticate(call: Call, token: str, attempt_id: str, *, passed: bool) -> Done:
    """Go on with an attempt whose payer was asked who they are.

    Raises: AuthenticationNotFound.
    """
    async with call.writing() as tx:
        attempt = await outcomes.answer_challenge(tx, attempt_id, token, passed=passed)
    return await drive(call, attempt)


def failure_of(values: dict[str, Any]) -> Failure:
    """Return the failure that an attempt ended with."""
    return Failure(values["failure_code"], values["decline_code"], values["failure_message"])
