"""What must always be true of notification."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation

# What is left after old events were forgotten ends with the head's number, and has no gap.
_GAPS = """
    SELECT coalesce(h.tenant_id, e.tenant_id) AS tenant_id,
      coalesce(h.livemode, e.livemode) AS livemode, h.sequence AS head, e.first, e.last, e.held
    FROM notification.event_heads h
    FULL JOIN (SELECT tenant_id, livemode, min(sequence) AS first, max(sequence) AS last,
        count(*) AS held FROM notification.events GROUP BY tenant_id, livemode) e
      ON (e.tenant_id, e.livemode) = (h.tenant_id, h.livemode)
    WHERE e.held IS NOT NULL AND (h.sequence IS DISTINCT FROM e.last
      OR e.held <> e.last - e.first + 1)
    LIMIT 100
"""
# An event says how many endpoints wanted it; only its own deliveries, or those that a person asked
# for later, may be there beside them.
_LOST = """
    SELECT e.tenant_id, e.id, (e.body::json ->> 'pending_webhooks')::int AS wanted,
      count(d.id) AS held
    FROM notification.events e
    LEFT JOIN notification.deliveries d ON (d.tenant_id, d.event_id) = (e.tenant_id, e.id)
    WHERE e.body::json ->> 'pending_webhooks' <> '0'
    GROUP BY e.tenant_id, e.livemode, e.sequence, e.id, e.body
    HAVING count(d.id) < (e.body::json ->> 'pending_webhooks')::int
    LIMIT 100
"""
_WAITING = """
    SELECT d.tenant_id, d.id, coalesce(w.status, 'gone') AS status
    FROM notification.deliveries d
    LEFT JOIN notification.webhook_endpoints w
      ON (w.tenant_id, w.id) = (d.tenant_id, d.endpoint_id)
    WHERE d.state = 'pending' AND d.created_at < now() - interval '10 minutes'
      AND w.status IS DISTINCT FROM 'enabled'
    LIMIT 100
"""


async def events_have_no_gap(session: AsyncSession) -> list[Violation]:
    """Check that each mode's events are numbered without a gap up to its head."""
    return [
        Violation(
            "events_have_no_gap",
            row.tenant_id,
            "live mode" if row.livemode else "test mode",
            f"{row.held} events from {row.first} to {row.last}, the head says {row.head}",
        )
        for row in await session.execute(text(_GAPS))
    ]


async def endpoints_have_what_they_wanted(session: AsyncSession) -> list[Violation]:
    """Check that each event has a delivery for every endpoint that wanted it."""
    return [
        Violation(
            "endpoints_have_what_they_wanted",
            row.tenant_id,
            f"event {row.id}",
            f"{row.wanted} endpoints wanted it, {row.held} deliveries are there",
        )
        for row in await session.execute(text(_LOST))
    ]


async def nothing_waits_for_nobody(session: AsyncSession) -> list[Violation]:
    """Check that no delivery waits for an endpoint that is disabled or gone."""
    return [
        Violation(
            "nothing_waits_for_nobody",
            row.tenant_id,
            f"delivery {row.id}",
            f"it is pending, its endpoint is {row.status}",
        )
        for row in await session.execute(text(_WAITING))
    ]
