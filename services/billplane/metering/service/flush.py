"""Moving usage: from the stream into Postgres, once, whatever dies in between."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from billplane.chassis import logging
from billplane.chassis.errors import StoreUnavailable
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.runtime import Runtime
from billplane.metering.cache import after
from billplane.metering.repository import storing
from billplane.metering.service.intake import Intake
from billplane.metering.service.sharing import Shared
from billplane.metering.settings import MeteringSettings

_log = logging.get("metering")
READ_FIRST = 4
READ_MAX = 1024
MOVE_BYTES = 8 * 1_048_576
# Transactions that store at the same time, each the events of its own shards.
LANES = 2

register("flush.after_read", "flush.before_commit", "flush.after_store_before_trim")


class Flusher:
    """Moves events; each lane in one process at a time."""

    def __init__(self, runtime: Runtime, intake: Intake) -> None:
        settings: MeteringSettings = runtime.settings  # type: ignore[assignment]
        self._runtime = runtime
        self._intake = intake
        self._seconds = settings.flush_seconds
        self._events = settings.flush_events
        self._tried_at = float("-inf")
        self._failed = False
        self._shared = Shared(self._flush)

    async def flush(self) -> int:
        """Move everything acknowledged before this call; return how many events were new.

        Raises: StoreUnavailable; what waits then stays where it is.
        """
        return await self._shared()

    async def flush_when_due(self) -> None:
        """Move what waits when there is enough of it, or when it has waited long enough.

        Raises: StoreUnavailable.
        """
        enough = self._intake.waiting >= self._events and not self._failed
        if enough or time.monotonic() - self._tried_at >= self._seconds:
            await self.flush()

    async def close(self) -> None:
        """Leave nothing that was acknowledged to the next start, unless a store is away."""
        try:
            await self.flush()
        except StoreUnavailable as error:
            _log.warning("usage_left_for_later", reason=error.detail)

    async def _flush(self) -> int:
        self._tried_at, self._failed = time.monotonic(), True
        taken, stored = self._intake.taken, 0
        targets = await self._intake.store.last_ids()
        # A customer is in one shard, so that lanes meet in no row; both end before an error is
        # told, or the next flush would meet one of them.
        lanes = await asyncio.gather(
            *(self._empty(lane, targets) for lane in range(LANES)), return_exceptions=True
        )
        for moved in lanes:
            if isinstance(moved, BaseException):
                raise moved
            stored += moved
        self._intake.settle(taken)
        self._failed = False
        return stored

    async def _empty(self, lane: int, last_ids: Mapping[int, bytes]) -> int:
        """Move the events of a lane's shards, up to those ids."""
        targets = {shard: last for shard, last in last_ids.items() if shard % LANES == lane}
        stored = 0
        while targets:
            try:
                moved, last = await self._move(lane, sorted(targets))
            except storing.LanesMet:
                continue  # the other lane went on, and what it stored is found now
            stored += moved
            targets = {
                shard: target
                for shard, target in targets.items()
                if shard in last and after(target, last[shard])
            }
        return stored

    async def _move(self, lane: int, shards: Sequence[int]) -> tuple[int, dict[int, bytes]]:
        """Move about as many of the oldest events as one transaction should have."""
        rows: list[tuple[int, bytes]] = []
        try:
            async with self._runtime.database.across_tenants() as session:
                # One process reads a lane, so that no work is done twice.
                await storing.lock_flush(session, lane)
                last, rows = await self._read(shards)
                faultpoint("flush.after_read")
                stored = await storing.store_rows(session, [joined for _, joined in rows])
                faultpoint("flush.before_commit")
        except storing.RowsRefused:
            lines = [(shard, line) for shard, joined in rows for line in joined.split(b"\n")]
            stored = await self._store_halves(lines)
        faultpoint("flush.after_store_before_trim")
        if last:
            await self._intake.store.trim(last)
        return stored, last

    async def _read(
        self, shards: Sequence[int]
    ) -> tuple[dict[int, bytes], list[tuple[int, bytes]]]:
        """Return the last id read of each shard, and rows of entries, until there are enough."""
        store = self._intake.store
        found = await store.read(dict.fromkeys(shards, b"-"), READ_FIRST)
        entries = [(shard, entry) for shard in shards for entry in found[shard]]
        last = {shard: found[shard][-1][0] for shard in shards if found[shard]}
        size = sum(len(entry[1]) for _, entry in entries)
        for shard in shards:
            read = len(found[shard])
            asked = READ_FIRST
            while read == asked and size < MOVE_BYTES and len(entries) < self._events:
                asked = max(READ_FIRST, min(READ_MAX, MOVE_BYTES * len(entries) // (2 * size)))
                (more,) = (await store.read({shard: b"(" + last[shard]}, asked)).values()
                read = len(more)
                if more:
                    entries += ((shard, entry) for entry in more)
                    last[shard] = more[-1][0]
                    size += sum(len(rows) for _, rows in more)
        return last, [(shard, rows) for shard, (_, rows) in entries]

    async def _store_halves(self, lines: Sequence[tuple[int, bytes]]) -> int:
        """Store what Postgres takes; a row that it refuses by itself is set aside.

        No row comes here that the door has checked as it should: one that does must not hold up
        all the others.
        """
        try:
            async with self._runtime.database.across_tenants() as session:
                return await storing.store_rows(session, [line for _, line in lines])
        except storing.RowsRefused as error:
            if len(lines) == 1:
                ((shard, line),) = lines
                _log.error("usage_set_aside", shard=shard, bytes=len(line), error=str(error))
                await self._intake.store.set_aside(shard, line)
                return 0
        middle = len(lines) // 2
        first = await self._store_halves(lines[:middle])
        return first + await self._store_halves(lines[middle:])
