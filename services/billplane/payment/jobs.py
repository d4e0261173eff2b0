"""Periodic work of payment."""

from datetime import timedelta

from billplane.chassis import logging
from billplane.chassis.auth import service_principal
from billplane.chassis.call import Call
from billplane.chassis.errors import BillplaneError
from billplane.chassis.jobs import Jobs, Worker
from billplane.payment.service import attempts, captures, collecting
from billplane.payment.service.state import state_of

_log = logging.get("payment")

jobs = Jobs()
ANSWERED_AGAIN_SECONDS = 2
COLLECT_EVERY_SECONDS = 1.0


@jobs.every(2)
async def resume_attempts(worker: Worker) -> None:
    """Ask the processor what became of attempts whose outcome is not known."""
    runtime = worker.runtime
    now, state = runtime.clock.now(), state_of(runtime)
    rows = await worker.find(
        "stale_attempts",
        before=now - timedelta(seconds=state.settings.stale_attempt_seconds),
        answered_before=now - timedelta(seconds=ANSWERED_AGAIN_SECONDS),
    )
    for row in rows:
        principal = service_principal(runtime.name, row.tenant_id, row.livemode)
        try:
            async with Call(runtime, principal) as call:
                await attempts.resume(call, row.id)
        except BillplaneError as error:
            _log.warning("attempt_not_resumed", attempt_id=row.id, reason=error.reason)


@jobs.every(0.1)
async def collect_invoices(worker: Worker) -> None:
    """Make the attempts that are due, at once when something was asked for."""
    runtime = worker.runtime
    state = state_of(runtime)
    await worker.wait(state.wake, COLLECT_EVERY_SECONDS)
    state.wake.clear()
    for row in await worker.find("due_collections", real_now=runtime.clock.now()):
        principal = service_principal(runtime.name, row.tenant_id, row.livemode)
        try:
            async with Call(runtime, principal) as call:
                await collecting.collect(call, row.invoice_id)
        except BillplaneError as error:
            _log.warning("invoice_not_collected", invoice_id=row.invoice_id, reason=error.reason)


@jobs.every(300)
async def give_up_authorizations(worker: Worker) -> None:
    """Give back what was authorized and never captured."""
    runtime = worker.runtime
    days = state_of(runtime).settings.authorization_days
    before = runtime.clock.now() - timedelta(days=days)
    for row in await worker.find("stale_authorizations", before=before):
        principal = service_principal(runtime.name, row.tenant_id, row.livemode)
        try:
            async with Call(runtime, principal) as call:
                await captures.cancel_intent(call, row.id, "automatic")
        except BillplaneError as error:
            _log.warning("authorization_not_canceled", intent_id=row.id, reason=error.reason)
