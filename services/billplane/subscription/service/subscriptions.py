"""Subscriptions: who is on which plan, in which period."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.protos.pricing.v1 import pricing_pb2
from billplane.protos.subscription.v1.events_pb2 import (
    SubscriptionChanged,
    SubscriptionCreated,
    SubscriptionEnded,
)
from billplane.resources import parse_duration
from billplane.resources.billing_plan import BillingPlanSpec
from billplane.subscription import domain, repository
from billplane.subscription.errors import (
    CurrencyNotPriced,
    CustomerNotFound,
    PlanArchived,
    SubscriptionEndedAlready,
    SubscriptionNotFound,
)
from billplane.subscription.models import CustomerRow, SubscriptionRow
from billplane.subscription.peers import Plan, peers_of
from billplane.subscription.service.periods import bills_in_advance, period_at, set_period

START_BACK = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class CurrentPeriod:
    """The open period of a customer; without a subscription only the customer and its time."""

    customer: CustomerRow
    now: datetime
    subscription: SubscriptionRow | None
    period: domain.Period | None


async def create_subscription(
    call: Call,
    *,
    customer_id: str,
    plan: str,
    starts_at: datetime | None,
    coupon_codes: Sequence[str],
    metadata: dict[str, str],
) -> SubscriptionRow:
    """Subscribe a customer to the newest version of a plan that is in effect.

    Raises: CustomerNotFound, PlanArchived, CurrencyNotPriced, Invalid, the plan's errors.
    Idempotent by: the request id.
    """
    call.principal.require("subscriptions:write")
    async with call.reading() as reading:
        customer = await repository.customer(reading, customer_id)
        if customer is None:
            raise CustomerNotFound(f"there is no customer {customer_id}", field="/customer_id")
        now = await repository.now_of(reading, customer.test_clock_id)
    starts = starts_at or now
    if starts < now - START_BACK:
        detail = "starts_at may lie at most 400 days back"
        raise Invalid([FieldError("/starts_at", "TIME_OUT_OF_RANGE", detail)])
    found, upcoming = await peers_of(call).plan_at(plan, max(starts, now))
    if found.state == "archived":
        raise PlanArchived(f"the plan {found.name} is no longer sold", field="/plan")
    check_priced(found.spec, customer.currency_code)
    spec = found.spec
    billing_starts = starts + (parse_duration(spec.trial) if spec.trial else timedelta(0))
    period = domain.period_at(spec.interval, billing_starts, billing_starts)
    tx = await call.last()
    row = _row(tx, customer, found, starts, billing_starts)
    row.state, row.coupon_codes = state_at(starts, billing_starts, now), list(coupon_codes)
    row.metadata_, row.dated_versions = metadata, versions_for(customer, upcoming)
    set_period(row, period)
    tx.session.add(row)
    await tx.session.flush()
    await tx.publish(
        SubscriptionCreated(
            subscription_id=row.id,
            customer_id=row.customer_id,
            plan_id=row.plan_id,
            plan_version=row.plan_version,
            state=row.state,
        ),
        aggregate_id=row.id,
    )
    return row


def _row(
    tx: Transaction, customer: CustomerRow, plan: Plan, starts: datetime, billing_starts: datetime
) -> SubscriptionRow:
    """Make the row of a subscription that nothing has happened to."""
    return SubscriptionRow(
        tenant_id=tx.tenant_id,
        id=ids.new("sub"),
        livemode=tx.livemode,
        customer_id=customer.id,
        test_clock_id=customer.test_clock_id,
        plan_id=plan.id,
        plan_name=plan.name,
        plan_version=plan.version,
        next_plan_version=None,
        dated_versions=[],
        interval=plan.spec.interval.model_dump(mode="json"),
        state="pending",
        starts_at=starts,
        billing_starts_at=billing_starts,
        advance_due=bills_in_advance(plan.spec),
        anchor_at=None,
        next_plan=None,
        segments=[],
        pauses=[],
        held=False,
        prepaid_invoices=[],
        items_due=None,
        document=None,
        trial_end_told=False,
        cancel_at=None,
        ended_at=None,
        coupon_codes=[],
        past_due_invoices=[],
        metadata_={},
        claimed_by=None,
        claimed_until=None,
        created_at=tx.now,
    )


async def cancel_subscription(
    tx: Transaction, subscription_id: str, *, at_period_end: bool
) -> SubscriptionRow:
    """End a subscription at the end of its period, or now: then the cut period is billed next.

    Raises: SubscriptionNotFound, SubscriptionEndedAlready, ScopeMissing.
    """
    tx.authorize("subscriptions:write")
    row = await repository.lock_subscription(tx, subscription_id)
    if row is None or row.livemode != tx.livemode:
        raise SubscriptionNotFound(f"there is no subscription {subscription_id}")
    if row.ended_at is not None or row.state == "canceled":
        raise SubscriptionEndedAlready(f"the subscription {subscription_id} has ended")
    now = await repository.now_of(tx, row.test_clock_id)
    row.next_plan = None
    if row.held:
        row.cancel_at, row.ended_at, row.state = now, now, "ended"
    elif row.state == "paused":
        row.cancel_at, row.state = row.period_ends_at, "canceled"  # what is billed till the pause
    elif now < row.billing_starts_at:
        # Nothing is billed of a trial; at its end nothing more happens.
        row.cancel_at = row.ended_at = row.billing_starts_at if at_period_end else now
        row.state = "canceled" if at_period_end else "ended"
    elif at_period_end:
        # Periods that have ended and are not billed yet are billed as they are.
        row.cancel_at = period_at(row, now).ends_at
    elif now == row.period_starts_at:
        row.cancel_at, row.ended_at, row.state = now, now, "ended"
    else:
        row.cancel_at, row.state = now, "canceled"
        row.period_ends_at = min(now, row.period_ends_at)
    if row.ended_at is not None:
        await repository.free_items(tx, row)
    await announce(tx, row)
    return row


async def note_past_due(tx: Transaction, subscription_id: str, invoice_id: str) -> None:
    """Note that an invoice of a subscription is past due: so is the subscription.

    Idempotent by: the invoice.
    """
    tx.require_internal()
    row = await repository.lock_subscription(tx, subscription_id)
    if row is None or invoice_id in row.past_due_invoices:
        return
    row.past_due_invoices = [*row.past_due_invoices, invoice_id]
    if row.state == "active":
        row.state = "past_due"
        await announce(tx, row)


async def note_settled(tx: Transaction, subscription_id: str, invoice_id: str) -> None:
    """Note that an invoice is past due no more; with the last one the subscription is active.

    Idempotent by: the invoice.
    """
    tx.require_internal()
    row = await repository.lock_subscription(tx, subscription_id)
    if row is None or invoice_id not in row.past_due_invoices:
        return
    row.past_due_invoices = [held for held in row.past_due_invoices if held != invoice_id]
    if row.state == "past_due" and not row.past_due_invoices:
        row.state = "active"
        await announce(tx, row)


async def end_unpaid(tx: Transaction, subscription_id: str) -> None:
    """End a subscription whose invoice could not be collected, unless it has ended.

    Idempotent by: the subscription.
    """
    tx.require_internal()
    row = await repository.lock_subscription(tx, subscription_id)
    if row is not None and row.ended_at is None and row.state != "canceled":
        await cancel_subscription(tx, subscription_id, at_period_end=False)


async def get_subscription(tx: ReadTransaction, subscription_id: str) -> SubscriptionRow:
    """Return a subscription.

    Raises: SubscriptionNotFound, ScopeMissing.
    """
    tx.authorize("subscriptions:read")
    row = await repository.subscription(tx, subscription_id)
    if row is None:
        raise SubscriptionNotFound(f"there is no subscription {subscription_id}")
    return row


async def list_subscriptions(
    tx: ReadTransaction, page: Page, customer: str | None, state: str | None
) -> tuple[Sequence[SubscriptionRow], str | None]:
    """Return a page of subscriptions, of one customer by id or external_id or of all."""
    tx.authorize("subscriptions:read")
    customer_id = None
    if customer:
        row = await repository.customer(tx, customer)
        if row is None:
            return [], None
        customer_id = row.id
    return await repository.page_of_subscriptions(tx, page, customer_id, state)


async def current_period(
    tx: ReadTransaction, customer_id: str, at: datetime | None
) -> CurrentPeriod | None:
    """Return the customer's open period; None when there is no such customer."""
    tx.authorize("subscriptions:read")
    customer = await repository.customer(tx, customer_id)
    if customer is None:
        return None
    now = at or await repository.now_of(tx, customer.test_clock_id)
    row = await repository.current_subscription(tx, customer.id, now)
    if row is None:
        return CurrentPeriod(customer, now, None, None)
    return CurrentPeriod(customer, now, row, period_at(row, now).until(row.cancel_at))


async def count_subscriptions(tx: ReadTransaction, plan_id: str) -> int:
    """Count live subscriptions of a plan."""
    tx.authorize("subscriptions:read")
    return await repository.count_live(tx, plan_id)


async def adopt_version(
    tx: Transaction,
    plan_id: str,
    version: int,
    apply_to: str,
    customers: Sequence[str],
    effective_at: datetime | None,
) -> None:
    """Let subscribers take a new version with their next period, as its rollout says.

    Idempotent by: the version.
    """
    if apply_to == "all":
        await repository.move_to_version(tx, plan_id, version, None, effective_at)
    elif apply_to == "selector":
        await repository.move_to_version(tx, plan_id, version, customers, effective_at)


def versions_for(
    customer: CustomerRow, upcoming: Sequence[pricing_pb2.UpcomingVersion]
) -> list[dict[str, Any]]:
    """Return the versions that a new subscription takes later, as its row keeps them."""
    names = {customer.id, customer.external_id}
    return [
        {
            "version": item.version,
            "effective_at": item.effective_at.ToDatetime(tzinfo=UTC).isoformat(),
        }
        for item in upcoming
        if item.apply_to == "all" or (item.apply_to == "selector" and names & {*item.customer_ids})
    ]


def check_priced(spec: BillingPlanSpec, currency: str) -> None:
    """Refuse a customer whose currency the plan is not priced in.

    Raises: CurrencyNotPriced.
    """
    priced = [spec.currency, *(other.currency for other in spec.also_priced_in)]
    if currency not in priced:
        raise CurrencyNotPriced(
            f"the plan is priced in {', '.join(priced)}, the customer pays in {currency}",
            metadata={"currency_code": currency, "priced_in": ", ".join(priced)},
        )


async def announce(tx: Transaction, row: SubscriptionRow) -> None:
    """Publish that a subscription changed or ended."""
    if row.ended_at is not None:
        ended = SubscriptionEnded(
            subscription_id=row.id, customer_id=row.customer_id, plan_id=row.plan_id
        )
        await tx.publish(ended, aggregate_id=row.id)
        return
    changed = SubscriptionChanged(
        subscription_id=row.id,
        customer_id=row.customer_id,
        plan_id=row.plan_id,
        plan_version=row.plan_version,
        state=row.state,
    )
    await tx.publish(changed, aggregate_id=row.id)


def state_at(starts: datetime, billing_starts: datetime, now: datetime) -> str:
    """Tell how far a subscription is that nobody has stopped."""
    if now < starts:
        return "pending"
    return "trialing" if now < billing_starts else "active"
