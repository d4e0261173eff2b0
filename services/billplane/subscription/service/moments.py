"""Moments in a subscription's life that come by themselves: its start, and the end of its trial."""

from datetime import timedelta
from typing import Final

from billplane.chassis.auth import service_principal
from billplane.chassis.database import Transaction
from billplane.chassis.rpc import to_timestamp
from billplane.chassis.runtime import Runtime
from billplane.protos.subscription.v1.events_pb2 import SubscriptionTrialWillEnd
from billplane.subscription import repository
from billplane.subscription.service.subscriptions import announce, state_at

TRIAL_AHEAD: Final = timedelta(days=3)


async def meet_moment(
    runtime: Runtime, tenant_id: str, livemode: bool, subscription_id: str
) -> None:
    """Note what has come for one subscription.

    Idempotent by: the subscription.
    """
    principal = service_principal(runtime.name, tenant_id, livemode)
    async with runtime.database.write(runtime, principal) as tx:
        await move_on(tx, subscription_id)


async def move_on(tx: Transaction, subscription_id: str) -> None:
    """Begin what has begun, and tell once that a trial ends in three days or less."""
    tx.require_internal()
    row = await repository.lock_subscription(tx, subscription_id)
    if row is None or row.ended_at is not None:
        return
    now = await repository.now_of(tx, row.test_clock_id)
    has_trial = row.billing_starts_at > row.starts_at
    near = row.starts_at <= now and row.billing_starts_at - TRIAL_AHEAD <= now
    if has_trial and near and not row.trial_end_told:
        row.trial_end_told = True
        told = SubscriptionTrialWillEnd(
            subscription_id=row.id,
            customer_id=row.customer_id,
            plan_id=row.plan_id,
            trial_ends_at=to_timestamp(row.billing_starts_at),
        )
        await tx.publish(told, aggregate_id=row.id)
    if row.state in ("pending", "trialing"):
        state = state_at(row.starts_at, row.billing_starts_at, now)
        if state != row.state:
            row.state = state
            await announce(tx, row)
