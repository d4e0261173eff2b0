"""The wiring of invoice."""

from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.events import fact, task
from billplane.chassis.runtime import Runtime
from billplane.invoice.consumers import REFUND_NOTE, RENDER, RENDER_NOTE, consumers
from billplane.invoice.invariants import (
    credit_notes_fit,
    each_period_is_billed_once,
    numbers_have_no_gaps,
    totals_add_up,
    what_is_final_is_frozen,
)
from billplane.invoice.jobs import jobs
from billplane.invoice.render.press import Press
from billplane.invoice.rest import rest
from billplane.invoice.rpc import rpc
from billplane.invoice.settings import InvoiceSettings
from billplane.protos.invoice.v1 import events_pb2
from billplane.protos.notification.v1.events_pb2 import NotifyTask


async def start(_runtime: Runtime) -> Press:
    """Open the threads that print."""
    return Press()


app = ServiceApp(
    name="invoice",
    title="Invoice",
    description="Documents that must be right: drafts, numbers without gaps, PDF.",
    settings=InvoiceSettings,
    rest=rest,
    rpc=[rpc],
    routes=[
        Route("/v1/invoices"),
        Route("/v1/credit_notes"),
        Route("/v1/receivables"),
        Route("/v1/invoice_settings"),
    ],
    messages=[
        fact(events_pb2.InvoiceCreated, "invoice"),
        fact(events_pb2.InvoiceFinalized, "invoice"),
        fact(events_pb2.InvoicePaid, "invoice"),
        fact(events_pb2.InvoicePastDue, "invoice", wire_type="invoice.past_due"),
        fact(events_pb2.InvoiceVoided, "invoice"),
        fact(events_pb2.InvoiceUncollectible, "invoice"),
        fact(events_pb2.CreditNoteIssued, "invoice"),
        task(NotifyTask),
        RENDER,
        RENDER_NOTE,
        REFUND_NOTE,
    ],
    consumers=consumers,
    jobs=jobs,
    invariants=[
        totals_add_up,
        numbers_have_no_gaps,
        each_period_is_billed_once,
        what_is_final_is_frozen,
        credit_notes_fit,
    ],
    depends_on=["discount", "payment", "subscription", "tax"],
    kept_rest_ports=[8003],
    start=start,
    finders=["stale_attempts", "past_due_invoices", "add_up"],
)
