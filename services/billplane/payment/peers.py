"""What payment asks of subscription and billing_core."""

from datetime import datetime

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction
from billplane.chassis.errors import BillplaneError, Kind, PeerError
from billplane.chassis.rest import encode_cursor
from billplane.chassis.rpc import from_timestamp
from billplane.payment.errors import CustomerNotFound
from billplane.protos.billing_core.v1 import billing_core_pb2, billing_core_pb2_grpc
from billplane.protos.subscription.v1 import subscription_pb2, subscription_pb2_grpc


async def customer_id(call: Call, customer: str) -> str:
    """Return our id of a customer, by that id or its external id.

    Raises: CustomerNotFound; the peer's errors.
    """
    return (await get_customer(call, customer)).id


async def get_customer(call: Call, customer: str) -> subscription_pb2.Customer:
    """Return a customer by id or external id.

    Raises: CustomerNotFound; the peer's errors.
    """
    stub = subscription_pb2_grpc.SubscriptionServiceStub(call.runtime.channels.get("subscription"))
    request = subscription_pb2.GetCustomerRequest(id=customer)
    try:
        return (await call.ask(stub.GetCustomer, request)).customer
    except PeerError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        raise CustomerNotFound(f"No such customer: '{customer}'", field="/customer") from None


async def read_customer(tx: ReadTransaction, customer: str) -> subscription_pb2.Customer:
    """Return a customer by id or external id, on behalf of the caller.

    Raises: CustomerNotFound; the peer's errors.
    """
    stub = subscription_pb2_grpc.SubscriptionServiceStub(tx.channel("subscription"))
    request = subscription_pb2.GetCustomerRequest(id=customer)
    try:
        return (await tx.ask(stub.GetCustomer, request)).customer
    except PeerError as error:
        raise _known(error, customer) from None


async def create_customer(
    call: Call, request_id: str, customer: subscription_pb2.Customer
) -> subscription_pb2.Customer:
    """Create a customer, once a request id.

    Raises: the peer's errors.
    """
    stub = subscription_pb2_grpc.SubscriptionServiceStub(call.runtime.channels.get("subscription"))
    request = subscription_pb2.CreateCustomerRequest(request_id=request_id, customer=customer)
    return (await call.ask(stub.CreateCustomer, request)).customer


async def update_customer(
    call: Call, request: subscription_pb2.UpdateCustomerRequest
) -> subscription_pb2.Customer:
    """Change a customer.

    Raises: CustomerNotFound; the peer's errors.
    """
    stub = subscription_pb2_grpc.SubscriptionServiceStub(call.runtime.channels.get("subscription"))
    try:
        return (await call.ask(stub.UpdateCustomer, request)).customer
    except PeerError as error:
        raise _known(error, request.id) from None


async def delete_customer(call: Call, request_id: str, customer: str) -> str:
    """Delete a customer that never subscribed; return our id of it.

    Raises: CustomerNotFound; the peer's errors.
    """
    stub = subscription_pb2_grpc.SubscriptionServiceStub(call.runtime.channels.get("subscription"))
    request = subscription_pb2.DeleteCustomerRequest(request_id=request_id, id=customer)
    try:
        return (await call.ask(stub.DeleteCustomer, request)).id
    except PeerError as error:
        raise _known(error, customer) from None


async def list_customers(
    call: Call, *, limit: int, after: str, order: str, email: str
) -> tuple[list[subscription_pb2.Customer], bool]:
    """Return customers that follow one of them, and whether there are more.

    Raises: the peer's errors.
    """
    stub = subscription_pb2_grpc.SubscriptionServiceStub(call.runtime.channels.get("subscription"))
    request = subscription_pb2.ListCustomersRequest(
        page_size=limit,
        page_token=encode_cursor(after) if after else "",
        order=order,
        email=email,
    )
    answer = await call.ask(stub.ListCustomers, request)
    return list(answer.customers), bool(answer.next_page_token)


def _known(error: PeerError, customer: str) -> BillplaneError:
    if error.kind is not Kind.NOT_FOUND:
        return error
    return CustomerNotFound(f"No such customer: '{customer}'", field="/id")


async def customer_now(call: Call, customer: str) -> datetime:
    """Return a customer's time: its test clock's, or the real one.

    Raises: the peer's errors.
    """
    stub = subscription_pb2_grpc.SubscriptionServiceStub(call.runtime.channels.get("subscription"))
    answer = await call.ask(stub.GetCustomer, subscription_pb2.GetCustomerRequest(id=customer))
    now: datetime = from_timestamp(answer, "now") or call.runtime.clock.now()
    return now


async def charge_wallet(
    call: Call,
    *,
    request_id: str,
    customer_id: str,
    currency_code: str,
    amount_minor: int,
    invoice_id: str,
) -> tuple[str, int]:
    """Take what the customer's wallet has of an amount; return the operation and what it took.

    Raises: the peer's errors.
    """
    stub = billing_core_pb2_grpc.BillingServiceStub(call.runtime.channels.get("billing_core"))
    request = billing_core_pb2.ChargeRequest(
        request_id=request_id,
        customer_id=customer_id,
        currency_code=currency_code,
        amount_minor=amount_minor,
        invoice_id=invoice_id,
        reference=invoice_id,
        partial=True,
    )
    try:
        answer = await call.ask(stub.Charge, request)
    except PeerError as error:
        if error.kind is Kind.NOT_FOUND:
            return "", 0  # the customer has no wallet
        raise
    return answer.operation_id, answer.charged_minor
