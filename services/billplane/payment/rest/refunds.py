"""Charges, refunds and disputes."""

from typing import Annotated, Any

from fastapi import Query, Response

from billplane.chassis.rest import Reader, Steps, Writer
from billplane.chassis.stripe_dialect import Expand, StripePageQuery, listed, stripe_router
from billplane.payment import schemas
from billplane.payment.rest.answers import told, told_by
from billplane.payment.service import disputes, refunds
from billplane.payment.service.objects import charge_object, dispute_object, refund_object

rest = stripe_router(tags=["charges"])
Answer = dict[str, Any]
Id = Annotated[str, Query(max_length=255)]


@rest.get("/v1/charges")
async def list_charges(
    tx: Reader,
    page: StripePageQuery,
    expand: Expand,
    payment_intent: Id = "",
    customer: Id = "",
) -> Answer:
    """List charges, newest first."""
    rows, more = await refunds.list_charges(tx, page, payment_intent, customer)
    found = listed("/v1/charges", [charge_object(row) for row in rows], more)
    return dict(await told(found, expand, tx))


@rest.get("/v1/charges/{charge}")
async def get_charge(charge: str, tx: Reader, expand: Expand) -> Answer:
    """Return a charge."""
    return dict(await told(charge_object(await refunds.get_charge(tx, charge)), expand, tx))


@rest.post("/v1/refunds", response_model=None)
async def create_refund(body: schemas.RefundBody, call: Steps, expand: Expand) -> Answer | Response:
    """Give back what was captured, or a part of it."""
    done = await refunds.create_refund(
        call,
        intent_id=body.payment_intent or "",
        charge_id=body.charge or "",
        amount_minor=body.amount,
        reason=body.reason or "",
        metadata=body.metadata,
    )
    value = refund_object(done.refund) if done.refund is not None else {}
    return dict(await told_by(value, expand, call))


@rest.get("/v1/refunds")
async def list_refunds(
    tx: Reader,
    page: StripePageQuery,
    expand: Expand,
    payment_intent: Id = "",
    charge: Id = "",
) -> Answer:
    """List refunds, newest first."""
    rows, more = await refunds.list_refunds(tx, page, payment_intent, charge)
    found = listed("/v1/refunds", [refund_object(row) for row in rows], more)
    return dict(await told(found, expand, tx))


@rest.get("/v1/refunds/{refund}")
async def get_refund(refund: str, tx: Reader, expand: Expand) -> Answer:
    """Return a refund."""
    return dict(await told(refund_object(await refunds.get_refund(tx, refund)), expand, tx))


@rest.post("/v1/refunds/{refund}")
async def update_refund(refund: str, body: schemas.MetadataPatch, tx: Writer) -> Answer:
    """Change a refund's metadata."""
    return refund_object(await refunds.update_refund(tx, refund, body.changes()))


@rest.post("/v1/refunds/{refund}/cancel")
async def cancel_refund(refund: str, tx: Writer) -> Answer:
    """Refuse to cancel: a card's refund is on its way at once."""
    return refund_object(await refunds.cancel_refund(tx, refund))


@rest.get("/v1/disputes")
async def list_disputes(
    tx: Reader,
    page: StripePageQuery,
    expand: Expand,
    payment_intent: Id = "",
    charge: Id = "",
) -> Answer:
    """List disputes, newest first."""
    rows, more = await disputes.list_disputes(tx, page, payment_intent, charge)
    found = listed("/v1/disputes", [dispute_object(row) for row in rows], more)
    return dict(await told(found, expand, tx))


@rest.get("/v1/disputes/{dispute}")
async def get_dispute(dispute: str, tx: Reader, expand: Expand) -> Answer:
    """Return a dispute."""
    return dict(await told(dispute_object(await disputes.get_dispute(tx, dispute)), expand, tx))


@rest.post("/v1/disputes/{dispute}")
async def update_dispute(
    dispute: str, body: schemas.DisputePatch, call: Steps, expand: Expand
) -> Answer:
    """Add evidence to a dispute, and send it to the bank unless told to wait."""
    row = await disputes.update_dispute(
        call,
        dispute,
        evidence=body.evidence or {},
        submit=body.submit is not False,
        changes=body.changes(),
    )
    return dict(await told_by(dispute_object(row), expand, call))


@rest.post("/v1/disputes/{dispute}/close")
async def close_dispute(dispute: str, call: Steps, expand: Expand) -> Answer:
    """Accept that a dispute is lost."""
    return dict(
        await told_by(dispute_object(await disputes.close_dispute(call, dispute)), expand, call)
    )
