r"""Bar 3: acknowledged usage from Redis into Postgres, counted by hour on the way.

Ours reads the streams, stores each event once, counts it into its hour and forgets the stream. The
first reference does what a program without sets does with the same events: asyncpg's executemany
inserts them, and adds each to its hour. The other is `psql \copy` of the same rows into the same
indexed table, which reads nothing, counts nothing and looks for no duplicate. All of them end
transactions of the same size on the same disk. After each pair every event is stored and counted.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
from billplane import catalog
from billplane.chassis import logging
from billplane.chassis.auth import Principal
from billplane.chassis.host import Platform
from billplane.chassis.migrations import roles, runner
from billplane.metering.cache import UsageStore, shard_of
from billplane.metering.domain import Item, UsageEvent, encode_data, pack
from billplane.metering.service.meters import create_meter
from redis.asyncio import Redis

from bench.harness import Bar, Bench
from bench.load import require
from bench.served import PASSWORD, SECRET, TENANT
from bench.stores import Stores, open_stores
from tests.fixtures.ports import free_port_offset

EVENTS = 50_000
AT_ONCE = 5_000
REQUEST = 100
CUSTOMERS = 500
HOURS = 1
STARTS_AT = datetime(2026, 1, 15, tzinfo=UTC)
SPEC = {"eventType": "bench", "aggregation": "Sum", "valueProperty": "$.quantity"}
METER = "mtr_bench"
_COLUMNS = (
    "tenant_id, livemode, source, id, event_type, subject, event_at, data, content_hash, quantity"
)
_INSERT = (
    f"INSERT INTO metering.usage_events ({_COLUMNS}, received_at)"  # noqa: S608 - fixed words
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING"
)
_COUNT = (
    "INSERT INTO metering.usage_records (tenant_id, livemode, customer_id, meter_id, starts_at,"
    " dimensions, aggregation, quantity, event_count, updated_at)"
    " VALUES ($1, $2, $3, $4, $5, '{}', 'Sum', $6, 1, $7)"
    " ON CONFLICT (tenant_id, livemode, customer_id, meter_id, starts_at, dimensions_key)"
    " DO UPDATE SET event_count = usage_records.event_count + 1,"
    " quantity = usage_records.quantity + EXCLUDED.quantity, updated_at = EXCLUDED.updated_at"
)


async def measure(bench: Bench) -> None:
    require("psql", "postgresql-client")
    with open_stores() as stores:
        async with open_metering(stores) as platform:
            await Flush(bench, stores, platform).measure()


@asynccontextmanager
async def open_metering(stores: Stores) -> AsyncIterator[Platform]:
    """Run metering in this process; it moves usage only when it is told to."""
    logging.configure("WARNING", "json")
    await roles.init_database(stores.postgres_admin_url, ["metering"], "billplane", PASSWORD)
    await runner.migrate(stores.postgres_admin_url, ["metering"])
    where = stores.postgres_admin_url.split("@", 1)[1]
    environ = {
        "BILLPLANE_DATABASE_URL": f"postgresql://billplane:{PASSWORD}@{where}",
        "BILLPLANE_REDIS_URL": stores.valkey_url,
        "BILLPLANE_JWT_SECRET": SECRET,
        "BILLPLANE_PORT_OFFSET": str(free_port_offset()),
        "BILLPLANE_METERING_FLUSH_SECONDS": "86400",
        "BILLPLANE_METERING_FLUSH_EVENTS": str(AT_ONCE),
    }
    # Its own jobs would do the work off the clock.
    platform = Platform([replace(catalog.load("metering"), jobs=None)], environ=environ)
    await platform.start()
    try:
        runtime = platform.runtimes["metering"]
        owner = Principal("user:usr_bench", TENANT, livemode=False, scopes=frozenset({"*"}))
        async with runtime.database.write(runtime, owner) as tx:
            await create_meter(tx, "bench", SPEC)
        yield platform
    finally:
        await platform.stop()


class Flush:
    """The sides of the bar, over the same events."""

    def __init__(self, bench: Bench, stores: Stores, platform: Platform) -> None:
        self._bench = bench
        self._stores = stores
        self._flusher = platform.runtimes["metering"].state.flusher
        self._redis: Any = Redis.from_url(stores.valkey_url)
        self._store = UsageStore(self._redis, dedupe_seconds=3600)
        self._events = [_event(number) for number in range(EVENTS)]
        self._items = [_item(event) for event in self._events]
        self._folder = Path(tempfile.mkdtemp(prefix="billplane-bench-"))

    async def measure(self) -> None:
        """Measure against both references."""
        copy = self._write_rows()
        try:
            for name, at_least, reference in (
                ("asyncpg executemany upsert", "5", self.executemany),
                ("psql \\copy", "0.6", lambda: self.copy(copy)),
            ):
                bar = Bar(3, "flush", name, "set-wise flush", "event", Decimal(at_least))
                await self._bench.compare(
                    bar,
                    reference=reference,
                    ours=self._flusher.flush,
                    operations=EVENTS,
                    reset=self.fill,
                    check=self.check,
                    processes=self.pids,
                )
        finally:
            await self._store.close()
            await self._redis.aclose()
            shutil.rmtree(self._folder)

    def pids(self) -> Iterable[int]:
        """Name the processes whose CPU time counts."""
        return [os.getpid(), self._stores.postgres_pid, self._stores.valkey_pid]

    async def fill(self) -> None:
        """Empty the tables; put every event into the streams, as a hundred at a time come."""
        connection: Any = await asyncpg.connect(self._stores.postgres_admin_url)
        await connection.execute(
            "TRUNCATE metering.usage_events, metering.usage_records, metering.usage_subjects"
        )
        await connection.execute("CHECKPOINT")
        await connection.close()
        await self._redis.flushdb()
        for first in range(0, EVENTS, REQUEST):
            shards: dict[int, list[Item]] = {}
            for item in self._items[first : first + REQUEST]:
                shards.setdefault(shard_of(TENANT, item.subject), []).append(item)
            await self._store.append([list(shards.items())])

    async def executemany(self) -> None:
        """Insert each event and add it to its hour, statement by statement, AT_ONCE together."""
        connection: Any = await asyncpg.connect(self._stores.postgres_admin_url)
        now = datetime.now(UTC)
        for first in range(0, EVENTS, AT_ONCE):
            rows, records = _parameters(
                self._events[first : first + AT_ONCE], self._items[first : first + AT_ONCE], now
            )
            async with connection.transaction():
                await connection.executemany(_INSERT, rows)
                await connection.executemany(_COUNT, records)
        await connection.close()

    async def copy(self, paths: Sequence[Path]) -> None:
        """Copy the same rows, AT_ONCE together, by one psql."""
        commands = [
            part
            for path in paths
            for part in (
                "-c",
                f"\\copy metering.usage_events ({_COLUMNS}, received_at) from '{path}'",
            )
        ]
        process = await asyncio.create_subprocess_exec(
            *("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self._stores.postgres_admin_url),
            *commands,
            stdout=asyncio.subprocess.DEVNULL,
        )
        if await process.wait() != 0:
            raise RuntimeError("psql failed")

    def _write_rows(self) -> list[Path]:
        now = datetime.now(UTC).isoformat().encode()
        paths = []
        for first in range(0, EVENTS, AT_ONCE):
            path = self._folder / f"{first}.copy"
            lines = [item.row + b"\t" + now + b"\n" for item in self._items[first:][:AT_ONCE]]
            path.write_bytes(b"".join(lines))
            paths.append(path)
        return paths

    async def check(self) -> None:
        """Compare what ours has stored and counted, which ran last, with what was sent."""
        connection: Any = await asyncpg.connect(self._stores.postgres_admin_url)
        stored = await connection.fetchval("SELECT count(*) FROM metering.usage_events")
        row = await connection.fetchrow(
            "SELECT sum(event_count) AS events, sum(quantity) AS quantity"
            " FROM metering.usage_records"
        )
        await connection.close()
        wanted = sum(_quantity(number) for number in range(EVENTS))
        if (stored, row["events"], row["quantity"]) != (EVENTS, EVENTS, wanted):
            raise RuntimeError(f"{EVENTS} sent, {stored} stored, {row} counted")


def _quantity(number: int) -> Decimal:
    return Decimal(number % 1000) / 8


def _event(number: int) -> UsageEvent:
    return UsageEvent(
        id=f"event-{number:08d}",
        source="bench",
        type="bench",
        subject=f"customer-{number % CUSTOMERS}",
        time=STARTS_AT + timedelta(seconds=number * HOURS * 3600 // EVENTS),
        data={"quantity": _quantity(number), "region": "eu-central"},
    )


def _item(event: UsageEvent) -> Item:
    data = encode_data(event.data)
    assert data is not None
    return pack(TENANT, False, event, data, None, "")


def _parameters(
    events: Sequence[UsageEvent], items: Sequence[Item], now: datetime
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Return what the reference's statements take."""
    rows, records = [], []
    for event, item in zip(events, items, strict=True):
        at = event.time
        assert at is not None
        digest = int.from_bytes(item.content_hash, signed=True)
        data = (encode_data(event.data) or b"").decode()
        rows.append(
            (TENANT, False, "bench", event.id, "bench", event.subject, at, data, digest, None, now)
        )
        hour = at.replace(minute=0, second=0, microsecond=0)
        quantity = event.data["quantity"]
        records.append((TENANT, False, event.subject, METER, hour, quantity, now))
    return rows, records
