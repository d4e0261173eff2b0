"""What subscription does when others say that something happened."""

from datetime import UTC

from billplane.chassis.database import Transaction
from billplane.chassis.events import Consumers, Event, fact
from billplane.protos.invoice.v1.events_pb2 import (
    InvoicePaid,
    InvoicePastDue,
    InvoiceUncollectible,
    InvoiceVoided,
)
from billplane.protos.payment.v1.events_pb2 import CollectionExhausted
from billplane.protos.pricing.v1.events_pb2 import PlanPublished
from billplane.subscription.service import subscriptions

consumers = Consumers()


@consumers.on(fact(PlanPublished, "plan"))
async def adopt_plan_version(tx: Transaction, event: Event[PlanPublished]) -> None:
    """Let subscribers take a new version, as its rollout says."""
    plan = event.payload
    effective_at = (
        plan.effective_at.ToDatetime(tzinfo=UTC) if plan.HasField("effective_at") else None
    )
    await subscriptions.adopt_version(
        tx, plan.plan_id, plan.version, plan.apply_to, list(plan.customer_ids), effective_at
    )


@consumers.on(fact(InvoicePastDue, "invoice", wire_type="invoice.past_due"))
async def fall_behind(tx: Transaction, event: Event[InvoicePastDue]) -> None:
    """Let a subscription be past due with its invoice."""
    invoice = event.payload
    if invoice.subscription_id:
        await subscriptions.note_past_due(tx, invoice.subscription_id, invoice.invoice_id)


@consumers.on(fact(InvoicePaid, "invoice"))
async def catch_up(tx: Transaction, event: Event[InvoicePaid]) -> None:
    """Let a subscription be active again once its invoices are paid."""
    invoice = event.payload
    if invoice.subscription_id:
        await subscriptions.note_settled(tx, invoice.subscription_id, invoice.invoice_id)


@consumers.on(fact(InvoiceVoided, "invoice"))
async def forget_voided(tx: Transaction, event: Event[InvoiceVoided]) -> None:
    """Owe nothing for a voided invoice."""
    invoice = event.payload
    if invoice.subscription_id:
        await subscriptions.note_settled(tx, invoice.subscription_id, invoice.invoice_id)


@consumers.on(fact(InvoiceUncollectible, "invoice"))
async def forget_written_off(tx: Transaction, event: Event[InvoiceUncollectible]) -> None:
    """Let an invoice that was written off hold nobody back."""
    invoice = event.payload
    if invoice.subscription_id:
        await subscriptions.note_settled(tx, invoice.subscription_id, invoice.invoice_id)


@consumers.on(fact(CollectionExhausted, "collection"))
async def end_unpaid(tx: Transaction, event: Event[CollectionExhausted]) -> None:
    """End a subscription that nobody pays for, where dunning ends so."""
    collection = event.payload
    if collection.subscription_id and collection.final_action == "cancel_subscription":
        await subscriptions.end_unpaid(tx, collection.subscription_id)
