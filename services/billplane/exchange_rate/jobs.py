"""Periodic work of exchange_rate."""

from billplane.chassis import logging
from billplane.chassis.auth import service_principal
from billplane.chassis.errors import BillplaneError
from billplane.chassis.jobs import Jobs, Worker
from billplane.exchange_rate.service import feeds

jobs = Jobs()
_log = logging.get("exchange_rate")


@jobs.every(5)
async def refresh_due_feeds(worker: Worker) -> None:
    """Fetch the feeds that are due; one that fails does not hold up the others."""
    now = worker.runtime.clock.now()
    for due in await worker.find("due_feeds", due_by=now):
        principal = service_principal("exchange_rate", due.tenant_id, livemode=False)
        try:
            await feeds.refresh_feed(worker.runtime, principal, due.id)
        except BillplaneError as error:
            _log.warning("feed_not_refreshed", feed_id=due.id, reason=error.reason)
        async with worker.transaction(due.tenant_id, livemode=False) as tx:
            await feeds.tell_when_stale(tx, due.id)
