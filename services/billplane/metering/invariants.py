"""What must always be true of metering."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation

_DIFFERING = """
    SELECT coalesce(r.tenant_id, c.tenant_id) AS tenant_id,
      coalesce(r.meter_id, c.meter_id) AS meter_id,
      coalesce(r.customer_id, c.customer_id) AS customer_id,
      coalesce(r.starts_at, c.starts_at) AS starts_at,
      r.quantity AS recorded, c.quantity AS counted,
      r.event_count AS events_recorded, c.event_count AS events_counted
    FROM (SELECT * FROM metering.usage_records r
      WHERE EXISTS (SELECT FROM metering.meter_rules m
        WHERE (m.tenant_id, m.meter_id) = (r.tenant_id, r.meter_id))) r
    FULL JOIN metering.counted_events c
      USING (tenant_id, livemode, customer_id, meter_id, starts_at, dimensions)
    WHERE (r.quantity, r.event_count) IS DISTINCT FROM (c.quantity, c.event_count)
    LIMIT 100
"""


async def records_equal_events(session: AsyncSession) -> list[Violation]:
    """Check that the hourly records of each meter in use are what it counts in stored events."""
    return [
        Violation(
            "records_equal_events",
            row.tenant_id,
            f"{row.meter_id} {row.customer_id} {row.starts_at.isoformat()}",
            f"{row.recorded} of {row.events_recorded} events recorded,"
            f" {row.counted} of {row.events_counted} counted",
        )
        for row in await session.execute(text(_DIFFERING))
    ]
