"""What an operation costs as data grows a hundredfold: `make bench-growth`.

Flush and ingest are timed per event beside 10^5, 10^6 and 10^7 events that are there already; the
table of events and its indexes in Postgres, the ids remembered against repeats in Redis (10^6 at
most, as one hour of a busy installation has). Rating is timed per row over 10^4 to 10^6 rows. A
decade may cost 1.2 times as much; rating is linear, within a tenth.
"""

import asyncio
import itertools
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
from billplane.chassis.host import Platform
from billplane.metering.cache import UsageStore, shard_of
from billplane.metering.domain import Item
from billplane.pricing.domain import UsageLists, columns_from_lists
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from bench import flush, rating
from bench.served import TENANT
from bench.stores import Stores, open_stores

RUNS = 5
EVENTS = 20_000
DECADE = 1.2
LINEAR = 1.1
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

    @property
    def is_met(self) -> bool:
        """True when no decade costs more than it may."""
        return all(factor <= self.limit for factor in self.factors())


async def main() -> int:
    curves = [rate_curve()]
    with open_stores() as stores:
        async with flush.open_metering(stores) as platform:
            curves += await usage_curves(stores, platform)
    table = Table(title="Cost an operation as data grows")
    for heading in ("path", "data", "microseconds an operation", "decade", "at most"):
        table.add_column(heading, justify="right" if heading != "path" else "left")
    for curve in curves:
        factors = ["", *(f"{factor:.2f}" for factor in curve.factors())]
        for (size, seconds), factor in zip(sorted(curve.seconds.items()), factors, strict=True):
            table.add_row(
                f"{curve.name} ({curve.unit})", f"{size:,}", f"{seconds * 1e6:.3g}", factor,
                f"{curve.limit}" if factor else "",
            )  # fmt: skip
    Console(width=110).print(table)
    for curve in curves:
        sys.stdout.write(f"{curve.name}: {'met' if curve.is_met else 'MISSED'}\n")
    return 0


async def median(operation: Callable[[], Awaitable[Any] | Any], before: Any, count: int) -> float:
    """Return the seconds of one of `count` operations, as the median of some runs."""
    times = []
    for _ in range(RUNS + 1):
        await before()
        started = time.perf_counter()
        await operation()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:]) / count


async def usage_curves(stores: Stores, platform: Platform) -> list[Curve]:
    """Flush and ingest beside more and more events that are there."""
    flushing = Curve("flush", "event", DECADE)
    ingesting = Curve("ingest, batches of 100", "event", DECADE)
    usage = Usage(stores, platform)
    for size in (10**5, 10**6, 10**7):
        await usage.grow(size)
        flushing.seconds[size] = await median(usage.flush, usage.append, EVENTS)
        ingesting.seconds[size] = await median(usage.append, usage.flush, EVENTS)
    await usage.close()
    return [ingesting, flushing]


class Usage:
    """Events that are there, and new ones on their way."""

    def __init__(self, stores: Stores, platform: Platform) -> None:
        self._stores = stores
        self._flusher = platform.runtimes["metering"].state.flusher
        self._redis: Any = Redis.from_url(stores.valkey_url)
        self._store = UsageStore(self._redis, dedupe_seconds=3600)
        self._there = 0
        self._next = 0

    async def grow(self, size: int) -> None:
        """Fill the table up to so many events, and remember ids in Redis."""
        connection: Any = await asyncpg.connect(self._stores.postgres_admin_url)
        step = 500_000
        while self._there < size:
            last = min(self._there + step, size)
            await connection.execute(_FILL, TENANT, self._there + 1, last, timeout=600)
            self._there = last
        await connection.execute("VACUUM (ANALYZE) metering.usage_events", timeout=600)
        await connection.execute("CHECKPOINT", timeout=600)
        await connection.close()

    async def append(self) -> None:
        """Acknowledge new events, a hundred together."""
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
            await self._store.append([list(shards.items())])

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
        curve.seconds[size] = statistics.median(times[1:])
    return curve


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
