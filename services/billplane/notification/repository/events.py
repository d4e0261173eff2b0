"""Events and their numbers."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.stripe_dialect import StripePage, fetch_list
from billplane.notification import domain
from billplane.notification.models import DeliveryRow, EventHeadRow, EventRow, ObjectVersionRow


async def take_numbers(tx: Transaction, count: int) -> int:
    """Return the first of so many next numbers of the mode, locked until the transaction ends."""
    statement = insert(EventHeadRow).values(
        tenant_id=tx.tenant_id, livemode=tx.livemode, sequence=count
    )
    statement = statement.on_conflict_do_update(
        index_elements=["tenant_id", "livemode"],
        set_={"sequence": EventHeadRow.sequence + count},
    )
    last = await tx.session.scalar(statement.returning(EventHeadRow.sequence))
    return int(last or 0) - count + 1


async def newest_number(tx: ReadTransaction) -> int:
    """Return the number of the mode's last event, 0 before the first."""
    head = await tx.session.get(EventHeadRow, (tx.tenant_id, tx.livemode))
    return head.sequence if head is not None else 0


async def oldest_number(tx: ReadTransaction) -> int:
    """Return the number of the oldest event that is kept, 0 when there is none."""
    query = select(func.min(EventRow.sequence)).where(EventRow.livemode == tx.livemode)
    return int(await tx.session.scalar(query) or 0)


async def add_events(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Store events."""
    await tx.session.execute(insert(EventRow).values(list(rows)))


async def event(tx: ReadTransaction, event_id: str) -> EventRow | None:
    """Return one event of the mode."""
    query = select(EventRow).where(EventRow.id == event_id, EventRow.livemode == tx.livemode)
    return (await tx.session.scalars(query)).one_or_none()


async def events_after(
    tx: ReadTransaction, sequence: int, types: Sequence[str], limit: int
) -> Sequence[EventRow]:
    """Return events after a number, the oldest first."""
    query = select(EventRow).where(EventRow.livemode == tx.livemode, EventRow.sequence > sequence)
    query = _of_types(query, types)
    return (await tx.session.scalars(query.order_by(EventRow.sequence).limit(limit))).all()


async def list_events(
    tx: ReadTransaction, types: Sequence[str], page: StripePage
) -> tuple[Sequence[EventRow], bool]:
    """Return a page of events, and whether there are more."""
    query = _of_types(select(EventRow).where(EventRow.livemode == tx.livemode), types)
    return await fetch_list(
        tx, query, EventRow.sequence, page, created=EventRow.created_at, key=EventRow.id
    )


async def undelivered(tx: ReadTransaction, event_ids: Sequence[str]) -> dict[str, int]:
    """Count by event the deliveries that are still under way."""
    query = (
        select(DeliveryRow.event_id, func.count())
        .where(
            DeliveryRow.livemode == tx.livemode,
            DeliveryRow.event_id.in_(list(event_ids)),
            DeliveryRow.state == domain.PENDING,
        )
        .group_by(DeliveryRow.event_id)
    )
    return {row[0]: int(row[1]) for row in await tx.session.execute(query)}


async def last_version(tx: ReadTransaction, aggregate_id: str) -> int:
    """Return the last version of an object that was told, 0 before the first."""
    row = await tx.session.get(ObjectVersionRow, (tx.tenant_id, aggregate_id))
    return row.version if row is not None else 0


async def note_version(tx: Transaction, aggregate_id: str, version: int) -> None:
    """Remember a version of an object as told; an older one changes nothing."""
    statement = insert(ObjectVersionRow).values(
        tenant_id=tx.tenant_id, aggregate_id=aggregate_id, version=version
    )
    highest = func.greatest(ObjectVersionRow.version, statement.excluded.version)
    await tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "aggregate_id"], set_={"version": highest}
        )
    )


def _of_types(query: Select[Any], types: Sequence[str]) -> Select[Any]:
    """Narrow a query to types, of which `invoice.*` means all that begin so."""
    if not types or "*" in types:
        return query
    exact = [name for name in types if not name.endswith(".*")]
    prefixes = [name[:-1] for name in types if name.endswith(".*")]
    wider = [EventRow.type.startswith(prefix, autoescape=True) for prefix in prefixes]
    return query.where(or_(EventRow.type.in_(exact), *wider))
