"""The relay: claims outbox rows, publishes them in order, marks them published."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from billplane.chassis import ids, logging, metrics
from billplane.chassis.errors import BillplaneError
from billplane.chassis.events.envelope import decode
from billplane.chassis.events.transport import NotPublished, Outgoing
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.finishing import end_if_cancelled, finish

if TYPE_CHECKING:
    from billplane.chassis.runtime import Runtime

_log = logging.get("events")

CLAIM_MAX = 500
LEASE_SECONDS = 30
IDLE_SECONDS = 2.0
HOLD_SECONDS_MAX = 5.0
# After each look some messages gather: the first goes at once, many are claimed together.
GATHER_SECONDS = 0.01

register("outbox.after_claim", "outbox.after_publish_before_mark")


class Relay:
    """Publishes one service's outbox; several processes may run it at once.

    A destination that cannot be reached is left alone for a while, so that it holds up no other.
    """

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime = runtime
        self._claimer = ids.new("rly")
        self._awake = asyncio.Event()
        self._failures: dict[str, int] = {}
        self._held: dict[str, float] = {}
        self._retention = {
            declared.wire_type: declared.retention_seconds
            for declared in runtime.message_types.values()
        }
        runtime.transport.when_ready(self._broker_ready)

    def wake(self) -> None:
        """Look at the outbox now."""
        self._awake.set()

    def _broker_ready(self) -> None:
        self._held.clear()
        self._awake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        failures = 0
        while True:
            end_if_cancelled()
            try:
                published = await finish(self.publish_claimed())
                failures = 0
                if published < CLAIM_MAX:
                    if published:
                        await asyncio.sleep(GATHER_SECONDS)
                    await self._sleep(self._until_due())
            except (BillplaneError, SQLAlchemyError, OSError) as error:
                failures += 1
                _log.warning("relay_failed", service=self._runtime.name, error=str(error))
                await asyncio.sleep(min(2.0**failures * 0.1, 10))

    async def publish_claimed(self) -> int:
        """Claim once, publish, mark; return how many messages left."""
        self._awake.clear()
        schema = self._runtime.name
        now = time.monotonic()
        self._held = {name: until for name, until in self._held.items() if until > now}
        async with self._runtime.database.across_tenants() as session:
            rows = (
                await session.execute(
                    text(f"SELECT * FROM {schema}.claim_outbox(:claimer, :lease, :limit, :held)"),  # noqa: S608 - the schema is the service's own name
                    {
                        "claimer": self._claimer,
                        "lease": LEASE_SECONDS,
                        "limit": CLAIM_MAX,
                        "held": list(self._held),
                    },
                )
            ).all()
        if not rows:
            return 0
        faultpoint("outbox.after_claim")
        left = await self._publish(
            rows,
            [
                Outgoing(
                    destination=row.destination,
                    key=f"{row.tenant_id}:{row.aggregate_id}",
                    envelope=row.envelope,
                    headers=decode(row.envelope)[0].headers(),
                    retention_seconds=self._retention.get(row.event_type, 7 * 86_400),
                )
                for row in rows
            ],
        )
        if not left:
            return 0
        faultpoint("outbox.after_publish_before_mark")
        async with self._runtime.database.across_tenants() as session:
            await session.execute(
                text(f"SELECT {schema}.mark_published(:ids)"),
                {"ids": [row.id for row in left]},
            )
        for row in left:
            metrics.PUBLISHED.labels(schema, row.event_type).inc()
        return len(left)

    async def _publish(self, rows: Sequence[Any], messages: Sequence[Outgoing]) -> list[Any]:
        """Return the rows that reached their broker; hold the destinations of the others."""
        reasons: dict[int, str] = {}
        try:
            await self._runtime.transport.publish(messages)
        except NotPublished as error:
            reasons = error.reasons
        failed = {rows[place].destination: reason for place, reason in reasons.items()}
        for destination, reason in failed.items():
            failures = self._failures[destination] = self._failures.get(destination, 0) + 1
            pause = min(0.2 * 2.0 ** min(failures, 8), HOLD_SECONDS_MAX)
            self._held[destination] = time.monotonic() + pause
            if failures == 1:
                _log.warning(
                    "messages_wait", service=self._runtime.name, destination=destination,
                    reason=reason,
                )  # fmt: skip
        for destination in {row.destination for row in rows} - failed.keys():
            if self._failures.pop(destination, 0):
                _log.info("messages_flow", service=self._runtime.name, destination=destination)
            self._held.pop(destination, None)
        return [row for place, row in enumerate(rows) if place not in reasons]

    def _until_due(self) -> float:
        """Return how long to sleep: until the next held destination may be tried again."""
        now = time.monotonic()
        return min([IDLE_SECONDS, *(max(until - now, 0.05) for until in self._held.values())])

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._awake.wait()
