"""Periodic work of notification."""

import socket
from datetime import timedelta

from billplane.chassis import ids
from billplane.chassis.jobs import Jobs, Worker
from billplane.notification import domain
from billplane.notification.service import messages
from billplane.notification.service.state import State

jobs = Jobs()
_CLAIMER = f"{socket.gethostname()}/{ids.new('mlr')}"


@jobs.every(1)
async def send_messages(worker: Worker) -> None:
    """Send the e-mails and short messages that are due."""
    state: State = worker.runtime.state
    while await messages.send_due(worker, state.ways, _CLAIMER):
        if worker.runtime.stopping.is_set():
            return


@jobs.every(30)
async def cancel_orphans(worker: Worker) -> None:
    """Give deliveries up whose endpoint went while their event was written."""
    await worker.find("cancel_orphans", moment=worker.runtime.clock.now())


@jobs.every(3600)
async def forget_events(worker: Worker) -> None:
    """Forget events and deliveries that are older than they are kept."""
    before = worker.runtime.clock.now() - timedelta(days=domain.EVENT_DAYS)
    await worker.find("forget_events", before=before)
