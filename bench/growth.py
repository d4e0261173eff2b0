"""What an operation costs as data grows a hundredfold: `make bench-growth`.

Ingest is timed per event beside 10^4, 10^5 and 10^6 ids that Redis remembers against repeats, as a
tenth of the events of a day come within an hour or two. Flush is timed per event beside 10^5, 10^6
and 10^7 events in Postgres, in the partition that it writes. Rating is timed per row over 10^4 to
10^6 rows. A decade may cost 1.2 times as much; rating is linear, within a tenth.

`python -m bench.growth flush` measures one path alone. What was measured is written to
docs/operating/numbers.md, and kept in bench/growth.json until it is measured again.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
from billplane.chassis.host import Platform
from billplane.metering.cache import SHARDS, UsageStore, shard_of
from billplane.metering.domain import Item
from billplane.pricing.domain import UsageLists, columns_from_lists
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from bench import flush, rating
from bench.served import TENANT
from bench.stores import Stores, open_stores

RUNS = 9
EVENTS = 20_000
DEDUPE_SECONDS = 3600
SETTLE_SECONDS = 60
DECADE = 1.2
LINEAR = 1.1
PATHS = ("rating", "ingest", "flush")
HERE = Path(__file__).parent
KEPT = HERE / "growth.json"
PAGE = HERE.parent / "docs" / "operating" / "numbers.md"
# tools/figures.py leaves what is below this line as it is.
HEADING = "## As data grows"
INTRODUCTION = """Measured by `make bench-growth` on the same machine: what one operation costs
beside ten and a hundred times as much data, and how many times as much as a decade before.

| path | data | microseconds an operation | decade | at most |
|---|---:|---:|---:|---:|
"""
_FILL = """
INSERT INTO metering.usage_events (tenant_id, livemode, source, id, event_type, subject, event_at,
  data, content_hash, quantity, received_at)
SELECT $1, false, 'grown', 'event-' || n, 'bench', 'customer-' || n % 50000,
  timestamptz '2026-01-01' + n * interval '100 milliseconds', '{"quantity": 1}', n, 1, now()
FROM generate_series($2::bigint, $3::bigint) n
"""


@dataclass
class Curve:
    """Seconds an operation over amounts of data."""

    name: str
    unit: str
    limit: float
    seconds: dict[int, float] = field(default_factory=dict)

    def factors(self) -> list[float]:
        """Return how many times as much each decade costs as the one before."""
        found = [self.seconds[size] for size in sorted(self.seconds)]
        return [later / earlier for earlier, later in itertools.pairwise(found)]

    def rows(self) -> Iterator[list[str]]:
        """Give a line of the table for each amount of data."""
        factors = ["", *(f"{factor:.2f}" for factor in self.factors())]
        for (size, seconds), factor in zip(sorted(self.seconds.items()), factors, strict=True):
            least = f"{self.limit}" if factor else ""
            yield [
                f"{self.name} ({self.unit})", f"{size:,}", f"{seconds * 1e6:.3g}", factor, least
            ]  # fmt: skip

    @property
    def is_met(self) -> bool:
        """True when no decade costs more than it may."""
        return all(factor <= self.limit for factor in self.factors())


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.growth")
    parser.add_argument("paths", nargs="*", metavar="path", help=", ".join(PATHS))
    wanted = parser.parse_args().paths or list(PATHS)
    if set(wanted) - set(PATHS):
        parser.error(f"there are {', '.join(PATHS)}")
    curves = [rate_curve()] if "rating" in wanted else []
    if {"ingest", "flush"} & set(wanted):
        with open_stores() as stores:
            async with flush.open_metering(stores) as platform:
                usage = Usage(stores, platform)
                if "ingest" in wanted:
                    curves.append(await ingest_curve(usage))
                if "flush" in wanted:
                    curves.append(await flush_curve(usage))
                await usage.close()
    table = Table(title="Cost an operation as data grows")
    for heading in ("path", "data", "microseconds an operation", "decade", "at most"):
        table.add_column(heading, justify="right" if heading != "path" else "left")
    for curve in curves:
        for row in curve.rows():
            table.add_row(*row)
    Console(width=110).print(table)
    for curve in curves:
        sys.stdout.write(f"{curve.name}: {'met' if curve.is_met else 'MISSED'}\n")
    keep(curves)
    return 0


def keep(curves: Sequence[Curve]) -> None:
    """Write what was measured now and before into the page of figures."""
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    kept |= {curve.name: list(curve.rows()) for curve in curves}
    KEPT.write_text(json.dumps(dict(sorted(kept.items())), indent=2) + "\n", "utf-8")
    lines = ["| " + " | ".join(row) + " |" for name in sorted(kept) for row in kept[name]]
    above = PAGE.read_text("utf-8").partition(HEADING)[0].rstrip()
    section = f"{HEADING}\n\n{INTRODUCTION}" + "\n".join(lines)
    PAGE.write_text(f"{above}\n\n{section}\n", "utf-8")


async def least(operation: Callable[[], Awaitable[Any]], before: Any, count: int) -> float:
    """Return the seconds of one of `count` operations, in the quickest of some runs.

    The sizes are measured minutes apart, and what else a machine does can only add to them.
    """
    times = []
    for _ in range(RUNS + 1):
        await before()
        started = time.perf_counter()
        await operation()
        times.append(time.perf_counter() - started)
    return min(times[1:]) / count


async def ingest_curve(usage: "Usage") -> Curve:
    """Ingest beside more and more ids that are remembered."""
    curve = Curve("ingest, batches of 100", "event", DECADE)
    for size in (10**4, 10**5, 10**6):
        await usage.remember(size)
        curve.seconds[size] = await least(usage.append, usage.flush_and_make, EVENTS)
    return curve


async def flush_curve(usage: "Usage") -> Curve:
    """Flush beside more and more events that are stored."""
    curve = Curve("flush", "event", DECADE)
    for size in (10**5, 10**6, 10**7):
        await usage.grow(size)
        curve.seconds[size] = await least(usage.flush, usage.make_and_append, EVENTS)
    return curve


class Usage:
    """Events that are there, and new ones on their way."""

    def __init__(self, stores: Stores, platform: Platform) -> None:
        self._stores = stores
        self._flusher = platform.runtimes["metering"].state.flusher
        self._redis: Any = Redis.from_url(stores.valkey_url)
        self._store = UsageStore(self._redis, dedupe_seconds=DEDUPE_SECONDS)
        self._there = 0
        self._next = 0
        self._waiting: list[list[tuple[int, list[Item]]]] = []

    async def grow(self, size: int) -> None:
        """Fill the table up to so many events, vacuumed and checkpointed."""
        connection: Any = await asyncpg.connect(self._stores.postgres_admin_url)
        step = 500_000
        while self._there < size:
            last = min(self._there + step, size)
            await connection.execute(_FILL, TENANT, self._there + 1, last, timeout=600)
            self._there = last
        await connection.execute("VACUUM (ANALYZE) metering.usage_events", timeout=600)
        await connection.execute("CHECKPOINT", timeout=600)
        await connection.close()

    async def remember(self, size: int) -> None:
        """Let Redis know so many ids, of events that were moved already."""
        await self._redis.flushdb()
        window = int(time.time()) // DEDUPE_SECONDS
        for first in range(0, size, 10_000):
            pipeline = self._redis.pipeline(transaction=False)
            for shard in range(SHARDS):
                name = f"seen:{{s{shard:02d}}}:{window}"
                ids = range(first + shard, min(first + 10_000, size), SHARDS)
                pipeline.hset(name, mapping={f"{TENANT}\0f\0old\0e{n}": b"12345678" for n in ids})
            await pipeline.execute()
        # A hundred megabytes at once make it write its file anew: that is not what is measured.
        for _ in range(SETTLE_SECONDS):
            await asyncio.sleep(1)
            if not (await self._redis.info("persistence"))["aof_rewrite_in_progress"]:
                return

    def make(self) -> None:
        """Make new events, a hundred to a request."""
        self._waiting = []
        for _ in range(0, EVENTS, flush.REQUEST):
            shards: dict[int, list[Item]] = {}
            for _ in range(flush.REQUEST):
                event = flush._event(self._next)
                event = type(event)(
                    id=f"new-{self._next}", source=event.source, type=event.type,
                    subject=event.subject, data=event.data,
                    time=datetime(2026, 1, 15, tzinfo=UTC) + timedelta(seconds=self._next % 3600),
                )  # fmt: skip
                self._next += 1
                item = flush._item(event)
                shards.setdefault(shard_of(TENANT, item.subject), []).append(item)
            self._waiting.append(list(shards.items()))

    async def append(self) -> None:
        """Acknowledge what was made, request by request."""
        for parts in self._waiting:
            await self._store.append([parts])

    async def make_and_append(self) -> None:
        """Let new events wait in Redis."""
        self.make()
        await self.append()

    async def flush_and_make(self) -> None:
        """Empty the streams; make what comes next."""
        await self.flush()
        self.make()

    async def flush(self) -> None:
        """Move what was acknowledged into Postgres."""
        await self._flusher.flush()

    async def close(self) -> None:
        """Let go of Redis."""
        await self._store.close()
        await self._redis.aclose()


def rate_curve() -> Curve:
    """Rate more and more rows on graduated tiers."""
    curve = Curve("rate, graduated", "row", LINEAR)
    spec = rating.plan(rating.GRADUATED, ["region"])
    for size in (10**4, 10**5, 10**6):
        texts = [f"{number % 997}.{number % 10**6:06d}" for number in range(size)]
        regions = [rating.REGIONS[number % len(rating.REGIONS)] for number in range(size)]
        lists = UsageLists([1_767_225_600] * size, [3600] * size, texts, [1] * size, [regions], [])
        columns = columns_from_lists(lists)
        assert rating.rate(spec, columns) > Decimal(0)
        repeats = 10**7 // size
        times = []
        for _ in range(RUNS + 1):
            started = time.perf_counter()
            for _ in range(repeats):
                rating.rate(spec, columns)
            times.append((time.perf_counter() - started) / repeats / size)
        curve.seconds[size] = min(times[1:])
    return curve


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
