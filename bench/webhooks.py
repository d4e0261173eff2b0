"""Bar 12: one event to 1,000 endpoints, and what 50 dead ones cost the others.

The reference is the usual worker: it walks over the deliveries, signs and posts each with aiohttp
over kept connections, and notes it by an UPDATE of its own. Ours is the notification service as it
runs: from the event's own transaction to the last result written. The endpoints are one program in
a process of its own, which counts what it hears; it is the load's other end and not counted.

For the second line the same event goes to 950 endpoints, alone and beside 25 that hang up and 25
that never answer; the time is that of the 950.
"""

import asyncio
import hashlib
import hmac
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import asyncpg
import uvicorn
import uvloop
from billplane import catalog
from billplane.chassis import logging
from billplane.chassis.auth import service_principal
from billplane.chassis.host import Platform, settle_memory
from billplane.chassis.migrations import roles, runner
from billplane.notification.service import events
from billplane.notification.service.facts import Said

from bench.harness import Bar, Bench, Run, cpu_seconds
from bench.stores import Stores, open_stores
from tests.fixtures.ports import free_port, free_port_offset

ENDPOINTS = 1000
TROUBLED = 50
TENANT = "ten_bench"
SECRET = "of-benchmarks-alone-and-long-enough-0123456789"  # noqa: S105 - nobody keeps anything there
PASSWORD = "billplane"  # noqa: S105 - as above
SIGNING = b"whsec_" + b"A" * 32
OBJECT = {"id": "in_1", "object": "invoice", "lines": [{"amount": number} for number in range(20)]}
_TABLE = "CREATE TABLE reference (LIKE notification.deliveries INCLUDING ALL)"
_ADD = """
INSERT INTO reference SELECT $1, 'whd_' || id, false, id, 'evt_1', 1, 'invoice.paid', 'pending', 0,
  now(), NULL, NULL, '', now(), now(), NULL FROM notification.webhook_endpoints
"""
_DUE = """
SELECT r.id, e.url FROM reference r JOIN notification.webhook_endpoints e ON e.id = r.endpoint_id
WHERE r.state = 'pending' AND r.due_at <= now()
"""
_UPDATE = """
UPDATE reference SET state = 'succeeded', attempts = 1, last_status = $2, finished_at = now()
WHERE tenant_id = 'ten_bench' AND id = $1
"""
_LEFT = "SELECT count(*) FROM notification.deliveries WHERE state = 'pending'"
_UNTRIED = f"{_LEFT} AND attempts = 0"


async def measure(bench: Bench) -> None:
    # In the event loop that services run in, both sides.
    await asyncio.to_thread(uvloop.run, _measure(bench))


async def _measure(bench: Bench) -> None:
    with open_stores() as stores:
        async with _receiver() as receiver, _platform(stores) as platform:
            webhooks = Webhooks(bench, stores, platform, receiver)
            await webhooks.open()
            await webhooks.measure()
            await webhooks.close()


class Webhooks:
    """The sides of the bar."""

    def __init__(self, bench: Bench, stores: Stores, platform: Platform, receiver: str) -> None:
        self._bench = bench
        self._stores = stores
        self._runtime = platform.runtimes["notification"]
        self._receiver = receiver

    async def open(self) -> None:
        """Make the endpoints."""
        self._http = aiohttp.ClientSession()
        self._database: Any = await asyncpg.connect(self._stores.postgres_admin_url)
        await self._database.execute(_TABLE)
        # Connected to, and never answered.
        self._deaf = socket.socket()
        self._deaf.bind(("127.0.0.1", 0))
        self._deaf.listen(4096)
        sealer = self._runtime.state.sealer
        for place in range(ENDPOINTS):
            name = f"we_{place:05d}"
            sealed = sealer.seal(SIGNING, "webhook_endpoints", TENANT, name)
            await self._database.execute(
                "INSERT INTO notification.webhook_endpoints VALUES ($1, $2, false, $3, '',"
                " ARRAY['*'], '{}', '', 'enabled', '', $4, NULL, NULL, NULL, now())",
                TENANT,
                name,
                f"{self._receiver}/{place}",
                sealed,
            )

    async def close(self) -> None:
        """Let go of connections."""
        self._deaf.close()
        await self._http.close()
        await self._database.close()

    async def measure(self) -> None:
        """Measure both lines."""
        loop, alone = "aiohttp loop, one UPDATE a delivery", "950 alone"
        await self._bench.compare_runs(
            Bar(12, "webhooks, 1 event x 1,000", loop, "notification", "delivery", Decimal(4)),
            reference=self._loop,
            ours=lambda: self._deliver(ENDPOINTS, finished=True),
        )
        healthy = ENDPOINTS - TROUBLED
        troubled = "950 beside 50 dead or slow"
        await self._bench.compare_runs(
            Bar(12, "webhooks beside dead endpoints", alone, troubled, "delivery", Decimal("0.95")),
            reference=lambda: self._beside(healthy, troubled=False),
            ours=lambda: self._beside(healthy, troubled=True),
        )

    async def _loop(self) -> Run:
        """Deliver one event as a plain worker does, from tables of its own without row security."""
        await self._prepare()
        database, body = self._database, json.dumps(OBJECT).encode()
        cpu, started = cpu_seconds(self._pids()), time.perf_counter()
        await database.execute(_ADD, TENANT)
        rows = await database.fetch(_DUE)
        for row in rows:
            seconds = int(time.time())
            digest = hmac.new(SIGNING, b"%d." % seconds + body, hashlib.sha256).hexdigest()
            headers = {"Stripe-Signature": f"t={seconds},v1={digest}"}
            async with self._http.post(row["url"], data=body, headers=headers) as answer:
                await answer.read()
                status = answer.status
            await database.execute(_UPDATE, row["id"], status)
        run = Run(len(rows), time.perf_counter() - started, cpu_seconds(self._pids()) - cpu)
        await self._require_heard(ENDPOINTS)
        return run

    async def _deliver(self, wanted: int, *, finished: bool) -> Run:
        """Deliver one event as the service does, until so many were heard."""
        await self._prepare()
        cpu, started = cpu_seconds(self._pids()), time.perf_counter()
        await self._tell()
        await self._wait_heard(wanted)
        while finished and await self._database.fetchval(_LEFT):  # noqa: ASYNC110 - a database
            await asyncio.sleep(0.005)
        run = Run(wanted, time.perf_counter() - started, cpu_seconds(self._pids()) - cpu)
        await self._require_heard(wanted)
        return run

    async def _beside(self, healthy: int, *, troubled: bool) -> Run:
        """Deliver to the healthy ones, alone or beside those that are dead."""
        half = healthy + TROUBLED // 2
        hangs_up = f"http://127.0.0.1:{free_port()}/"
        deaf = f"http://127.0.0.1:{self._deaf.getsockname()[1]}/"
        await self._database.execute(
            "UPDATE notification.webhook_endpoints SET failing_since = NULL,"
            " status = CASE WHEN id < $1 OR $5 THEN 'enabled' ELSE 'disabled' END,"
            " url = CASE WHEN id < $1 THEN url WHEN id < $2 THEN $3 ELSE $4 END",
            f"we_{healthy:05d}",
            f"we_{half:05d}",
            hangs_up,
            deaf,
            troubled,
        )
        run = await self._deliver(healthy, finished=False)
        await self._settled()
        return run

    async def _settled(self) -> None:
        """Wait, off the clock, until each delivery was tried: what never answers takes its time."""
        while await self._database.fetchval(_UNTRIED):  # noqa: ASYNC110 - a database
            await asyncio.sleep(0.02)

    async def _prepare(self) -> None:
        for table in ("notification.delivery_attempts", "notification.deliveries", "reference"):
            await self._database.execute(f"TRUNCATE {table}")
        await self._http.post(f"{self._receiver}/reset")
        await self._database.execute("CHECKPOINT")

    async def _tell(self) -> None:
        principal = service_principal("notification", TENANT, livemode=False)
        async with self._runtime.database.write(self._runtime, principal) as tx:
            said = [Said("invoice.paid", dict(OBJECT))]
            await events.tell(tx, said, object_id="in_1", happened_at=tx.now)

    async def _wait_heard(self, wanted: int) -> None:
        async with self._http.get(f"{self._receiver}/wait?count={wanted}") as answer:
            await answer.read()

    async def _require_heard(self, wanted: int) -> None:
        async with self._http.get(f"{self._receiver}/heard") as answer:
            heard = int(await answer.text())
        if heard != wanted:
            raise RuntimeError(f"{heard} of {wanted} endpoints heard the event")

    def _pids(self) -> list[int]:
        return [os.getpid(), self._stores.postgres_pid, self._stores.valkey_pid]


@asynccontextmanager
async def _platform(stores: Stores) -> AsyncIterator[Platform]:
    """Run notification alone in this process."""
    names = ["notification"]
    await roles.init_database(stores.postgres_admin_url, names, "billplane", PASSWORD)
    await runner.migrate(stores.postgres_admin_url, names)
    where = stores.postgres_admin_url.split("@", 1)[1]
    environ = {
        "BILLPLANE_DATABASE_URL": f"postgresql://billplane:{PASSWORD}@{where}",
        "BILLPLANE_REDIS_URL": stores.valkey_url,
        "BILLPLANE_JWT_SECRET": SECRET,
        "BILLPLANE_PORT_OFFSET": str(free_port_offset()),
        "BILLPLANE_OUTGOING_ALLOW_LIST": "127.0.0.1",
        "BILLPLANE_NOTIFICATION_WEBHOOK_TIMEOUT_SECONDS": "2",
    }
    logging.configure("ERROR", "json")
    platform = Platform([catalog.load(name) for name in names], environ=environ)
    await platform.start()
    settle_memory()
    try:
        yield platform
    finally:
        await platform.stop()


@asynccontextmanager
async def _receiver() -> AsyncIterator[str]:
    """Run the endpoints in a process of their own."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.webhooks", str(port)), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


class Receiver:
    """Every endpoint: answers 200 and remembers which were reached."""

    def __init__(self) -> None:
        self.heard: set[str] = set()
        self.wanted = 0
        self.enough = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        while (await receive()).get("more_body"):
            pass
        path, answer = scope["path"], b""
        if path == "/reset":
            self.heard.clear()
        elif path == "/heard":
            answer = str(len(self.heard)).encode()
        elif path == "/wait":
            self.wanted = int(scope["query_string"].removeprefix(b"count="))
            self.enough.clear()
            if len(self.heard) < self.wanted:
                await self.enough.wait()
        else:
            self.heard.add(path)
            if len(self.heard) == self.wanted:
                self.enough.set()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def _receive(port: int) -> None:
    server = uvicorn.Server(
        uvicorn.Config(Receiver(), port=port, log_config=None, access_log=False, lifespan="off")
    )
    serving = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.01)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await serving


if __name__ == "__main__":
    uvloop.run(_receive(int(sys.argv[1])))
