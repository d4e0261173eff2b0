"""The relay: claims outbox rows, publishes them in order, marks them published."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from billplane.chassis import ids, logging, metrics
from billplane.chassis.errors import BillplaneError
from billplane.chassis.events.envelope import decode
from billplane.chassis.events.transport import Outgoing
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.finishing import finish

if TYPE_CHECKING:
    from billplane.chassis.runtime import Runtime

_log = logging.get("events")

CLAIM_MAX = 500
LEASE_SECONDS = 30
IDLE_SECONDS = 2.0

register("outbox.after_claim", "outbox.after_publish_before_mark")


class Relay:
    """Publishes one service's outbox; several processes may run it at once."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime = runtime
        self._claimer = ids.new("rly")
        self._awake = asyncio.Event()
        self._retention = {
            declared.wire_type: declared.retention_seconds for declared in runtime.app.messages
        }

    def wake(self) -> None:
        """Look at the outbox now."""
        self._awake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        failures = 0
        while True:
            try:
                published = await finish(self.publish_claimed())
                failures = 0
                if published < CLAIM_MAX:
                    await self._sleep(IDLE_SECONDS)
            except (BillplaneError, RedisError, SQLAlchemyError, OSError) as error:
                failures += 1
                _log.warning("relay_failed", service=self._runtime.name, error=str(error))
                await asyncio.sleep(min(2.0**failures * 0.1, 10))

    async def publish_claimed(self) -> int:
        """Claim once, publish, mark; return how many messages left."""
        self._awake.clear()
        schema = self._runtime.name
        async with self._runtime.database.across_tenants() as session:
            rows = (
                await session.execute(
                    text(f"SELECT * FROM {schema}.claim_outbox(:claimer, :lease, :limit)"),  # noqa: S608 - the schema is the service's own name
                    {"claimer": self._claimer, "lease": LEASE_SECONDS, "limit": CLAIM_MAX},
                )
            ).all()
        if not rows:
            return 0
        faultpoint("outbox.after_claim")
        await self._runtime.transport.publish(
            [
                Outgoing(
                    destination=row.destination,
                    key=f"{row.tenant_id}:{row.aggregate_id}",
                    envelope=row.envelope,
                    headers=decode(row.envelope)[0].headers(),
                    retention_seconds=self._retention.get(row.event_type, 7 * 86_400),
                )
                for row in rows
            ]
        )
        faultpoint("outbox.after_publish_before_mark")
        async with self._runtime.database.across_tenants() as session:
            await session.execute(
                text(f"SELECT {schema}.mark_published(:ids)"),
                {"ids": [row.id for row in rows]},
            )
        for row in rows:
            metrics.PUBLISHED.labels(schema, row.event_type).inc()
        return len(rows)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._awake.wait(), seconds)
