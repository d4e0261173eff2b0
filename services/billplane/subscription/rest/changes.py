"""Changes of subscriptions: another plan, an end, a pause."""

import json

from billplane.chassis.rest import Steps, router
from billplane.subscription import schemas
from billplane.subscription.rest.answers import subscription_of
from billplane.subscription.service import changes, pauses, plan_diff

rest = router(tags=["subscription"])


@rest.post("/v1/subscriptions/{subscription_id}:change")
async def change_subscription(
    subscription_id: str, body: schemas.ChangeBody, call: Steps
) -> schemas.Subscription:
    """Move a subscription to another plan, now or when its period ends."""
    row = await changes.change_plan(
        call, subscription_id, plan=body.plan, at=body.at, proration=body.proration
    )
    return subscription_of(row)


@rest.post("/v1/subscriptions/{subscription_id}:preview_change")
async def preview_change(
    subscription_id: str, body: schemas.ChangeBody, call: Steps
) -> schemas.ChangePreview:
    """Return what a change would credit and charge; nothing is stored."""
    found = await changes.preview_change(
        call, subscription_id, plan=body.plan, at=body.at, proration=body.proration
    )
    return schemas.ChangePreview(
        plan=schemas.PendingPlan(
            plan_id=found.plan.id, plan_name=found.plan.name, plan_version=found.plan.version
        ),
        at=found.at,
        proration=found.proration,
        effective_at=found.effective_at,
        currency_code=found.customer.currency_code,
        items=[
            schemas.ChangeItem(
                kind=item.kind,
                charge=item.charge,
                description=item.description,
                amount_minor=item.amount_minor,
                tax_category=item.tax_category,
                starts_at=item.starts_at,
                ends_at=item.ends_at,
            )
            for item in found.items
        ],
        credit_minor=found.credit_minor,
        charge_minor=found.charge_minor,
        total_minor=found.credit_minor + found.charge_minor,
        billed=found.billed,
        period_starts_at=found.period.starts_at,
        period_ends_at=found.period.ends_at,
    )


@rest.post("/v1/subscriptions/{subscription_id}:cancel")
async def cancel_subscription(
    subscription_id: str, call: Steps, body: schemas.CancelBody | None = None
) -> schemas.Subscription:
    """End a subscription, by default at the end of its period."""
    wanted = body or schemas.CancelBody()
    row = await pauses.cancel(
        call, subscription_id, at_period_end=wanted.at_period_end, proration=wanted.proration
    )
    return subscription_of(row)


@rest.post("/v1/subscriptions/{subscription_id}:pause")
async def pause_subscription(
    subscription_id: str, call: Steps, body: schemas.PauseBody | None = None
) -> schemas.Subscription:
    """Stop a subscription: nothing is billed until it is resumed."""
    wanted = body or schemas.PauseBody()
    return subscription_of(await pauses.pause(call, subscription_id, proration=wanted.proration))


@rest.post("/v1/subscriptions/{subscription_id}:resume")
async def resume_subscription(subscription_id: str, call: Steps) -> schemas.Subscription:
    """Let a paused subscription go on."""
    return subscription_of(await pauses.resume(call, subscription_id))


@rest.post("/v1/plan_changes:preview")
async def preview_plan_change(
    body: schemas.PlanChangeBody, call: Steps
) -> schemas.PlanChangePreview:
    """Rate billed usage by a spec that is not published: who would pay more, who less."""
    found = await plan_diff.preview_plan_change(
        call, plan=body.plan, spec_json=json.dumps(body.spec), periods=body.periods
    )
    customers = len(found.differences)
    return schemas.PlanChangePreview(
        plan_id=found.plan.id,
        plan_version=found.plan.version,
        spec_hash=found.spec_hash,
        currency_code=found.currency_code,
        periods=found.periods,
        active_subscriptions=found.live,
        customers=customers,
        up=found.up,
        down=found.down,
        same=customers - found.up - found.down,
        old_total_minor=found.old_total_minor,
        new_total_minor=found.new_total_minor,
        partial=found.live > plan_diff.CUSTOMERS_MAX,
        examples=[
            schemas.CustomerDifference(
                customer_id=item.customer.id,
                external_id=item.customer.external_id,
                name=item.customer.name,
                old_minor=item.old_minor,
                new_minor=item.new_minor,
            )
            for item in found.differences[: plan_diff.EXAMPLES]
        ],
    )
