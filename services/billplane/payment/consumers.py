"""Facts and tasks that payment works on."""

from datetime import UTC

from billplane.chassis.database import Transaction
from billplane.chassis.events import Consumers, Event, fact, task
from billplane.payment.service import collecting, processor_events, requests
from billplane.protos.invoice.v1 import events_pb2 as invoice_events
from billplane.protos.payment.v1.events_pb2 import ApplyProcessorEvent
from billplane.protos.subscription.v1.events_pb2 import TestClockAdvanced

consumers = Consumers()

APPLY = task(ApplyProcessorEvent)


@consumers.on(fact(invoice_events.InvoiceCreated, "invoice"))
async def prepare_intent(tx: Transaction, event: Event[invoice_events.InvoiceCreated]) -> None:
    """Prepare the intent of a draft."""
    await collecting.prepare_intent(tx, event.payload)


@consumers.on(fact(invoice_events.InvoiceFinalized, "invoice"))
async def begin_collection(tx: Transaction, event: Event[invoice_events.InvoiceFinalized]) -> None:
    """Collect what a final invoice asks for."""
    await collecting.begin_collection(tx, event.payload)


@consumers.on(fact(invoice_events.InvoicePaid, "invoice"))
async def end_with_payment(tx: Transaction, event: Event[invoice_events.InvoicePaid]) -> None:
    """Stop collecting what was paid, by transfer say."""
    await collecting.end_collection(tx, event.payload.invoice_id)


@consumers.on(fact(invoice_events.InvoiceVoided, "invoice"))
async def end_with_void(tx: Transaction, event: Event[invoice_events.InvoiceVoided]) -> None:
    """Stop collecting what was voided."""
    await collecting.end_collection(tx, event.payload.invoice_id)


@consumers.on(fact(invoice_events.CreditNoteIssued, "invoice"))
async def collect_less(tx: Transaction, event: Event[invoice_events.CreditNoteIssued]) -> None:
    """Collect less of what was credited."""
    await requests.lower(tx, event.payload.invoice_id, event.payload.applied_minor)


@consumers.on(fact(invoice_events.InvoiceUncollectible, "invoice"))
async def end_with_write_off(
    tx: Transaction, event: Event[invoice_events.InvoiceUncollectible]
) -> None:
    """Stop collecting what was written off."""
    await collecting.end_collection(tx, event.payload.invoice_id)


@consumers.on(fact(TestClockAdvanced, "test_clock"))
async def follow_clock(tx: Transaction, event: Event[TestClockAdvanced]) -> None:
    """Let attempts that fall due in simulated time be made."""
    now = event.payload.now.ToDatetime(tzinfo=UTC)
    await collecting.follow_clock(tx, event.payload.test_clock_id, now)


@consumers.on(APPLY)
async def apply_processor_event(tx: Transaction, event: Event[ApplyProcessorEvent]) -> None:
    """Do what a processor told."""
    told = event.payload
    await processor_events.apply(tx, told.processor, told.processor_event_id)
