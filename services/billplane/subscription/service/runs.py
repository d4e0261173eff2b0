"""Billing runs: every ended period once, in parallel, resumable."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError

from billplane.chassis import ids, logging
from billplane.chassis.auth import Principal, service_principal
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import BillplaneError, Kind
from billplane.chassis.rest import Page
from billplane.chassis.runtime import Runtime
from billplane.subscription import repository
from billplane.subscription.errors import BillingRunNotFound, CustomerNotFound
from billplane.subscription.models import BillingRunRow
from billplane.subscription.peers import Peers, Plans
from billplane.subscription.service.billing import bill_due
from billplane.subscription.settings import SubscriptionSettings

_log = logging.get("subscription")
ERRORS_MAX = 100
# What is over by itself: a peer or store away, another worker at it.
_PASSING = (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED, Kind.ABORTED, Kind.INTERNAL)


class Biller:
    """Works on billing runs, one at a time in a process, many subscriptions at once."""

    def __init__(self) -> None:
        self.id = ids.new("wrk")
        self.awake = asyncio.Event()
        self.plans: Plans = OrderedDict()
        self._busy: set[str] = set()

    def wake_soon(self) -> None:
        """Look for runs once the transaction in hand has ended."""
        asyncio.get_running_loop().call_later(0.05, self.awake.set)

    def take(self, run_id: str) -> bool:
        """Begin a run unless this process is at it already."""
        if run_id in self._busy:
            return False
        self._busy.add(run_id)
        return True

    def leave(self, run_id: str) -> None:
        """End a run."""
        self._busy.discard(run_id)

    async def close(self) -> None:
        """Nothing is held: an unfinished run is taken up again by whoever comes next."""


async def create_run(
    tx: Transaction, *, at: datetime | None, customers: Sequence[str], finalize: bool
) -> BillingRunRow:
    """Start billing what has ended; the work goes on after the answer.

    Raises: CustomerNotFound, ScopeMissing.
    """
    tx.authorize("billing_runs:write")
    wanted = list(dict.fromkeys(customers))
    found = await repository.customers_named(tx, wanted) if wanted else {}
    for name in wanted:
        if name not in found:
            raise CustomerNotFound(f"there is no customer {name}", field="/customer_ids")
    chosen = list(dict.fromkeys(found[name].id for name in wanted))
    row = _run_row(tx, at=at, customers=chosen, finalize=finalize, automatic=False)
    tx.session.add(row)
    return row


def _run_row(
    tx: Transaction,
    *,
    at: datetime | None,
    customers: list[str],
    finalize: bool,
    automatic: bool,
) -> BillingRunRow:
    return BillingRunRow(
        tenant_id=tx.tenant_id,
        id=ids.new("run"),
        livemode=tx.livemode,
        state="running",
        at=at,
        customer_ids=customers,
        finalize=finalize,
        automatic=automatic,
        periods=0,
        invoiced=0,
        errors=[],
        created_at=tx.now,
        finished_at=None,
    )


async def start_automatic_run(runtime: Runtime, tenant_id: str, livemode: bool) -> None:
    """Start a run over what is due in a tenant, unless one is at it."""
    principal = service_principal(runtime.name, tenant_id, livemode)
    try:
        async with runtime.database.write(runtime, principal) as tx:
            tx.session.add(_run_row(tx, at=None, customers=[], finalize=True, automatic=True))
    except IntegrityError:
        return  # a running one will find what is due


async def get_run(tx: ReadTransaction, run_id: str) -> BillingRunRow:
    """Return a billing run.

    Raises: BillingRunNotFound, ScopeMissing.
    """
    tx.authorize("billing_runs:read")
    row = await repository.run(tx, run_id)
    if row is None:
        raise BillingRunNotFound(f"there is no billing run {run_id}")
    return row


async def list_runs(tx: ReadTransaction, page: Page) -> tuple[Sequence[BillingRunRow], str | None]:
    """Return a page of billing runs."""
    tx.authorize("billing_runs:read")
    return await repository.page_of_runs(tx, page)


async def work_on(runtime: Runtime, tenant_id: str, livemode: bool, run_id: str) -> None:
    """Bill everything in the scope of a run; one subscription's failure does not stop the others.

    A run that a dead process left is simply worked on again: what is billed is no longer due. A run
    with periods that could not be billed just now, because a peer was away or another worker had
    them, goes on later.
    """
    principal = service_principal(runtime.name, tenant_id, livemode)
    async with runtime.database.read(runtime, principal) as tx:
        run = await repository.run(tx, run_id)
    if run is None or run.state != "running":
        return
    settings: SubscriptionSettings = runtime.settings  # type: ignore[assignment]
    grace = timedelta(seconds=settings.billing_grace_seconds if run.automatic else 0)
    await Peers(runtime, principal, run_id).flush_usage(run.at or runtime.clock.now())
    room = asyncio.Semaphore(settings.billing_parallel)
    after, failed, busy = "", 0, 0
    while True:
        async with runtime.database.read(runtime, principal) as tx:
            due = await repository.due_subscriptions(
                tx, at=run.at, customers=run.customer_ids, grace=grace, after=after
            )
        if not due:
            break
        done = await asyncio.gather(
            *(_bill_one(runtime, principal, run, item, grace, room) for item in due)
        )
        errors = [error for _, error in done if error]
        failed += len(errors)
        busy += sum(error == {} for _, error in done)
        invoiced = sum(invoices for invoices, _ in done)
        async with runtime.database.write(runtime, principal) as writing:
            await repository.count_in_run(
                writing,
                run_id,
                periods=invoiced + len(errors),
                invoiced=invoiced,
                errors=errors[:ERRORS_MAX],
            )
        after = due[-1]
    if not busy:
        await _finish(runtime, principal, run_id, failed)


async def _bill_one(
    runtime: Runtime,
    principal: Principal,
    run: BillingRunRow,
    subscription_id: str,
    grace: timedelta,
    room: asyncio.Semaphore,
) -> tuple[int, dict[str, Any] | None]:
    """Return how many invoices were made and what failed: {} for what will be tried again."""
    biller: Biller = runtime.state
    async with room:
        try:
            return (
                await bill_due(
                    runtime,
                    principal,
                    subscription_id,
                    claimer=biller.id,
                    run_id=run.id,
                    finalize=run.finalize,
                    until=run.at,
                    grace=grace,
                ),
                None,
            )
        except BillplaneError as error:
            if error.kind in _PASSING:
                return 0, {}
            _log.warning("period_not_billed", subscription_id=subscription_id, reason=error.reason)
            found = {
                "subscription_id": subscription_id,
                "reason": error.reason,
                "detail": error.detail,
            }
            return 0, found
        except Exception as error:
            # What nobody foresaw is tried again later, and must not stop the other subscriptions.
            _log.exception("billing_failed", subscription_id=subscription_id, exc_info=error)
            return 0, {}


async def _finish(runtime: Runtime, principal: Principal, run_id: str, failed: int) -> None:
    async with runtime.database.write(runtime, principal) as tx:
        row = await repository.run(tx, run_id)
        if row is not None:
            row.state, row.finished_at = "failed" if failed else "done", tx.now
