"""What becomes of an intent that was authorized, or that nobody wants any more."""

from billplane.chassis.call import Call
from billplane.payment.errors import AmountTooLarge
from billplane.payment.models import PaymentIntentRow
from billplane.payment.service import attempts, intents, outcomes
from billplane.payment.service.outcomes import Done


async def capture_intent(call: Call, intent_id: str, amount_minor: int | None) -> Done:
    """Take what was authorized, or a part of it; the rest is given back to the payer.

    Raises: PaymentIntentNotFound, PaymentIntentUnexpectedState, AmountTooLarge, AttemptRunning,
        ScopeMissing.
    Idempotent by: the request's key.
    """
    call.principal.require("payment_intents:write")
    async with call.writing() as tx:
        row = await intents.held_intent(tx, intent_id, lock=True)
        begun = await attempts.begun_by(tx, call)
        if begun is None:
            if row.state != "requires_capture":
                raise intents.unexpected(row, "capture")
            amount = amount_minor or row.amount_capturable_minor
            if amount > row.amount_capturable_minor:
                raise AmountTooLarge(
                    f"At most {row.amount_capturable_minor} can be captured.",
                    field="/amount_to_capture",
                )
            task = attempts.Task("capture", amount, request_key=attempts.request_key(call))
            begun = await attempts.begin(tx, row, task)
    return await attempts.drive(call, begun, again=begun.state != "started")


async def cancel_intent(call: Call, intent_id: str, reason: str) -> Done | PaymentIntentRow:
    """Give an intent up; what was authorized is given back.

    Raises: PaymentIntentNotFound, PaymentIntentUnexpectedState, AttemptRunning, ScopeMissing.
    Idempotent by: the request's key.
    """
    call.principal.require("payment_intents:write")
    async with call.writing() as tx:
        row = await intents.held_intent(tx, intent_id, lock=True)
        begun = await attempts.begun_by(tx, call)
        if begun is None:
            intents.refuse_running(row)
            if row.state == "requires_capture":
                task = attempts.Task(
                    "cancel",
                    row.amount_capturable_minor,
                    reason=reason,
                    request_key=attempts.request_key(call),
                )
                begun = await attempts.begin(tx, row, task)
    if begun is not None:
        return await attempts.drive(call, begun)
    tx = await call.last()
    row = await intents.held_intent(tx, intent_id, lock=True)
    intents.refuse_running(row)
    if row.state in ("requires_capture", "succeeded", "canceled"):
        raise intents.unexpected(row, "cancel")
    await intents.abandon(tx, row)
    await outcomes.give_up(tx, row, reason)
    return row
