"""Every SQL statement of the listener."""

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.listener.domain import GENESIS
from billplane.listener.models import AuditEntryRow, AuditHeadRow


async def take_head(tx: Transaction) -> tuple[int, bytes]:
    """Return the end of the tenant's chain, locked until the transaction ends."""
    statement = insert(AuditHeadRow).values(tenant_id=tx.tenant_id, sequence=0, hash=GENESIS)
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id"], set_={"sequence": AuditHeadRow.sequence}
    )
    head = await tx.session.execute(statement.returning(AuditHeadRow.sequence, AuditHeadRow.hash))
    sequence, digest = head.one()
    return sequence, digest


async def append(tx: Transaction, row: AuditEntryRow) -> None:
    """Store an entry as the new end of the tenant's chain."""
    tx.session.add(row)
    await tx.session.execute(
        update(AuditHeadRow)
        .where(AuditHeadRow.tenant_id == tx.tenant_id)
        .values(sequence=row.sequence, hash=row.hash)
    )


async def entry(tx: ReadTransaction, entry_id: str) -> AuditEntryRow | None:
    """Return one entry of the tenant and mode."""
    query = select(AuditEntryRow).where(
        AuditEntryRow.id == entry_id, AuditEntryRow.livemode == tx.livemode
    )
    return (await tx.session.scalars(query)).one_or_none()


async def page_of_entries(
    tx: ReadTransaction, event_type: str | None, aggregate_id: str | None, page: Page
) -> tuple[Sequence[AuditEntryRow], str | None]:
    """Return a page of entries."""
    query = select(AuditEntryRow).where(AuditEntryRow.livemode == tx.livemode)
    if event_type:
        query = query.where(AuditEntryRow.event_type == event_type)
    if aggregate_id:
        query = query.where(AuditEntryRow.aggregate_id == aggregate_id)
    return await fetch_page(tx, query, AuditEntryRow.id, page)
