"""What must always be true of the listener."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation
from billplane.listener.domain import GENESIS, chain
from billplane.listener.models import AuditEntryRow, AuditHeadRow

NAME = "audit_log_is_an_unbroken_chain"


async def audit_log_is_an_unbroken_chain(session: AsyncSession) -> list[Violation]:
    """Check that each entry follows from the one before, and that the last one is the head."""
    found: list[Violation] = []
    ends: dict[str, tuple[int, bytes]] = {}
    query = select(
        AuditEntryRow.tenant_id,
        AuditEntryRow.sequence,
        AuditEntryRow.envelope,
        AuditEntryRow.previous_hash,
        AuditEntryRow.hash,
    ).order_by(AuditEntryRow.tenant_id, AuditEntryRow.sequence)
    rows = await session.stream(query.execution_options(yield_per=500))
    async for row in rows:
        sequence, previous = ends.get(row.tenant_id, (0, GENESIS))
        if row.sequence != sequence + 1:
            detail = f"entry {row.sequence} follows entry {sequence}"
        elif row.previous_hash != previous:
            detail = f"entry {row.sequence} is not chained to the one before it"
        elif row.hash != chain(previous, row.tenant_id, row.sequence, row.envelope):
            detail = f"entry {row.sequence} is not what was recorded"
        else:
            detail = ""
        if detail:
            found.append(Violation(NAME, row.tenant_id, str(row.sequence), detail))
        ends[row.tenant_id] = (row.sequence, row.hash)
    for head in await session.scalars(select(AuditHeadRow)):
        if ends.get(head.tenant_id, (0, GENESIS)) != (head.sequence, head.hash):
            detail = f"the log does not end at entry {head.sequence}"
            found.append(Violation(NAME, head.tenant_id, str(head.sequence), detail))
    return found
