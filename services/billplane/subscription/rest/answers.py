"""Rows as REST shows them."""

from billplane.subscription import schemas
from billplane.subscription.models import SubscriptionRow
from billplane.subscription.service.periods import next_version, paused_since, pending_plan


def subscription_of(row: SubscriptionRow) -> schemas.Subscription:
    """Show a subscription."""
    pending = pending_plan(row)
    trial = row.billing_starts_at if row.billing_starts_at > row.starts_at else None
    return schemas.Subscription(
        id=row.id,
        livemode=row.livemode,
        customer_id=row.customer_id,
        plan_id=row.plan_id,
        plan_name=row.plan_name,
        plan_version=row.plan_version,
        state=row.state,
        starts_at=row.starts_at,
        trial_ends_at=trial,
        current_period_starts_at=row.period_starts_at,
        current_period_ends_at=row.period_ends_at,
        next_plan=schemas.PendingPlan(**pending) if pending else None,
        next_plan_version=next_version(row, row.period_ends_at),
        dated_versions=[schemas.DatedVersion(**item) for item in row.dated_versions],
        paused_at=paused_since(row),
        cancel_at=row.cancel_at,
        ended_at=row.ended_at,
        coupon_codes=list(row.coupon_codes),
        metadata=row.metadata_,
        created_at=row.created_at,
    )
