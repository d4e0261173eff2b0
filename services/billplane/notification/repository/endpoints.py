"""Webhook endpoints."""

from collections.abc import Sequence

from sqlalchemy import func, select, update

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.stripe_dialect import StripePage, fetch_list
from billplane.notification import domain
from billplane.notification.models import DeliveryRow, EndpointRow


async def count_endpoints(tx: ReadTransaction) -> int:
    """Count the mode's endpoints."""
    query = select(func.count()).where(EndpointRow.livemode == tx.livemode)
    return int(await tx.session.scalar(query) or 0)


async def endpoint(tx: ReadTransaction, endpoint_id: str) -> EndpointRow | None:
    """Return one endpoint of the mode."""
    row = await tx.session.get(EndpointRow, (tx.tenant_id, endpoint_id))
    return row if row is not None and row.livemode == tx.livemode else None


async def locked_endpoint(tx: Transaction, endpoint_id: str) -> EndpointRow | None:
    """Return one endpoint of the mode, locked until the transaction ends."""
    query = select(EndpointRow).where(
        EndpointRow.id == endpoint_id, EndpointRow.livemode == tx.livemode
    )
    return (await tx.session.scalars(query.with_for_update())).one_or_none()


async def list_endpoints(
    tx: ReadTransaction, page: StripePage
) -> tuple[Sequence[EndpointRow], bool]:
    """Return a page of endpoints, and whether there are more."""
    query = select(EndpointRow).where(EndpointRow.livemode == tx.livemode)
    return await fetch_list(tx, query, EndpointRow.id, page, created=EndpointRow.created_at)


async def wanting(tx: Transaction, event_type: str) -> list[str]:
    """Return the enabled endpoints that want an event type.

    Not locked: a delivery to one that goes meanwhile is canceled a little later.
    """
    query = (
        select(EndpointRow.id)
        .where(
            EndpointRow.livemode == tx.livemode,
            EndpointRow.status == domain.ENABLED,
            EndpointRow.enabled_events.overlap(domain.patterns(event_type)),
        )
        .order_by(EndpointRow.id)
    )
    return list(await tx.session.scalars(query))


async def cancel_deliveries(tx: Transaction, endpoint_id: str, why: str) -> None:
    """Give up what is under way to an endpoint."""
    await tx.session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.endpoint_id == endpoint_id,
            DeliveryRow.livemode == tx.livemode,
            DeliveryRow.state == domain.PENDING,
        )
        .values(state=domain.CANCELED, last_error=why, finished_at=tx.now, claimed_by=None)
    )
