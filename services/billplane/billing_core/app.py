"""The wiring of billing_core."""

from billplane.billing_core.consumers import BALANCE_LOW, consumers
from billplane.billing_core.invariants import (
    credits_add_up,
    refunds_add_up,
    reservations_add_up,
    wallets_equal_their_accounts,
    wallets_equal_their_operations,
)
from billplane.billing_core.jobs import jobs
from billplane.billing_core.rest import rest
from billplane.billing_core.rpc import rpc
from billplane.billing_core.service.state import State
from billplane.billing_core.settings import BillingCoreSettings
from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.events import fact, task
from billplane.chassis.runtime import Runtime
from billplane.protos.billing_core.v1 import events_pb2
from billplane.protos.notification.v1.events_pb2 import NotifyTask


async def start(runtime: Runtime) -> State:
    """Make what lives as long as the process."""
    return State(runtime)


app = ServiceApp(
    name="billing_core",
    title="Billing Core",
    description="Prepaid balances: charge, reserve and commit, top up, credits.",
    settings=BillingCoreSettings,
    rest=rest,
    rpc=[rpc],
    routes=[Route("/v1/wallets"), Route("/v1/reservations")],
    messages=[BALANCE_LOW, fact(events_pb2.ReservationExpired, "reservation"), task(NotifyTask)],
    consumers=consumers,
    jobs=jobs,
    invariants=[
        wallets_equal_their_operations,
        reservations_add_up,
        credits_add_up,
        refunds_add_up,
        wallets_equal_their_accounts,
    ],
    depends_on=["exchange_rate", "ledger", "payment", "pricing", "subscription"],
    kept_grpc_ports=[50052],
    start=start,
    finders=[
        "due_operations",
        "due_reservations",
        "due_wallets",
        "opening_wallets",
        "wallets_to_compare",
        "pending_auto_top_ups",
    ],
)
