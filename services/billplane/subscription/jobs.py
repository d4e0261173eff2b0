"""Periodic work of subscription."""

from datetime import timedelta

from billplane.chassis.jobs import Jobs, Worker
from billplane.subscription.service import moments, runs
from billplane.subscription.service.runs import Biller
from billplane.subscription.settings import SubscriptionSettings

jobs = Jobs()


@jobs.every(5)
async def start_due_runs(worker: Worker) -> None:
    """Start a run in every tenant where a period has ended."""
    settings: SubscriptionSettings = worker.runtime.settings  # type: ignore[assignment]
    if not settings.automatic_billing:
        return
    grace = timedelta(seconds=settings.billing_grace_seconds)
    now = worker.runtime.clock.now()
    for due in await worker.find("tenants_due", real_now=now, grace=grace):
        await runs.start_automatic_run(worker.runtime, due.tenant_id, due.livemode)


@jobs.every(2)
async def meet_moments(worker: Worker) -> None:
    """Begin what has begun, and tell of trials that end soon."""
    now = worker.runtime.clock.now()
    for due in await worker.find("moments_due", real_now=now, ahead=moments.TRIAL_AHEAD):
        await moments.meet_moment(worker.runtime, due.tenant_id, due.livemode, due.id)


@jobs.every(0.05)
async def work_on_runs(worker: Worker) -> None:
    """Work on running billing runs, those of dead processes too; wait when there is none."""
    biller: Biller = worker.runtime.state
    # Look also when nobody woke us: another process may have left a run.
    await worker.wait(biller.awake, 2)
    biller.awake.clear()
    for run in await worker.find("running_runs"):
        if biller.take(run.id):
            try:
                await runs.work_on(worker.runtime, run.tenant_id, run.livemode, run.id)
            finally:
                biller.leave(run.id)
