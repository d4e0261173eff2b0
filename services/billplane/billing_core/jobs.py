"""Periodic work of billing_core: what others began is completed, what is over ends."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from billplane.billing_core.service import (
    books,
    comparing,
    filling,
    opening,
    reservations,
    running,
)
from billplane.billing_core.settings import BillingCoreSettings
from billplane.chassis import logging
from billplane.chassis.auth import service_principal
from billplane.chassis.call import Call
from billplane.chassis.errors import BillplaneError, Kind, StoreUnavailable
from billplane.chassis.jobs import Jobs, Worker

_log = logging.get("billing_core")
jobs = Jobs()
AT_ONCE = 200
COMPARED_AT_ONCE = 100


@jobs.every(1)
async def complete_operations(worker: Worker) -> None:
    """Complete operations that no request completes, or none has in time."""
    now = worker.runtime.clock.now()
    await _each(worker, running.resume, "due_operations", due=now, row_limit=AT_ONCE)


@jobs.every(1)
async def run_out_reservations(worker: Worker) -> None:
    """Free what reservations hold whose time is over."""
    now = worker.runtime.clock.now()
    await _each(
        worker, reservations.run_out_reservation, "due_reservations", due=now, row_limit=AT_ONCE
    )


@jobs.every(1)
async def collect_auto_top_ups(worker: Worker) -> None:
    """Ask for the money that wallets want."""
    await _each(worker, filling.collect, "pending_auto_top_ups", row_limit=AT_ONCE)


@jobs.every(10)
async def retire_credits(worker: Worker) -> None:
    """Take away what is left of credits that are over."""
    for row in await worker.find("due_wallets", due=worker.runtime.clock.now(), row_limit=AT_ONCE):
        async with worker.transaction(row.tenant_id, row.livemode) as tx:
            held = await books.lock(tx, row.id)
            await books.retire(tx, held)
            await books.look(tx, held)


@jobs.every(10)
async def open_wallets(worker: Worker) -> None:
    """Open the accounts of wallets whose opening was interrupted."""
    before = worker.runtime.clock.now() - _stale(worker)
    await _each(worker, opening.open_account, "opening_wallets", before=before, row_limit=AT_ONCE)


@jobs.every(60)
async def compare_wallets(worker: Worker) -> None:
    """Ask the ledger what it has of wallets, those first that were not compared for longest."""
    settings: BillingCoreSettings = worker.runtime.settings  # type: ignore[assignment]
    before = worker.runtime.clock.now() - timedelta(seconds=settings.compare_seconds)
    await _each(
        worker, comparing.compare, "wallets_to_compare", before=before, row_limit=COMPARED_AT_ONCE
    )


def _stale(worker: Worker) -> timedelta:
    settings: BillingCoreSettings = worker.runtime.settings  # type: ignore[assignment]
    return timedelta(seconds=settings.stale_operation_seconds)


async def _each(
    worker: Worker, work: Callable[[Call, str], Awaitable[None]], finder: str, **arguments: Any
) -> None:
    """Do some work for each row that a finder gives; a peer that is away ends the turn."""
    runtime = worker.runtime
    for row in await worker.find(finder, **arguments):
        principal = service_principal(runtime.name, row.tenant_id, row.livemode)
        try:
            async with Call(runtime, principal) as call:
                await work(call, row.id)
        except StoreUnavailable:
            raise
        except BillplaneError as error:
            _log.warning("work_waits", finder=finder, id=row.id, reason=error.reason)
            if error.kind in (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED):
                return
        except Exception:
            # One row that cannot be worked on does not keep the others waiting.
            _log.exception("work_failed", finder=finder, id=row.id)
