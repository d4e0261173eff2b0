"""Payment intents, under Stripe's path and under the older one."""

from typing import Annotated, Any

from fastapi import Query, Response

from billplane.chassis.rest import Reader, Steps
from billplane.chassis.stripe_dialect import Expand, StripePageQuery, listed, stripe_router
from billplane.payment import schemas
from billplane.payment.rest.answers import intent_answer, told, told_by
from billplane.payment.service import captures, intents, views
from billplane.payment.service.objects import attempt_object, intent_object

rest = stripe_router(tags=["payment_intents"])
Answer = dict[str, Any]


@rest.post("/v1/payment_intents", response_model=None)
async def create_intent(body: schemas.IntentBody, call: Steps, expand: Expand) -> Answer | Response:
    """Create a payment intent, and confirm it where asked."""
    seen = await views.foresee(call, expand, customer=body.customer or "")
    done = await intents.create_intent(call, body.new_intent())
    return await intent_answer(done, expand, call, seen)


@rest.post("/payments/payment_intents", response_model=None)
async def create_intent_by_older_path(
    body: schemas.IntentBody, call: Steps, expand: Expand
) -> Answer | Response:
    """Create a payment intent."""
    return await create_intent(body, call, expand)


@rest.get("/v1/payment_intents")
async def list_intents(
    tx: Reader,
    page: StripePageQuery,
    expand: Expand,
    customer: Annotated[str, Query(max_length=255)] = "",
) -> Answer:
    """List payment intents, newest first."""
    rows, more = await intents.list_intents(tx, page, customer)
    found = listed("/v1/payment_intents", [intent_object(row) for row in rows], more)
    return dict(await told(found, expand, tx))


@rest.get("/v1/payment_intents/{intent}")
@rest.get("/payments/payment_intents/{intent}")
async def get_intent(intent: str, tx: Reader, expand: Expand) -> Answer:
    """Return a payment intent."""
    return dict(await told(intent_object(await intents.get_intent(tx, intent)), expand, tx))


@rest.post("/v1/payment_intents/{intent}")
async def update_intent(
    intent: str, body: schemas.IntentPatch, call: Steps, expand: Expand
) -> Answer:
    """Change a payment intent."""
    seen = await views.foresee(call, expand, intent_id=intent, customer=body.customer or "")
    row = await intents.update_intent(call, intent, body.changes(), body.method())
    return dict(await told_by(intent_object(row), expand, call, seen))


@rest.post("/v1/payment_intents/{intent}/confirm", response_model=None)
async def confirm_intent(
    intent: str, body: schemas.Confirming, call: Steps, expand: Expand
) -> Answer | Response:
    """Confirm a payment intent: try to collect it."""
    seen = await views.foresee(call, expand, intent_id=intent)
    done = await intents.confirm_intent(call, intent, body.confirmation())
    return await intent_answer(done, expand, call, seen)


@rest.post("/payments/payment_intents/{intent}/confirm", response_model=None)
async def confirm_intent_by_older_path(
    intent: str, body: schemas.Confirming, call: Steps, expand: Expand
) -> Answer | Response:
    """Confirm a payment intent; in test mode by the test Visa where there is no method."""
    how = body.confirmation(test_default=True)
    seen = await views.foresee(call, expand, intent_id=intent)
    done = await intents.confirm_intent(call, intent, how)
    return await intent_answer(done, expand, call, seen)


@rest.post("/v1/payment_intents/{intent}/capture", response_model=None)
async def capture_intent(
    intent: str, body: schemas.CaptureBody, call: Steps, expand: Expand
) -> Answer | Response:
    """Capture what was authorized, or a part of it."""
    seen = await views.foresee(call, expand, intent_id=intent)
    done = await captures.capture_intent(call, intent, body.amount_to_capture)
    return await intent_answer(done, expand, call, seen)


@rest.post("/v1/payment_intents/{intent}/cancel", response_model=None)
async def cancel_intent(
    intent: str, body: schemas.CancelBody, call: Steps, expand: Expand
) -> Answer | Response:
    """Cancel a payment intent."""
    seen = await views.foresee(call, expand, intent_id=intent)
    done = await captures.cancel_intent(call, intent, body.cancellation_reason or "")
    return await intent_answer(done, expand, call, seen)


@rest.get("/v1/payment_intents/{intent}/attempts")
async def list_attempts(intent: str, tx: Reader) -> Answer:
    """List what was tried for a payment intent, in order."""
    rows = await intents.list_attempts(tx, intent)
    url = f"/v1/payment_intents/{intent}/attempts"
    return listed(url, [attempt_object(row) for row in rows], has_more=False)
