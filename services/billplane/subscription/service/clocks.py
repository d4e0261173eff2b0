"""Test clocks: time that moves when it is told to, forward only, in test mode only."""

from collections.abc import Sequence
from datetime import datetime

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page
from billplane.chassis.rpc import to_timestamp
from billplane.protos.subscription.v1.events_pb2 import TestClockAdvanced
from billplane.subscription import repository
from billplane.subscription.errors import ClockMovesForward, TestClockNotFound, TestModeOnly
from billplane.subscription.models import TestClockRow


async def create_clock(tx: Transaction, name: str, now: datetime) -> TestClockRow:
    """Create a test clock that stands at an instant.

    Raises: TestModeOnly, ScopeMissing.
    """
    tx.authorize("test_clocks:write")
    if tx.livemode:
        raise TestModeOnly("test clocks exist in test mode only")
    row = TestClockRow(
        tenant_id=tx.tenant_id, id=ids.new("clk"), name=name, now=now, created_at=tx.now
    )
    tx.session.add(row)
    return row


async def advance_clock(tx: Transaction, clock_id: str, to: datetime) -> TestClockRow:
    """Move a test clock forward; what falls due is billed soon after.

    Raises: TestClockNotFound, ClockMovesForward, ScopeMissing.
    """
    tx.authorize("test_clocks:write")
    row = await repository.lock_clock(tx, clock_id)
    if row is None or tx.livemode:
        raise TestClockNotFound(f"there is no test clock {clock_id}")
    if to < row.now:
        raise ClockMovesForward(f"the clock stands at {row.now.isoformat()}", field="/to")
    if to > row.now:
        row.now = to
        moved = TestClockAdvanced(test_clock_id=row.id, now=to_timestamp(to))
        await tx.publish(moved, aggregate_id=row.id)
    return row


async def get_clock(tx: ReadTransaction, clock_id: str) -> TestClockRow:
    """Return a test clock.

    Raises: TestClockNotFound.
    """
    tx.authorize("test_clocks:read")
    row = await repository.clock(tx, clock_id)
    if row is None or tx.livemode:
        raise TestClockNotFound(f"there is no test clock {clock_id}")
    return row


async def list_clocks(tx: ReadTransaction, page: Page) -> tuple[Sequence[TestClockRow], str | None]:
    """Return a page of test clocks."""
    tx.authorize("test_clocks:read")
    if tx.livemode:
        return [], None
    return await repository.page_of_clocks(tx, page)
