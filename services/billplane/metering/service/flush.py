"""Moving usage: from the stream into Postgres, once, whatever dies in between."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from billplane.chassis.faults import faultpoint, register
from billplane.chassis.runtime import Runtime
from billplane.metering import repository
from billplane.metering.cache import after
from billplane.metering.domain import (
    Meter,
    UsageEvent,
    counts,
    dimensions_of,
    measure,
    meter_of,
)
from billplane.metering.service.intake import Intake
from billplane.metering.settings import MeteringSettings
from billplane.resources import MeterSpec

register("flush.after_read", "flush.after_store_before_trim")

_Row = tuple[str, bool, str, str, str, str, str, str, str | None, int]
_decode = msgspec.json.Decoder(_Row).decode
_encode = msgspec.json.Encoder(order="sorted").encode


class Flusher:
    """Moves events; one flush at a time in a process, and one store at a time in the database."""

    def __init__(self, runtime: Runtime, intake: Intake) -> None:
        settings: MeteringSettings = runtime.settings  # type: ignore[assignment]
        self._runtime = runtime
        self._intake = intake
        self._entries = settings.flush_events
        self._lock = asyncio.Lock()

    async def flush(self) -> int:
        """Move what waits now; return how many events were new.

        Raises: StoreUnavailable; what waits then stays where it is.
        """
        async with self._lock:
            stored = 0
            targets = await self._intake.store.last_ids()
            while targets:
                moved, last = await self._move(sorted(targets))
                stored += moved
                targets = {
                    shard: target
                    for shard, target in targets.items()
                    if shard in last and after(target, last[shard])
                }
            self._intake.waiting_entries = 0
            return stored

    async def _move(self, shards: Sequence[int]) -> tuple[int, dict[int, bytes]]:
        store = self._intake.store
        share = max(1, self._entries // len(shards))
        last: dict[int, bytes] = {}
        rows: list[bytes] = []
        for shard in shards:
            entries = await store.read(shard, share)
            if entries:
                last[shard] = entries[-1][0]
                rows += [row for _, joined in entries for row in joined.split(b"\n")]
        if not rows:
            return 0, {}
        faultpoint("flush.after_read")
        stored = await self._store([_decode(row) for row in rows])
        faultpoint("flush.after_store_before_trim")
        await store.trim(last)
        return stored, last

    async def _store(self, rows: Sequence[_Row]) -> int:
        now = self._runtime.clock.now()
        async with self._runtime.database.across_tenants() as session:
            tenants = sorted({row[0] for row in rows})
            by_tenant: dict[str, dict[str, list[Meter]]] = {tenant: {} for tenant in tenants}
            for found in await repository.meters_of_tenants(session, tenants):
                meter = meter_of(found.id, found.name, MeterSpec.parse(found.spec))
                by_tenant[found.tenant_id].setdefault(meter.event_type, []).append(meter)
            batch = Batch()
            for row in rows:
                batch.add(row, by_tenant[row[0]].get(row[4], []), now)
            return await repository.store_usage(session, batch.columns())


class Batch:
    """Events and what they add to meters, as columns of one statement."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, bool, str, str], int] = {}
        self._hashes: set[tuple[tuple[str, bool, str, str], int]] = set()
        self._rows: list[tuple[Any, ...]] = []
        self._measures: list[tuple[Any, ...]] = []

    def add(self, row: _Row, meters: Sequence[Meter], now: datetime) -> None:
        """Add an event; a repeat within the batch counts once, other content is kept apart."""
        tenant_id, livemode, source, event_id, event_type, subject, time, data, quantity, digest = (
            row
        )
        identity = (tenant_id, livemode, source, event_id)
        if (identity, digest) in self._hashes:
            return
        self._hashes.add((identity, digest))
        at = datetime.fromisoformat(time)
        value = Decimal(quantity) if quantity is not None else None
        self._rows.append(
            (
                tenant_id, livemode, source, event_id, event_type, subject, at, data, value,
                digest, now,
            )
        )  # fmt: skip
        if identity in self._events:
            return  # the statement inserts the first one and lists this one as a conflict
        number = len(self._rows)
        self._events[identity] = number
        if meters:
            decoded = msgspec.json.decode(data, type=dict[str, Any], strict=False)
            event = UsageEvent(source, event_id, event_type, subject, at, decoded, value, digest)
            for meter in meters:
                self._measure(meter, event, number)

    def _measure(self, meter: Meter, event: UsageEvent, number: int) -> None:
        if not counts(meter, event.data):
            return
        value = measure(meter, event)
        if value is None:
            return
        hour = event.time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        dimensions = _encode(dimensions_of(meter, event.data)).decode()
        self._measures.append((number, meter.id, hour, dimensions, value))

    def columns(self) -> list[list[Any]]:
        """Return the columns in the order of the storing function."""
        events = [list(column) for column in zip(*self._rows, strict=True)]
        measures: list[list[Any]] = [list(column) for column in zip(*self._measures, strict=True)]
        return [*events, *(measures or [[], [], [], [], []])]
