"""The wiring of notification."""

from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.runtime import Runtime
from billplane.notification.consumers import NOTIFY, consumers
from billplane.notification.invariants import (
    endpoints_have_what_they_wanted,
    events_have_no_gap,
    nothing_waits_for_nobody,
)
from billplane.notification.jobs import jobs
from billplane.notification.rest import rest
from billplane.notification.rpc import rpc
from billplane.notification.service.courier import Courier
from billplane.notification.service.state import State
from billplane.notification.settings import NotificationSettings


async def start(runtime: Runtime) -> State:
    """Open the ways to people, and begin to deliver."""
    state = State(runtime)
    courier = Courier(runtime, state)
    courier.start()
    state.wakes.append(courier.wake)
    state.closes.append(courier.close)
    return state


app = ServiceApp(
    name="notification",
    title="Notification",
    description="Events, webhooks, e-mails and short messages.",
    settings=NotificationSettings,
    rest=rest,
    rpc=[rpc],
    routes=[
        Route("/v1/events", dialect="stripe"),
        Route("/v1/webhook_endpoints", dialect="stripe"),
        Route("/v1/webhook_deliveries"),
        Route("/v1/notifications"),
        Route("/v1/notification_templates"),
        Route("/v1/notification_settings"),
    ],
    depends_on=["invoice"],
    messages=[NOTIFY],
    consumers=consumers,
    jobs=jobs,
    invariants=[events_have_no_gap, endpoints_have_what_they_wanted, nothing_waits_for_nobody],
    start=start,
    batch_writers=[
        "claim_deliveries",
        "finish_deliveries",
        "claim_messages",
        "cancel_orphans",
        "forget_events",
    ],
)
