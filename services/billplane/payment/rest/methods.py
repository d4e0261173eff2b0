"""Payment methods."""

from typing import Annotated, Any

from fastapi import Query

from billplane.chassis.rest import Reader, Steps, Writer
from billplane.chassis.stripe_dialect import Expand, StripePageQuery, listed, stripe_router
from billplane.payment import schemas
from billplane.payment.service import methods
from billplane.payment.service.objects import method_object

rest = stripe_router(tags=["payment_methods"])
Answer = dict[str, Any]


@rest.post("/v1/payment_methods")
async def create_method(body: schemas.MethodBody, call: Steps) -> Answer:
    """Create a payment method of a token or of a test card."""
    return method_object(await methods.create_method(call, body.new_method()))


@rest.get("/v1/payment_methods")
async def list_methods(
    tx: Reader,
    page: StripePageQuery,
    customer: Annotated[str, Query(max_length=255)] = "",
) -> Answer:
    """List payment methods, newest first."""
    rows, more = await methods.list_methods(tx, page, customer)
    return listed("/v1/payment_methods", [method_object(row) for row in rows], more)


@rest.get("/v1/payment_methods/{payment_method}")
async def get_method(payment_method: str, tx: Reader, _expand: Expand) -> Answer:
    """Return a payment method."""
    return method_object(await methods.get_method(tx, payment_method))


@rest.post("/v1/payment_methods/{payment_method}")
async def update_method(payment_method: str, body: schemas.MethodPatch, tx: Writer) -> Answer:
    """Change a payment method's words."""
    return method_object(await methods.update_method(tx, payment_method, body.changes()))


@rest.post("/v1/payment_methods/{payment_method}/attach")
async def attach_method(payment_method: str, body: schemas.AttachBody, call: Steps) -> Answer:
    """Give a customer a payment method."""
    return method_object(await methods.attach_method(call, payment_method, body.customer))


@rest.post("/v1/payment_methods/{payment_method}/detach")
async def detach_method(payment_method: str, tx: Writer) -> Answer:
    """Take a payment method from its customer."""
    return method_object(await methods.detach_method(tx, payment_method))
