"""Customers in Stripe's dialect; in ours they are subscription's."""

from typing import Annotated, Any

from fastapi import Query

from billplane.chassis.call import Call
from billplane.chassis.rest import Steps
from billplane.chassis.stripe_dialect import Expand, StripePageQuery, listed, stripe_router
from billplane.payment import schemas
from billplane.payment.rest.answers import told_by
from billplane.payment.service import customers
from billplane.payment.service.customers import CustomerValues

rest = stripe_router(tags=["customers"])
Answer = dict[str, Any]


@rest.post("/v1/customers")
async def create_customer(body: schemas.CustomerBody, call: Steps, expand: Expand) -> Answer:
    """Create a customer."""
    return await _told(await customers.create_customer(call, _values(body)), expand, call)


@rest.get("/v1/customers")
async def list_customers(
    call: Steps,
    page: StripePageQuery,
    expand: Expand,
    email: Annotated[str, Query(max_length=255)] = "",
) -> Answer:
    """List customers, newest first."""
    found, more = await customers.list_customers(call, page, email)
    return await _told(listed("/v1/customers", found, more), expand, call)


@rest.get("/v1/customers/{customer}")
async def get_customer(customer: str, call: Steps, expand: Expand) -> Answer:
    """Return a customer."""
    return await _told(await customers.get_customer(call, customer), expand, call)


@rest.post("/v1/customers/{customer}")
async def update_customer(
    customer: str, body: schemas.CustomerBody, call: Steps, expand: Expand
) -> Answer:
    """Change a customer."""
    return await _told(await customers.update_customer(call, customer, _values(body)), expand, call)


@rest.delete("/v1/customers/{customer}")
async def delete_customer(customer: str, call: Steps) -> Answer:
    """Delete a customer that never subscribed."""
    customer_id = await customers.delete_customer(call, customer)
    return {"id": customer_id, "object": "customer", "deleted": True}


@rest.get("/v1/customers/{customer}/payment_methods")
async def list_customer_methods(
    customer: str, call: Steps, page: StripePageQuery, expand: Expand
) -> Answer:
    """List a customer's payment methods."""
    found, more = await customers.list_methods(call, customer, page)
    url = f"/v1/customers/{customer}/payment_methods"
    return await _told(listed(url, found, more), expand, call)


async def _told(value: Answer, expand: list[str], call: Call) -> Answer:
    return dict(await told_by(value, expand, call))


def _values(body: schemas.CustomerBody) -> CustomerValues:
    settings = body.invoice_settings
    given = body.model_fields_set
    return CustomerValues(
        name=body.name,
        email="" if "email" in given and body.email is None else body.email,
        address=body.address.model_dump() if body.address is not None else None,
        metadata=body.metadata,
        replace_metadata="metadata" in given,
        words=body.words(),
        payment_method=body.payment_method or "",
        default_method=(settings.default_payment_method or "") if settings is not None else None,
        test_clock=body.test_clock or "",
    )
