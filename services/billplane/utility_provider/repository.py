"""Every SQL statement of utility_provider."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import or_, select, update

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.utility_provider.models import ProviderRow


async def page_of_providers(
    tx: ReadTransaction,
    page: Page,
    *,
    origin: str | None,
    category: str | None,
    country: str | None,
    region: str | None,
) -> tuple[Sequence[ProviderRow], str | None]:
    """Return a page of providers in use."""
    query = select(ProviderRow).where(ProviderRow.removed_at.is_(None))
    if origin is not None:
        query = query.where(ProviderRow.origin == origin)
    for name, value in (("category", category), ("country", country), ("region", region)):
        if value is not None:
            query = query.where(ProviderRow.spec[name].astext == value)
    return await fetch_page(tx, query, ProviderRow.id, page)


async def claim_probe(tx: Transaction, row: ProviderRow, last_before: datetime) -> bool:
    """Note that a probe is sent now, unless one was sent after an instant; tell whether it was."""
    claimed = await tx.session.execute(
        update(ProviderRow)
        .where(
            ProviderRow.tenant_id == tx.tenant_id,
            ProviderRow.id == row.id,
            or_(ProviderRow.last_probe_at.is_(None), ProviderRow.last_probe_at <= last_before),
        )
        .values(last_probe_at=tx.now)
        .returning(ProviderRow.id)
        .execution_options(synchronize_session=False)
    )
    return claimed.first() is not None
