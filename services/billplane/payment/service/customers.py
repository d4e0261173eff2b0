"""Customers as programs see them that speak Stripe's dialect: subscription's, and their methods."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.chassis.errors import NotFound
from billplane.chassis.stripe_dialect import StripePage
from billplane.chassis.stripe_dialect.bodies import merged
from billplane.payment import peers, repository
from billplane.payment.service import methods
from billplane.payment.service.attempts import request_key
from billplane.payment.service.objects import customer_object, method_object
from billplane.protos.subscription.v1 import subscription_pb2 as pb

NAMELESS = "Customer"


@dataclass(frozen=True, slots=True)
class CustomerValues:
    """What is said of a customer; None is what was not said."""

    name: str | None = None
    email: str | None = None
    address: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    replace_metadata: bool = False
    words: dict[str, Any] = field(default_factory=dict)
    payment_method: str = ""
    default_method: str | None = None
    test_clock: str = ""


async def create_customer(call: Call, new: CustomerValues) -> dict[str, Any]:
    """Create a customer, with a payment method where one is named.

    Raises: PaymentMethodNotFound, CardRefused, ScopeMissing; the peer's errors.
    Idempotent by: the request's key.
    """
    call.principal.require("customers:write")
    found = await methods.look_up(call, new.payment_method) if new.payment_method else None
    made = await peers.create_customer(
        call,
        request_key(call),
        pb.Customer(
            name=new.name or new.email or NAMELESS,
            email=new.email or "",
            address=_address(new.address or {}),
            metadata={key: value for key, value in (new.metadata or {}).items() if value},
            test_clock_id=new.test_clock,
        ),
    )
    tx = await call.last()
    default = ""
    if found is not None:
        processor = methods.processor_name(tx)
        row = methods.store(tx, found, processor, methods.NewMethod(new.payment_method), made.id)
        await tx.session.flush()
        default = row.id
    await repository.note_customer(
        tx, made.id, {"default_payment_method_id": default, "details": new.words}
    )
    return await _object(tx, made)


async def update_customer(call: Call, customer: str, new: CustomerValues) -> dict[str, Any]:
    """Change a customer, and by what its invoices are collected.

    Raises: CustomerNotFound, PaymentMethodNotFound, PaymentMethodUnexpectedState, ScopeMissing;
        the peer's errors.
    """
    call.principal.require("customers:write")
    held = await peers.get_customer(call, customer)
    request = pb.UpdateCustomerRequest(request_id=request_key(call), id=held.id)
    if new.name is not None:
        request.name = new.name
    if new.email is not None:
        request.email = new.email
    if new.address is not None:
        request.address.CopyFrom(_address(new.address))
    if new.replace_metadata:
        request.replace_metadata = True
        request.metadata.update(merged(dict(held.metadata), new.metadata))
    changed = await peers.update_customer(call, request)
    tx = await call.last()
    if new.default_method is not None:
        await methods.set_default_method(tx, held.id, new.default_method)
    if new.words:
        await repository.note_customer(tx, held.id, {"details": new.words})
    return await _object(tx, changed)


async def get_customer(call: Call, customer: str) -> dict[str, Any]:
    """Return a customer by our id or its external id.

    Raises: CustomerNotFound, ScopeMissing; the peer's errors.
    """
    call.principal.require("customers:read")
    held = await peers.get_customer(call, customer)
    return await _object(await call.last(), held)


async def list_customers(
    call: Call, page: StripePage, email: str
) -> tuple[Sequence[dict[str, Any]], bool]:
    """Return a page of customers, newest first.

    Raises: NotFound, ScopeMissing; the peer's errors.
    """
    call.principal.require("customers:read")
    cursor = page.starting_after or page.ending_before
    if cursor:
        try:
            cursor = await peers.customer_id(call, cursor)
        except NotFound as error:
            error.field = "starting_after" if page.starting_after else "ending_before"
            raise
    order = "asc" if page.ending_before else "desc"
    found, more = await peers.list_customers(
        call, limit=page.limit, after=cursor, order=order, email=email
    )
    tx = await call.last()
    known = await repository.customers(tx, [item.id for item in found])
    objects = [customer_object(item, known.get(item.id), tx.livemode) for item in found]
    return objects[::-1] if page.ending_before else objects, more


async def list_methods(
    call: Call, customer: str, page: StripePage
) -> tuple[Sequence[dict[str, Any]], bool]:
    """Return a page of a customer's payment methods.

    Raises: CustomerNotFound, ScopeMissing; the peer's errors.
    """
    call.principal.require("payment_methods:read")
    customer_id = await peers.customer_id(call, customer)
    rows, more = await repository.list_methods(await call.last(), page, customer_id)
    return [method_object(row) for row in rows], more


async def delete_customer(call: Call, customer: str) -> str:
    """Delete a customer that never subscribed; return our id of it.

    Raises: CustomerNotFound, ScopeMissing; the peer's errors.
    """
    call.principal.require("customers:write")
    customer_id = await peers.delete_customer(call, request_key(call), customer)
    await call.last()
    return customer_id


async def _object(tx: Transaction, customer: pb.Customer) -> dict[str, Any]:
    known = await repository.customers(tx, [customer.id])
    return customer_object(customer, known.get(customer.id), tx.livemode)


def _address(given: dict[str, Any]) -> pb.Address:
    return pb.Address(
        line1=given.get("line1") or "",
        line2=given.get("line2") or "",
        city=given.get("city") or "",
        region=given.get("state") or "",
        postal_code=given.get("postal_code") or "",
        country=given.get("country") or "",
    )
