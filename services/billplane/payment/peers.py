"""What payment asks of subscription and billing_core."""

from datetime import datetime

from billplane.chassis.call import Call
from billplane.chassis.errors import Kind, PeerError
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
