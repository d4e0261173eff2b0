"""What subscription does when others say that something happened."""

from billplane.chassis.database import Transaction
from billplane.chassis.events import Consumers, Event, fact
from billplane.protos.pricing.v1.events_pb2 import PlanPublished
from billplane.subscription.service import subscriptions

consumers = Consumers()


@consumers.on(fact(PlanPublished, "plan"))
async def adopt_plan_version(tx: Transaction, event: Event[PlanPublished]) -> None:
    """Let subscribers take a new version, as its rollout says."""
    plan = event.payload
    await subscriptions.adopt_version(
        tx, plan.plan_id, plan.version, plan.apply_to, list(plan.customer_ids)
    )
