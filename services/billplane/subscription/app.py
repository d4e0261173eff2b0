"""The wiring of subscription."""

from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.events import fact
from billplane.chassis.runtime import Runtime
from billplane.protos.subscription.v1.events_pb2 import (
    CustomerCreated,
    CustomerDeleted,
    CustomerUpdated,
    SubscriptionChanged,
    SubscriptionCreated,
    SubscriptionEnded,
    SubscriptionTrialWillEnd,
    TestClockAdvanced,
)
from billplane.subscription.consumers import consumers
from billplane.subscription.invariants import (
    billed_periods_follow_each_other,
    invoices_bill_one_period,
)
from billplane.subscription.jobs import jobs
from billplane.subscription.rest import rest
from billplane.subscription.rpc import rpc
from billplane.subscription.service.runs import Biller
from billplane.subscription.settings import SubscriptionSettings


async def start_biller(_runtime: Runtime) -> Biller:
    """Make what works on billing runs."""
    return Biller()


app = ServiceApp(
    name="subscription",
    title="Subscriptions",
    description="Customers, subscriptions, billing runs and test clocks.",
    settings=SubscriptionSettings,
    rest=rest,
    rpc=[rpc],
    routes=[
        Route("/v1/customers"),
        Route("/v1/subscriptions"),
        Route("/v1/invoice_items"),
        Route("/v1/plan_changes"),
        Route("/v1/billing_runs"),
        Route("/v1/test_clocks"),
    ],
    messages=[
        fact(SubscriptionCreated, "subscription"),
        fact(SubscriptionChanged, "subscription"),
        fact(SubscriptionEnded, "subscription"),
        fact(SubscriptionTrialWillEnd, "subscription"),
        fact(CustomerCreated, "customer"),
        fact(CustomerUpdated, "customer"),
        fact(CustomerDeleted, "customer"),
        fact(TestClockAdvanced, "test_clock"),
    ],
    consumers=consumers,
    jobs=jobs,
    invariants=[billed_periods_follow_each_other, invoices_bill_one_period],
    depends_on=["metering", "pricing", "exchange_rate", "invoice"],
    start=start_biller,
    finders=["tenants_due", "running_runs", "moments_due"],
)
