"""What must always be true of metering."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation


async def counts_equal_events(session: AsyncSession) -> list[Violation]:
    """Check that the roll-up of each unfiltered counting meter has as many events as are stored."""
    rows = await session.execute(
        text(
            "SELECT m.tenant_id, m.id,"
            " (SELECT coalesce(sum(r.event_count), 0) FROM metering.usage_records r"
            "   WHERE r.tenant_id = m.tenant_id AND r.meter_id = m.id) AS rolled,"
            " (SELECT count(*) FROM metering.usage_events e"
            "   WHERE e.tenant_id = m.tenant_id AND e.event_type = m.spec ->> 'eventType')"
            " AS stored FROM metering.meters m"
            " WHERE m.removed_at IS NULL AND m.spec ->> 'aggregation' = 'Count'"
            " AND coalesce(jsonb_array_length(m.spec -> 'filter'), 0) = 0"
        )
    )
    return [
        Violation(
            "counts_equal_events",
            row.tenant_id,
            row.id,
            f"{row.rolled} events in the roll-up, {row.stored} stored",
        )
        for row in rows
        if row.rolled != row.stored
    ]
