"""What metering asks of others: who a customer is, what its usage costs."""

import json
from collections.abc import Sequence
from datetime import datetime

from billplane.chassis.call import Call
from billplane.chassis.errors import BillplaneError, Kind
from billplane.chassis.rpc import to_timestamp
from billplane.protos.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from billplane.protos.subscription.v1 import subscription_pb2, subscription_pb2_grpc
from billplane.resources import BillingPlanSpec


async def current_period(
    call: Call, customer_id: str, at: datetime | None = None
) -> subscription_pb2.GetCurrentPeriodResponse:
    """Return the customer's plan and period, now or at an instant; unknown ones have neither."""
    stub = subscription_pb2_grpc.SubscriptionServiceStub(call.runtime.channels.get("subscription"))
    request = subscription_pb2.GetCurrentPeriodRequest(
        customer_id=customer_id, at=None if at is None else to_timestamp(at)
    )
    return await call.ask(stub.GetCurrentPeriod, request)


async def default_plan(call: Call) -> tuple[str, int] | None:
    """Return id and newest version of the tenant's default plan; None without one."""
    stub = pricing_pb2_grpc.PricingServiceStub(call.runtime.channels.get("pricing"))
    try:
        answer = await call.ask(stub.GetPlan, pricing_pb2.GetPlanRequest(without_spec=True))
    except BillplaneError as error:
        if error.kind is Kind.NOT_FOUND:
            return None
        raise
    return answer.plan.id, answer.plan.version


async def plan(
    call: Call, plan_id: str, version: int
) -> tuple[pricing_pb2.Plan, BillingPlanSpec] | None:
    """Return a version of a plan; None without one."""
    stub = pricing_pb2_grpc.PricingServiceStub(call.runtime.channels.get("pricing"))
    request = pricing_pb2.GetPlanRequest(id=plan_id, version=version)
    try:
        answer = await call.ask(stub.GetPlan, request)
    except BillplaneError as error:
        if error.kind is Kind.NOT_FOUND:
            return None
        raise
    return answer.plan, BillingPlanSpec.parse(json.loads(answer.plan.spec_json))


async def rated(
    call: Call,
    plan_id: str,
    version: int,
    bounds: Sequence[datetime],
    usage: Sequence[pricing_pb2.ChargeUsage],
    at: datetime,
    customer_id: str,
) -> pricing_pb2.RatePeriodResponse:
    """Return the lines of a period; `bounds` are its start and end, then the nominal ones."""
    starts_at, ends_at, nominal_starts_at, nominal_ends_at = bounds
    stub = pricing_pb2_grpc.PricingServiceStub(call.runtime.channels.get("pricing"))
    request = pricing_pb2.RatePeriodRequest(
        plan_id=plan_id,
        version=version,
        starts_at=to_timestamp(starts_at),
        ends_at=to_timestamp(ends_at),
        nominal_starts_at=to_timestamp(nominal_starts_at),
        nominal_ends_at=to_timestamp(nominal_ends_at),
        usage=usage,
        at=to_timestamp(at),
        customer_id=customer_id,
    )
    return await call.ask(stub.RatePeriod, request, timeout_seconds=30)
