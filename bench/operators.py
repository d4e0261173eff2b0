"""Bar 13: the operator's cold start at a thousand resources, and a resync that finds nothing to do.

Both sides are processes beside the same running platform and the same API server, which is the
tests' own: each side meets the meters of a namespace for the first time and has them run by
metering. The reference is a Kopf operator as its documentation has it: a handler for creation and
resumption, its progress and results kept in annotations and status. Afterwards our operator lists
everything again and again, and a change that it asks for meanwhile leaves no figure.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from bench.harness import Bar, Bench, Run, cpu_seconds
from bench.served import PASSWORD, SECRET, Running, open_platform
from bench.stores import Stores, open_stores
from tests.operator.fake_api import FakeApi, running_api

COUNT = 1_000
READY_SECONDS = 180
RESYNCS = 5
OURS = ("-m", "billplane_operator", "run")
PLAIN = ("-m", "kopf", "run", "--all-namespaces", "-m", "bench.plain_operator")


async def measure(bench: Bench) -> None:
    with open_stores() as stores, TemporaryDirectory() as folder:
        async with open_platform(stores) as platform, running_api() as api:
            os.environ["KUBECONFIG"] = api.kubeconfig(Path(folder) / "kubeconfig")
            await Operators(bench, stores, platform, api).measure()


class Operators:
    """The sides of the bar."""

    def __init__(self, bench: Bench, stores: Stores, platform: Running, api: FakeApi) -> None:
        self._bench, self._stores, self._platform, self._api = bench, stores, platform, api
        self._namespaces = 0
        self._writes_in_resyncs = 0

    async def measure(self) -> None:
        """Measure the cold start, and look whether a resync writes."""
        bar = Bar(
            13,
            f"operator: cold start at {COUNT:,} resources",
            "a plain Kopf operator",
            "the operator",
            "resource",
            Decimal(2),
        )
        await self._resync()
        notes = {"writes_in_resyncs": self._writes_in_resyncs, "resyncs": RESYNCS}
        await self._bench.compare_runs(bar, reference=self.plain, ours=self.ours, notes=notes)

    async def ours(self) -> Run:
        """Start our operator on a namespace full of meters that nobody has seen."""
        return await self._cold(OURS, self._is_ready)

    async def plain(self) -> Run:
        """Start the reference on another."""
        return await self._cold(PLAIN, self._is_handled)

    async def _cold(self, program: tuple[str, ...], is_done: Callable[[], bool]) -> Run:
        await self._fill()
        pids = [self._platform.pid, self._stores.postgres_pid, self._stores.valkey_pid]
        before, started = cpu_seconds(pids), time.perf_counter()
        async with self._running(program) as process:
            await _until(is_done)
            seconds = time.perf_counter() - started
            used = cpu_seconds([*pids, process.pid]) - before
        await self._check()
        return Run(COUNT, seconds, used)

    async def _resync(self) -> None:
        """Let our operator look again at what it has done."""
        await self._fill()
        async with self._running(OURS, BILLPLANE_OPERATOR_RESYNC_SECONDS="1"):
            await _until(self._is_ready)
            await asyncio.sleep(2)
            before = len(self._api.writes())
            await asyncio.sleep(RESYNCS + 1)
            self._writes_in_resyncs = len(self._api.writes()) - before
        if self._writes_in_resyncs:
            raise RuntimeError(f"a resync wrote: {self._api.writes()[before : before + 5]}")

    async def _fill(self) -> None:
        """Take away what there is and make a namespace of meters, which is a tenant."""
        for key in [key for key in self._api.store.objects if key[0] == "Meter"]:
            del self._api.store.objects[key]
        self._namespaces += 1
        name = f"bench-{self._namespaces}"
        tenant = {"billplane.io/tenant": f"ten_bench_{self._namespaces}"}
        await self._api.store.create(
            {"kind": "Namespace", "metadata": {"name": name, "labels": tenant}}
        )
        for number in range(COUNT):
            document = {
                "apiVersion": "billplane.io/v1alpha1",
                "kind": "Meter",
                "metadata": {"name": f"meter-{number}", "namespace": name},
                "spec": {
                    "eventType": f"bench.{number}",
                    "aggregation": "Sum",
                    "valueProperty": "$.units",
                },
            }
            await self._api.store.apply(document, "kubectl", force=False)

    async def _check(self) -> None:
        """Compare what metering runs with what was asked for."""
        connection: Any = await asyncpg.connect(self._stores.postgres_admin_url)
        try:
            stored = await connection.fetchval(
                "SELECT count(*) FROM metering.meters WHERE tenant_id = $1",
                f"ten_bench_{self._namespaces}",
            )
        finally:
            await connection.close()
        if stored != COUNT:
            raise RuntimeError(f"{COUNT} meters were asked for, {stored} run")

    def _meters(self) -> list[dict[str, Any]]:
        return [item for key, item in self._api.store.objects.items() if key[0] == "Meter"]

    def _is_ready(self) -> bool:
        return all(
            any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in (item.get("status") or {}).get("conditions", [])
            )
            for item in self._meters()
        )

    def _is_handled(self) -> bool:
        return all("observedGeneration" in item.get("status", {}) for item in self._meters())

    @asynccontextmanager
    async def _running(
        self, program: tuple[str, ...], **environ: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        offset = (urlsplit(self._platform.url).port or 0) - 8080
        where = self._stores.postgres_admin_url.split("@", 1)[1]
        values = {
            **os.environ,
            "BILLPLANE_JWT_SECRET": SECRET,
            "BILLPLANE_PORT_OFFSET": str(offset),
            "BILLPLANE_DATABASE_URL": f"postgresql://billplane:{PASSWORD}@{where}",
            "BILLPLANE_REDIS_URL": self._stores.valkey_url,
            "BILLPLANE_LOG_LEVEL": "WARNING",
            "BILLPLANE_OPERATOR_HTTP_PORT": "8096",
            **environ,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *program),
            env=values,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _until(is_done: Callable[[], bool]) -> None:
    for _ in range(READY_SECONDS * 20):
        if is_done():
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"not done within {READY_SECONDS} s")
