"""Periodic work of invoice."""

from datetime import timedelta

from billplane.chassis import logging
from billplane.chassis.auth import service_principal
from billplane.chassis.call import Call
from billplane.chassis.errors import BillplaneError
from billplane.chassis.jobs import Jobs, Worker
from billplane.invoice.service import finalization, lifecycle
from billplane.invoice.settings import InvoiceSettings

_log = logging.get("invoice")

jobs = Jobs()


@jobs.every(15)
async def resume_attempts(worker: Worker) -> None:
    """Bring attempts to finalize that nobody has ended in time to their end."""
    runtime = worker.runtime
    settings: InvoiceSettings = runtime.settings  # type: ignore[assignment]
    before = runtime.clock.now() - timedelta(seconds=settings.stale_attempt_seconds)
    for row in await worker.find("stale_attempts", before=before):
        principal = service_principal(runtime.name, row.tenant_id, row.livemode)
        try:
            async with Call(runtime, principal) as call:
                await finalization.resume(call, row.invoice_id)
        except BillplaneError as error:
            _log.warning("attempt_not_resumed", invoice_id=row.invoice_id, reason=error.reason)


@jobs.every(60)
async def find_past_due(worker: Worker) -> None:
    """Note which invoices were not paid by their due date."""
    for row in await worker.find("past_due_invoices", until=worker.runtime.clock.now()):
        async with worker.transaction(row.tenant_id, row.livemode) as tx:
            await lifecycle.mark_past_due(tx, row.invoice_id)
