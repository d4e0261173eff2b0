"""What must always be true of exchange_rate."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation


async def rates_belong_to_a_feed(session: AsyncSession) -> list[Violation]:
    """Check that every rate's feed exists, removed or not, but for rates by hand."""
    rows = await session.execute(
        text(
            "SELECT r.tenant_id, r.id, r.feed_id FROM exchange_rate.rates r"
            " LEFT JOIN exchange_rate.feeds f ON f.tenant_id = r.tenant_id AND f.id = r.feed_id"
            " WHERE f.id IS NULL AND r.feed_id <> 'manual' LIMIT 100"
        )
    )
    return [
        Violation("rates_belong_to_a_feed", row.tenant_id, row.id, f"no feed {row.feed_id}")
        for row in rows
    ]
