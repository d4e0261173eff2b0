"""Periodic work of metering."""

from datetime import timedelta

from prometheus_client import Gauge

from billplane.chassis.auth import service_principal
from billplane.chassis.call import Call
from billplane.chassis.jobs import Jobs, Worker
from billplane.metering.service import usage

jobs = Jobs()
SUBJECTS_AT_ONCE = 500
LOOK_AGAIN = timedelta(minutes=5)

UNATTRIBUTED = Gauge(
    "billplane_metering_unattributed_subjects",
    "Names that usage was sent for and no customer had when they were last looked for",
)


@jobs.every(0.05)
async def flush_usage(worker: Worker) -> None:
    """Move acknowledged events into Postgres when they are due."""
    await worker.runtime.state.flusher.flush_when_due()


@jobs.every(60)
async def attribute_subjects(worker: Worker) -> None:
    """Look whose names the subjects of events are."""
    before = worker.runtime.clock.now() - LOOK_AGAIN
    found = await worker.find("unknown_subjects", before=before, row_limit=SUBJECTS_AT_ONCE)
    unknown = 0
    for row in found:
        principal = service_principal(worker.runtime.name, row.tenant_id, row.livemode)
        async with Call(worker.runtime, principal) as call:
            unknown += not await usage.attribute_subject(call, row.subject)
    UNATTRIBUTED.set(unknown)
