"""Tasks that invoice works on."""

from billplane.chassis.database import Transaction
from billplane.chassis.events import Consumers, Event, task
from billplane.invoice.service import printing
from billplane.protos.invoice.v1.events_pb2 import RenderInvoice

consumers = Consumers()

RENDER = task(RenderInvoice)


@consumers.on(RENDER)
async def render_invoice(tx: Transaction, event: Event[RenderInvoice]) -> None:
    """Print an issued document and keep it."""
    await printing.print_issued(tx, event.payload.invoice_id)
