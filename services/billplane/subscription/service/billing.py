"""Billing what is due of one subscription: documents are made, numbered and noted."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from billplane.chassis import ids, logging
from billplane.chassis.auth import Principal, service_principal
from billplane.chassis.call import Call
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.runtime import Runtime
from billplane.protos.invoice.v1 import invoice_pb2
from billplane.subscription import domain, repository
from billplane.subscription.errors import SubscriptionBusy, SubscriptionNotFound
from billplane.subscription.models import InvoiceItemRow
from billplane.subscription.peers import Peers, peers_of
from billplane.subscription.service import documents, items
from billplane.subscription.service.documents import Part, Work
from billplane.subscription.service.periods import (
    advance_from,
    bills_in_advance,
    next_version,
    open_after_pause,
    period_of,
    set_period,
    take_next_plan,
)
from billplane.subscription.service.subscriptions import announce
from billplane.subscription.settings import SubscriptionSettings

_log = logging.get("subscription")

register("billing.after_create_invoice", "billing.after_finalize_invoice")

Due = Literal["items", "advance", "period"]


async def bill_due(
    runtime: Runtime,
    principal: Principal,
    subscription_id: str,
    *,
    claimer: str,
    run_id: str,
    finalize: bool,
    until: datetime | None,
    grace: timedelta,
) -> int:
    """Bill everything of one subscription that is due; return how many invoices it took.

    Raises: SubscriptionBusy while another worker has it; whatever the peers refuse. What could
        not be billed stays due then.
    Idempotent by: subscription and period start, or the document that waiting items are for.
    """
    settings: SubscriptionSettings = runtime.settings  # type: ignore[assignment]
    lease = timedelta(seconds=settings.billing_lease_seconds)
    async with runtime.database.write(runtime, principal) as tx:
        if not await repository.claim(tx, subscription_id, claimer, lease):
            raise SubscriptionBusy(f"another worker bills {subscription_id}")
    invoices = 0
    try:
        while True:
            work = await _load(runtime, principal, subscription_id, run_id)
            due = _due(work, until, grace)
            if due is None:
                return invoices
            invoice = await _bill(runtime, principal, work, run_id, finalize, due)
            if due == "period":
                await _period_billed(runtime, principal, work, invoice, run_id)
            else:
                await _others_billed(runtime, principal, work, invoice, due)
            invoices += invoice is not None
    finally:
        async with runtime.database.write(runtime, principal) as tx:
            await repository.release(tx, subscription_id, claimer)


async def bill_before_change(call: Call, subscription_id: str) -> None:
    """Bill what is due of a subscription at once, without waiting for late usage.

    Raises: as bill_due.
    """
    work = await load_for(call, subscription_id)
    if _due(work, None, timedelta(0)) is None:
        return
    own = peers_of(call)
    await own.flush_usage(work.now)
    await bill_due(
        call.runtime,
        own.principal,
        subscription_id,
        claimer=ids.new("wrk"),
        run_id=f"change:{subscription_id}",
        finalize=True,
        until=None,
        grace=timedelta(0),
    )


async def load_for(call: Call, subscription_id: str) -> Work:
    """Return a subscription with its plans, its period and what waits for its next invoice.

    Raises: SubscriptionNotFound, the peers' errors.
    """
    own = peers_of(call)
    work = await _load(call.runtime, own.principal, subscription_id, call.request_id)
    async with call.runtime.database.read(call.runtime, own.principal) as tx:
        waiting = await repository.waiting_items(tx, work.row, work.customer.currency_code)
    return replace(work, items=waiting)


def _due(work: Work, until: datetime | None, grace: timedelta) -> Due | None:
    """Tell what is to be billed next: what waits, then first fees, then a period that has ended."""
    row = work.row
    horizon = min(until or datetime.max.replace(tzinfo=work.now.tzinfo), work.now)
    if row.ended_at is not None:
        return None
    if row.items_due is not None:
        return "items"
    if row.advance_due and max(advance_from(row), row.period_starts_at) <= horizon:
        opened = work.period.starts_at >= advance_from(row)
        if opened and not row.held:
            return "advance"
    ended = work.period.ends_at <= (horizon if row.test_clock_id else horizon - grace)
    return "period" if ended and not row.held else None


async def preview(
    runtime: Runtime, principal: Principal, subscription_id: str, request_id: str
) -> invoice_pb2.Invoice:
    """Return the invoice of the current period as it would be now; nothing is stored.

    Raises: SubscriptionNotFound, ScopeMissing, whatever the peers refuse.
    """
    principal.require("subscriptions:read")
    own = service_principal(runtime.name, principal.tenant_id, principal.livemode)
    work = await _load(runtime, own, subscription_id, request_id)
    peers = Peers(runtime, own, request_id)
    await peers.flush_usage(work.now)
    document = await documents.period_document(peers, work, request_id)
    async with runtime.database.read(runtime, own) as tx:
        waiting = await repository.waiting_items(tx, work.row, work.customer.currency_code)
    chosen, _ = await _within_total(peers, document, waiting)
    documents.add_items(document, chosen, document.time_zone)
    return await peers.preview_invoice(document)


async def _load(
    runtime: Runtime, principal: Principal, subscription_id: str, request_id: str
) -> Work:
    async with runtime.database.read(runtime, principal) as tx:
        row = await repository.subscription(tx, subscription_id)
        customer = await repository.customer(tx, row.customer_id) if row else None
        if row is None or customer is None:
            raise SubscriptionNotFound(f"there is no subscription {subscription_id}")
        now = await repository.now_of(tx, row.test_clock_id)
        billed = await repository.billed_until(tx, row.id, row.period_starts_at)
    peers, period = Peers(runtime, principal, request_id), period_of(row)
    plan = await peers.plan(row.plan_id, row.plan_version)
    following = None
    if row.next_plan is not None:
        following = await peers.plan(row.next_plan["plan_id"], row.next_plan["plan_version"])
    elif (version := next_version(row, row.period_ends_at)) is not None:
        following = await peers.plan(row.plan_id, version)
    parts = []
    for segment in map(domain.Segment.of_json, row.segments):
        held = await peers.plan(segment.plan_id, segment.plan_version)
        parts.append(Part(held, segment.starts_at, segment.ends_at))
    starts_at = parts[-1].ends_at if parts else period.starts_at
    if starts_at < period.ends_at:
        parts.append(Part(plan, starts_at, period.ends_at))
    return Work(row, customer, plan, period, now, billed, tuple(parts), following)


async def _bill(
    runtime: Runtime, principal: Principal, work: Work, run_id: str, finalize: bool, due: Due
) -> invoice_pb2.Invoice | None:
    """Make the document and its invoice; None where there is nothing on it."""
    peers = Peers(runtime, principal, run_id)
    if due == "advance":
        document = await documents.advance_document(peers, work, run_id)
    elif due == "items":
        document = documents.items_document(work, work.row.items_due or "", run_id)
    else:
        document = await documents.period_document(peers, work, run_id)
    taken = await _take_items(runtime, principal, peers, work, document)
    documents.add_items(document, taken, document.time_zone)
    if due == "items" and not taken:
        return None
    invoice = await peers.create_invoice(document)
    faultpoint("billing.after_create_invoice")
    if finalize and invoice.state in ("draft", "finalizing"):
        invoice = await peers.finalize_invoice(invoice.id, work.now)
    faultpoint("billing.after_finalize_invoice")
    return invoice


async def _take_items(
    runtime: Runtime,
    principal: Principal,
    peers: Peers,
    work: Work,
    document: invoice_pb2.CreateInvoiceRequest,
) -> Sequence[InvoiceItemRow]:
    """Take what waits for the document, credits as far as it has room for them."""
    name = document.request_id
    async with runtime.database.write(runtime, principal) as tx:
        row = await repository.lock_subscription(tx, work.row.id)
        if row is None:
            return []
        if row.document != name:
            await repository.take_items(tx, row, document.currency_code, name)
            row.document = name
        found = await repository.items_of(tx, row.customer_id, name)
    chosen, amounts = await _within_total(peers, document, found)
    if any(item.amount_minor != amount for item, amount in zip(found, amounts, strict=True)):
        async with runtime.database.write(runtime, principal) as tx:
            await items.keep_rest(tx, dict(zip([i.id for i in found], amounts, strict=True)))
    return chosen


async def _within_total(
    peers: Peers, document: invoice_pb2.CreateInvoiceRequest, found: Sequence[InvoiceItemRow]
) -> tuple[list[InvoiceItemRow], list[int]]:
    """Return items with the amounts that keep the document from going below zero.

    What is left of a credit waits for the next invoice.
    """
    credited = [item for item in found if item.amount_minor < 0]
    amounts = {item.id: item.amount_minor for item in found}
    if credited:
        trial = invoice_pb2.CreateInvoiceRequest()
        trial.CopyFrom(document)
        charges = [item for item in found if item.amount_minor >= 0]
        documents.add_items(trial, charges, document.time_zone)
        room = (await peers.preview_invoice(trial)).net_minor if trial.lines else 0
        parts = domain.fitting([item.amount_minor for item in credited], room)
        amounts |= dict(zip([item.id for item in credited], parts, strict=True))
    chosen = [items.with_amount(item, amounts[item.id]) for item in found if amounts[item.id]]
    return chosen, [amounts[item.id] for item in found]


async def _others_billed(
    runtime: Runtime,
    principal: Principal,
    work: Work,
    invoice: invoice_pb2.Invoice | None,
    due: Due,
) -> None:
    """Note that first fees, or waiting items, are billed."""
    async with runtime.database.write(runtime, principal) as tx:
        row = await repository.lock_subscription(tx, work.row.id)
        if row is None:
            return
        if due == "advance":
            row.advance_due = False
            row.state = "active" if row.state in ("pending", "trialing") else row.state
        elif row.items_due == work.row.items_due:
            row.items_due = None
        if invoice is not None:
            if row.period_starts_at == work.period.starts_at:
                row.prepaid_invoices = [*row.prepaid_invoices, invoice.id]
            await repository.note_items_billed(tx, row, invoice.id)
            _log.info("fees_billed", subscription_id=row.id, invoice_id=invoice.id, due=due)


async def _period_billed(
    runtime: Runtime,
    principal: Principal,
    work: Work,
    invoice: invoice_pb2.Invoice | None,
    run_id: str,
) -> None:
    """Note the period and move on to the next, unless another worker did."""
    async with runtime.database.write(runtime, principal) as tx:
        row = await repository.lock_subscription(tx, work.row.id)
        if row is None or invoice is None or row.period_starts_at != work.period.starts_at:
            return
        await repository.note_items_billed(tx, row, invoice.id)
        await repository.note_billed(tx, row, _segments(work), invoice.id, run_id)
        if row.cancel_at is not None and row.cancel_at <= row.period_ends_at:
            row.ended_at, row.state = row.cancel_at, "ended"
            await repository.free_items(tx, row)
            await announce(tx, row)
            return
        # A pause, or a plan, that came while the invoice was made counts from now on.
        ended = replace(work, row=row)
        row.segments, row.prepaid_invoices = [], []
        if ended.pause is not None:
            open_after_pause(row, work.plan.spec.interval, bills_in_advance(work.plan.spec))
            return
        row.prepaid_invoices = [invoice.id]
        set_period(row, work.next_period().until(row.cancel_at))
        if row.state not in ("canceled", "past_due", "paused"):
            row.state = "active"
        if take_next_plan(row, work.row, work.plan, work.following):
            await announce(tx, row)


def _segments(work: Work) -> list[domain.Segment]:
    return [
        domain.Segment(part.plan.id, part.plan.version, part.starts_at, part.ends_at)
        for part in work.parts
    ]
