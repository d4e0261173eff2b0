"""Bars 1 and 2: usage in, through the gateway, acknowledged once it is on disk.

The references run on the same server, in the same process: a route of the design that metering
replaced (FastAPI, one INCRBYFLOAT a request on the same Valkey), and an answer that does nothing.
Usage moves into Postgres while it is measured, as it always does. After each pair every event
that was answered is in Postgres, once.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from bench.harness import Bar, Bench, Run, cpu_seconds
from bench.load import Target, latency_milliseconds, load, require
from bench.served import Running, open_platform
from bench.stores import Stores, open_stores

BATCH = 100
CUSTOMERS = 50
COMMANDS = 200_000
SYNCS = 200
METER = {"eventType": "bench", "aggregation": "Sum", "valueProperty": "$.quantity"}
_HEAD = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
"""
_KEPT = """
wrk.body = '{"customer_id":"c-1","resource_type":"bench","quantity":1}'
"""
_EVENTS = """
local number = 0
request = function()
  local events = {}
  for i = 1, BATCH do
    number = number + 1
    events[i] = '{"specversion":"1.0","source":"SOURCE","id":"' .. number
      .. '","type":"bench","subject":"c-' .. (number % CUSTOMERS) .. '","data":{"quantity":1.5}}'
  end
  return wrk.format(nil, nil, nil, '[' .. table.concat(events, ',') .. ']')
end
"""
_sources = count(1)


async def measure(bench: Bench) -> None:
    require("wrk", "wrk")
    require("redis-benchmark", "redis-tools")
    with open_stores() as stores:
        async with open_platform(stores) as platform:
            body = {"name": "bench", "spec": METER}
            await platform.call("POST", "/v1/meters", body, expect=201)
            await Ingest(bench, stores, platform).measure()


class Ingest:
    """The sides of both bars."""

    def __init__(self, bench: Bench, stores: Stores, platform: Running) -> None:
        self._bench = bench
        self._stores = stores
        self._platform = platform
        self._head = _HEAD.format(key=platform.key)
        self._kept = Target(f"{platform.url}/api/v1/usage", self._head + _KEPT)
        self._answered = 0

    async def measure(self) -> None:
        """Measure both bars against both references."""
        one = "ingest, 1 event a request"
        many = f"ingest, {BATCH} events a request"
        notes = {"latency_milliseconds": await self._latency(), "fdatasync": await _fdatasync()}
        for bar, reference, ours in (
            (_bar(1, one, "the replaced design", "4"), self.replaced, self.single),
            (_bar(1, one, "an answer that does nothing", "0.5"), self.static, self.single),
            (_bar(2, many, "the replaced design", "20"), self.replaced, self.batches),
            (_bar(2, many, "redis-benchmark -P 16 HINCRBY", "0.3"), self.commands, self.batches),
        ):
            await self._bench.compare_runs(
                bar, reference=reference, ours=ours, check=self.check, notes=notes
            )
            notes = {}

    def pids(self) -> Iterable[int]:
        """Name the processes whose CPU time counts."""
        return [self._platform.pid, self._stores.postgres_pid, self._stores.valkey_pid]

    async def replaced(self) -> Run:
        """Load the design that metering replaced."""
        target = Target(f"{self._platform.url}/reference/usage", self._head + _KEPT)
        return await load(target, self.pids)

    async def static(self) -> Run:
        """Load the answer that does nothing, with the same requests."""
        return await load(Target(f"{self._platform.url}/reference/static"), self.pids)

    async def single(self) -> Run:
        """Load the kept path, one event a request."""
        run = await load(self._kept, self.pids)
        self._answered += run.operations
        return run

    async def batches(self) -> Run:
        """Load the events' path, a hundred new events a request."""
        script = self._head + _EVENTS.replace("SOURCE", f"bench-{next(_sources)}").replace(
            "CUSTOMERS", str(CUSTOMERS)
        ).replace("BATCH", str(BATCH))
        target = Target(f"{self._platform.url}/v1/usage_events", script, each=BATCH)
        run = await load(target, self.pids)
        self._answered += run.operations
        return run

    async def commands(self) -> Run:
        """Run redis-benchmark on the same Valkey."""
        address = urlsplit(self._stores.valkey_url)
        before, started = cpu_seconds(self.pids()), time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *("redis-benchmark", "-h", str(address.hostname), "-p", str(address.port)),
            *("-a", str(address.password), "-P", "16", "-n", str(COMMANDS), "-q"),
            *("-r", "1000", "HINCRBY", "bench", "field:__rand_int__", "1"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        if await process.wait() != 0:
            raise RuntimeError("redis-benchmark failed")
        seconds = time.perf_counter() - started
        return Run(COMMANDS, seconds, cpu_seconds(self.pids()) - before)

    async def check(self) -> None:
        """Compare what was answered with what is stored; then begin with empty tables."""
        await self._platform.call(
            "GET",
            "/v1/usage?meter=bench&customer_id=nobody"
            "&starts_at=2020-01-01T00:00:00Z&ends_at=2020-02-01T00:00:00Z",
        )
        connection: Any = await asyncpg.connect(self._stores.postgres_admin_url)
        try:
            stored = await connection.fetchval("SELECT count(*) FROM metering.usage_events")
            counted = await connection.fetchval(
                "SELECT sum(event_count) FROM metering.usage_records"
            )
            await connection.execute("TRUNCATE metering.usage_events, metering.usage_records")
        finally:
            await connection.close()
        # wrk ends with requests under way: at most one a connection is stored and not counted.
        open_events = 2 * self._kept.connections * BATCH
        if stored != (counted or 0) or not self._answered <= stored <= self._answered + open_events:
            raise RuntimeError(f"{self._answered} answered, {stored} stored, {counted} counted")
        self._answered = 0

    async def _latency(self) -> dict[str, float]:
        """Return how long an answer takes at about half of the load."""
        quiet = Target(self._kept.url, self._kept.script, connections=2)
        found = await latency_milliseconds(quiet)
        await asyncio.sleep(0.1)
        self._answered = 0
        connection: Any = await asyncpg.connect(self._stores.postgres_admin_url)
        await self._platform.call(
            "GET",
            "/v1/usage?meter=bench&customer_id=nobody"
            "&starts_at=2020-01-01T00:00:00Z&ends_at=2020-02-01T00:00:00Z",
        )
        await connection.execute("TRUNCATE metering.usage_events, metering.usage_records")
        await connection.close()
        return found


def _bar(number: int, name: str, reference: str, at_least: str) -> Bar:
    return Bar(number, name, reference, "gateway and metering", "event", Decimal(at_least))


async def _fdatasync() -> dict[str, float]:
    """Return how long this machine's disk takes to keep 200 bytes."""

    def measured() -> float:
        times = []
        with tempfile.TemporaryFile() as file:
            for _ in range(SYNCS):
                file.write(b"x" * 200)
                file.flush()
                started = time.perf_counter()
                os.fdatasync(file.fileno())
                times.append(time.perf_counter() - started)
        return statistics.median(times)

    return {"p50_milliseconds": round(await asyncio.to_thread(measured) * 1000, 3)}
