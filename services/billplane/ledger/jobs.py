"""Periodic work of ledger."""

from billplane.chassis.auth import service_principal
from billplane.chassis.call import Call
from billplane.chassis.jobs import Jobs, Worker
from billplane.ledger.errors import HoldClosed, HoldNotDue
from billplane.ledger.service import transactions

jobs = Jobs()
HOLDS_AT_ONCE = 500


@jobs.every(5)
async def expire_holds(worker: Worker) -> None:
    """Give back what holds reserve whose time is over."""
    before = worker.runtime.clock.now()
    for row in await worker.find("due_holds", before=before, row_limit=HOLDS_AT_ONCE):
        principal = service_principal(worker.runtime.name, row.tenant_id, row.livemode)
        async with Call(worker.runtime, principal) as call:
            try:
                await transactions.expire_hold(call, row.transaction_id)
            except (HoldClosed, HoldNotDue):
                continue  # somebody was faster
