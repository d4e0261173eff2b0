"""What pricing needs of others: rates for quotes, and who has a plan."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from billplane.chassis.call import Call
from billplane.chassis.rpc import to_timestamp
from billplane.pricing.errors import CustomerNotFound
from billplane.protos.exchange_rate.v1 import exchange_rate_pb2, exchange_rate_pb2_grpc
from billplane.protos.subscription.v1 import subscription_pb2, subscription_pb2_grpc


@dataclass(frozen=True, slots=True)
class QuotedRate:
    """A rate, the stored rates it comes from and the day it holds for."""

    rate: Decimal
    rate_id: str
    as_of: str
    stale: bool


async def rate(
    call: Call, *, base: str, quote: str, feed: str, as_of: date, at: datetime
) -> QuotedRate:
    """Return the last known rate of a pair at or before a day.

    Raises: the peer's error.
    """
    channel = call.runtime.channels.get("exchange_rate")
    stub = exchange_rate_pb2_grpc.ExchangeRateServiceStub(channel)
    request = exchange_rate_pb2.GetRateRequest(
        base=base, quote=quote, feed=feed, as_of=as_of.isoformat(), at=to_timestamp(at)
    )
    found = (await call.ask(stub.GetRate, request)).rate
    return QuotedRate(Decimal(found.rate), ",".join(found.rate_ids), found.as_of, found.stale)


@dataclass(frozen=True, slots=True)
class CustomerPlan:
    """What a price asks of a customer; no plan where it has not subscribed."""

    id: str
    currency: str
    plan_id: str
    plan_version: int


async def customer(call: Call, customer_id: str, at: datetime | None) -> CustomerPlan:
    """Return a customer's currency and its plan at an instant, by id or external id.

    Raises: CustomerNotFound; the peer's errors.
    """
    channel = call.runtime.channels.get("subscription")
    stub = subscription_pb2_grpc.SubscriptionServiceStub(channel)
    request = subscription_pb2.GetCurrentPeriodRequest(customer_id=customer_id, at=to_timestamp(at))
    found = await call.ask(stub.GetCurrentPeriod, request)
    if not found.customer_id:
        raise CustomerNotFound(f"there is no customer {customer_id}", field="customer_id")
    return CustomerPlan(found.customer_id, found.currency_code, found.plan_id, found.plan_version)


async def live_subscriptions(call: Call, plan_id: str) -> int:
    """Count the live subscriptions of a plan, in both modes, as plans are shared by them.

    Raises: the peer's error.
    """
    channel = call.runtime.channels.get("subscription")
    stub = subscription_pb2_grpc.SubscriptionServiceStub(channel)
    request = subscription_pb2.CountSubscriptionsRequest(plan_id=plan_id)
    return (await call.ask(stub.CountSubscriptions, request)).live
