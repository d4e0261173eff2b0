"""Every service in one process, and references on the same server, for benches that load HTTP.

Run as `python -m bench.served`: it reads the environment of a platform, answers the references
below `/reference` and everything else as Billplane does, and writes a line once it is ready.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

import aiohttp
import asyncpg
import uvloop
from billplane import catalog
from billplane.chassis import logging
from billplane.chassis.app import Route
from billplane.chassis.auth import Principal
from billplane.chassis.host import Platform, settle_memory
from billplane.chassis.migrations import roles, runner
from billplane.chassis.routing import RoutingTable
from billplane.gateway.edge import load_routes
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from pydantic import BaseModel
from redis.asyncio import Redis

from bench.stores import Stores
from tests.fixtures.ports import free_port_offset

SECRET = "of-benchmarks-alone-and-long-enough-0123456789"  # noqa: S105 - nobody keeps anything there
TENANT = "ten_bench"
PASSWORD = "billplane"  # noqa: S105 - as above
# What the gateway leads to the static answer: with a key and a limit, and without.
BEHIND = ("/reference/behind", "/reference/open")
READY_SECONDS = 60
# No limit turns a request of a benchmark away.
UNLIMITED = "100000000"
# What the estimate's plan charges, in both designs: quantities up to a bound at a price.
CHARGED_METERS = 100
TIERS = (
    (Decimal(1000), Decimal("0.02")),
    (Decimal(5000), Decimal("0.015")),
    (None, Decimal("0.01")),
)
_SUMS = """
SELECT event_type, sum((data ->> 'quantity')::numeric) AS quantity FROM metering.usage_events
WHERE tenant_id = $1 AND livemode = false AND subject = $2 AND event_type LIKE 'bench-%'
  AND event_at >= $3 AND event_at < $4 GROUP BY event_type
"""


class Usage(BaseModel):
    """What the replaced engine takes."""

    customer_id: str
    resource_type: str
    quantity: float


@lru_cache(maxsize=1)
def _pool() -> "asyncio.Task[Any]":
    url = os.environ["BILLPLANE_ADMIN_DATABASE_URL"]
    return asyncio.ensure_future(asyncpg.create_pool(url, min_size=5, max_size=10))


async def database() -> Any:
    """Return the references' own connections to the same database."""
    return await _pool()


def amount_minor(quantity: Decimal) -> int:
    """Price a quantity by tiers, rounded once."""
    amount, reached = Decimal(0), Decimal(0)
    for up_to, price in TIERS:
        bound = quantity if up_to is None else min(quantity, up_to)
        if bound > reached:
            amount += (bound - reached) * price
            reached = bound
    return int((amount * 100).quantize(Decimal(1), ROUND_HALF_UP))


def references(redis: "Redis") -> FastAPI:
    """Make what Billplane is measured against: the designs that it replaced."""
    app = FastAPI(openapi_url=None)

    async def key_and_limit(request: Request, authorization: str = Header()) -> str:
        key = authorization.removeprefix("Bearer ")
        tenant = await redis.hget("reference:keys", key)
        if tenant is None:
            raise HTTPException(401)
        window = f"reference:limit:{tenant.decode()}"
        count = await redis.incr(window)
        if count == 1:
            await redis.expire(window, 1)
        if count > int(UNLIMITED):
            raise HTTPException(429)
        return tenant.decode()

    @app.post("/reference/usage", status_code=202)
    async def record(usage: Usage) -> dict[str, str]:
        await redis.incrbyfloat(f"usage:{usage.customer_id}:{usage.resource_type}", usage.quantity)
        return {"status": "accepted"}

    @app.get("/reference/estimate/{customer_id}")
    async def estimate(customer_id: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        starts_at = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        async with (await database()).acquire() as connection:
            rows = await connection.fetch(_SUMS, TENANT, customer_id, starts_at, now)
        lines = [
            {"resource_type": row["event_type"], "quantity": str(row["quantity"])}
            | {"amount_minor": amount_minor(row["quantity"])}
            for row in rows
        ]
        total = sum(line["amount_minor"] for line in lines)
        return {"customer_id": customer_id, "lines": lines, "total_minor": total}

    @app.get("/reference/limited")
    async def limited(tenant: str = Depends(key_and_limit)) -> dict[str, str]:
        return {"status": "ok"}

    return app


async def static(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200 and do nothing else."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"15")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"status":"ok"}'})


class Served(Platform):
    """The platform, with references before its own paths."""

    async def _start_rest(self, sockets: Any) -> None:
        own = self.dispatch
        redis: Any = Redis.from_url(self.settings.redis_url)
        app = references(redis)
        await redis.hset("reference:keys", os.environ["BENCH_KEY"], TENANT)
        # The gateway leads to the same handler that answers without it.
        edge: Any = self.runtimes["gateway"].peers_in_process["gateway"]
        behind = Route("/reference/behind")
        public = Route("/reference/open", "none", public=True)
        edge._routes = RoutingTable([*load_routes(), (behind, "reference"), (public, "reference")])
        edge._runtime.peers_in_process["reference"] = static

        async def dispatch(scope: Any, receive: Any, send: Any) -> None:
            path = scope.get("path", "")
            if path == "/reference/static":
                await static(scope, receive, send)
            elif path.startswith("/reference/") and path not in BEHIND:
                await app(scope, receive, send)
            else:
                await own(scope, receive, send)

        self.dispatch: Any = dispatch
        await super()._start_rest(sockets)


@dataclass
class Running:
    """A platform that runs in a process of its own, and how to call it."""

    pid: int
    url: str
    key: str
    http: aiohttp.ClientSession

    async def call(self, method: str, path: str, body: Any = None, expect: int = 200) -> Any:
        """Send one request; return the JSON body."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.http.request(method, self.url + path, json=body, headers=headers) as answer:
            if answer.status != expect:
                raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json(content_type=None)


@asynccontextmanager
async def open_platform(stores: Stores) -> AsyncIterator[Running]:
    """Migrate a database and run the platform on it in a process of its own, with an API key."""
    names = list(catalog.SERVICES)
    await roles.init_database(stores.postgres_admin_url, names, "billplane", PASSWORD)
    await runner.migrate(stores.postgres_admin_url, names)
    where = stores.postgres_admin_url.split("@", 1)[1]
    offset = free_port_offset()
    environ = {
        "BILLPLANE_DATABASE_URL": f"postgresql://billplane:{PASSWORD}@{where}",
        "BILLPLANE_ADMIN_DATABASE_URL": stores.postgres_admin_url,
        "BILLPLANE_REDIS_URL": stores.valkey_url,
        "BILLPLANE_JWT_SECRET": SECRET,
        "BILLPLANE_PORT_OFFSET": str(offset),
        "BILLPLANE_LOG_LEVEL": "WARNING",
        "BILLPLANE_GATEWAY_READS_PER_SECOND": UNLIMITED,
        "BILLPLANE_GATEWAY_WRITES_PER_SECOND": UNLIMITED,
        "BILLPLANE_GATEWAY_USAGE_EVENTS_PER_SECOND": UNLIMITED,
        "BILLPLANE_METERING_EVENTS_WAITING_MAX": UNLIMITED,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.served"),
        env={**os.environ, **environ, "BENCH_KEY": "reference-key"},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(READY_SECONDS):
            key = (await process.stdout.readline()).decode().strip()
        if not key:
            raise RuntimeError("the platform did not start")
        async with aiohttp.ClientSession() as http:
            yield Running(process.pid, f"http://127.0.0.1:{8080 + offset}", key, http)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def make_key(platform: Platform) -> str:
    """Make an API key of the benchmark's tenant, as a user would."""
    owner = Principal("user:usr_bench", TENANT, livemode=False, scopes=frozenset({"*"}))
    port = 8080 + platform.settings.port_offset
    headers = {"Authorization": f"Bearer {platform.tokens.mint(owner)}"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"http://127.0.0.1:{port}/auth/api_keys", json={"name": "bench"}, headers=headers
        ) as answer,
    ):
        made = await answer.json()
        return str(made["key"])


async def main() -> None:
    logging.configure("WARNING", "json")
    platform = Served([catalog.load(name) for name in catalog.SERVICES])
    await platform.start()
    settle_memory()
    sys.stdout.write(await make_key(platform) + "\n")
    sys.stdout.flush()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(15, stopping.set)
    await stopping.wait()
    await platform.stop()


if __name__ == "__main__":
    uvloop.run(main())
