"""Periodic work of metering."""

from datetime import timedelta

from prometheus_client import Gauge

from billplane.chassis import logging
from billplane.chassis.auth import service_principal
from billplane.chassis.call import Call
from billplane.chassis.errors import BillplaneError, Kind, StoreUnavailable
from billplane.chassis.jobs import Jobs, Worker
from billplane.metering.service import thresholds, usage

_log = logging.get("metering")
jobs = Jobs()
SUBJECTS_AT_ONCE = 500
CHECKS_AT_ONCE = 200
LOOK_AGAIN = timedelta(minutes=5)
MONTHS_AT_ONCE = 80

UNATTRIBUTED = Gauge(
    "billplane_metering_unattributed_subjects",
    "Names that usage was sent for and no customer had when they were last looked for",
)


@jobs.every(0.05)
async def flush_usage(worker: Worker) -> None:
    """Move acknowledged events into Postgres when they are due."""
    await worker.runtime.state.flusher.flush_when_due()


@jobs.every(0.5)
async def check_thresholds(worker: Worker) -> None:
    """Compare usage that came with its meters' thresholds; a peer that is away ends the turn."""
    runtime = worker.runtime
    for row in await worker.find("due_threshold_checks", row_limit=CHECKS_AT_ONCE):
        principal = service_principal(runtime.name, row.tenant_id, row.livemode)
        try:
            async with Call(runtime, principal) as call:
                await thresholds.check_thresholds(call, row.subject, row.event_type)
            continue
        except StoreUnavailable:
            raise
        except BillplaneError as error:
            _log.warning("threshold_check_waits", subject=row.subject, reason=error.reason)
            if error.kind in (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED):
                return
        except Exception:
            # One name that cannot be looked at does not keep the others waiting.
            _log.exception("threshold_check_failed", subject=row.subject)
        async with Call(runtime, principal) as call:
            await thresholds.put_off(call, row.subject, row.event_type)


@jobs.every(600)
async def make_months(worker: Worker) -> None:
    """Give each month of usage a partition, before its usage comes or soon after."""
    now = worker.runtime.clock.now()
    for _ in range(MONTHS_AT_ONCE):
        (row,) = await worker.find("make_usage_month", around=now)
        if row.make_usage_month is None:
            return
        _log.info("usage_month_made", month=row.make_usage_month.strftime("%Y-%m"))


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
