"""Ends, pauses and resumptions, with what they credit."""

from datetime import datetime
from typing import Final

from billplane.chassis.call import Call
from billplane.chassis.errors import FieldError, Invalid
from billplane.subscription import repository
from billplane.subscription.errors import (
    SubscriptionEndedAlready,
    SubscriptionNotActive,
    SubscriptionNotPaused,
)
from billplane.subscription.models import SubscriptionRow
from billplane.subscription.peers import peers_of
from billplane.subscription.service import billing, items
from billplane.subscription.service.changes import (
    bill_first,
    busy,
    check_live,
    same_row,
    unused_items,
)
from billplane.subscription.service.periods import (
    bills_in_advance,
    open_after_pause,
    paused_since,
)
from billplane.subscription.service.subscriptions import announce, cancel_subscription

PRORATIONS: Final = ("create", "none")


async def cancel(
    call: Call, subscription_id: str, *, at_period_end: bool, proration: str
) -> SubscriptionRow:
    """End a subscription when its period ends, or now.

    Now, with proration, what was paid for the days that are left is credited: on the last invoice
    as far as it has room, the rest on the customer's next one.

    Raises: SubscriptionNotFound, SubscriptionEndedAlready, SubscriptionBusy, Invalid, the peers'
        errors.
    """
    call.principal.require("subscriptions:write")
    _check(proration)
    if at_period_end or proration == "none":
        tx = await call.last()
        return await cancel_subscription(tx, subscription_id, at_period_end=at_period_end)
    await call.begin()
    work = await billing.load_for(call, subscription_id)
    if work.row.state == "paused" or work.now < work.row.billing_starts_at:
        tx = await call.last()
        return await cancel_subscription(tx, subscription_id, at_period_end=False)
    await bill_first(call, subscription_id)
    work = await billing.load_for(call, subscription_id)
    credited = await unused_items(peers_of(call), work, work.now)
    tx = await call.last()
    row = await same_row(tx, work.row)
    for new in credited:
        items.add(tx, work.customer, row, new, work.customer.currency_code)
    await tx.session.flush()
    return await cancel_subscription(tx, subscription_id, at_period_end=False)


async def pause(call: Call, subscription_id: str, *, proration: str) -> SubscriptionRow:
    """Stop a subscription: its period ends now and is billed, nothing after it until it goes on.

    Usage meanwhile is counted and not billed.

    Raises: SubscriptionNotFound, SubscriptionEndedAlready, SubscriptionNotActive,
        SubscriptionBusy, Invalid, the peers' errors.
    """
    call.principal.require("subscriptions:write")
    _check(proration)
    await call.begin()
    await bill_first(call, subscription_id)
    work = await billing.load_for(call, subscription_id)
    row, now = work.row, work.now
    check_live(row)
    if now < row.billing_starts_at:
        raise SubscriptionNotActive("a subscription can be paused once its trial is over")
    if row.cancel_at is not None:
        raise SubscriptionEndedAlready("the subscription ends with its period")
    if now >= row.period_ends_at:
        raise busy(row)
    credited = await unused_items(peers_of(call), work, now) if proration == "create" else []
    tx = await call.last()
    row = await same_row(tx, row)
    for new in credited:
        items.add(tx, work.customer, row, new, work.customer.currency_code)
    row.prepaid_invoices = []
    row.pauses = [*row.pauses, {"starts_at": now.isoformat(), "ends_at": None}]
    row.state = "paused"
    if now > row.period_starts_at:
        row.period_ends_at = now
    else:
        row.held = True
    await announce(tx, row)
    return row


async def resume(call: Call, subscription_id: str) -> SubscriptionRow:
    """Let a paused subscription go on: from now to where its period would have ended.

    Raises: SubscriptionNotFound, SubscriptionNotPaused, the peers' errors.
    """
    call.principal.require("subscriptions:write")
    await call.begin()
    work = await billing.load_for(call, subscription_id)
    if work.row.state != "paused":
        raise SubscriptionNotPaused(f"the subscription {subscription_id} is not paused")
    tx = await call.last()
    row = await same_row(tx, work.row)
    since = paused_since(row)
    if since is None:
        raise SubscriptionNotPaused(f"the subscription {subscription_id} is not paused")
    resumed = await repository.now_of(tx, row.test_clock_id)
    _end_pause(row, since, resumed)
    if row.held:
        open_after_pause(row, work.plan.spec.interval, bills_in_advance(work.plan.spec))
    row.state = "past_due" if row.past_due_invoices else "active"
    await announce(tx, row)
    return row


def _end_pause(row: SubscriptionRow, since: datetime, resumed: datetime) -> None:
    pauses = list(row.pauses)
    pauses[-1] = {"starts_at": since.isoformat(), "ends_at": resumed.isoformat()}
    row.pauses = pauses


def _check(proration: str) -> None:
    if proration not in PRORATIONS:
        expected = ", ".join(PRORATIONS)
        raise Invalid([FieldError("/proration", "FIELD_INVALID", f"expected one of {expected}")])
