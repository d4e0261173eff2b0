"""What discount asks of subscription: what kind of customer somebody is."""

from billplane.chassis.call import Call
from billplane.chassis.errors import Kind, PeerError
from billplane.discount.errors import CustomerNotFound
from billplane.protos.subscription.v1 import subscription_pb2, subscription_pb2_grpc


async def customer(call: Call, customer_id: str) -> tuple[str, str]:
    """Return a customer's id and user type, by id or external id.

    Raises: CustomerNotFound; the peer's errors.
    """
    stub = subscription_pb2_grpc.SubscriptionServiceStub(call.runtime.channels.get("subscription"))
    request = subscription_pb2.GetCustomerRequest(id=customer_id)
    try:
        found = (await call.ask(stub.GetCustomer, request)).customer
    except PeerError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        raise CustomerNotFound(
            f"there is no customer {customer_id}", field="/customer_id"
        ) from None
    return found.id, found.user_type
