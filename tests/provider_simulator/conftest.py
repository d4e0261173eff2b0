"""A simulated utility that serves in the test's process, at a time of the test's choosing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
import uvicorn
from billplane.chassis.clock import FixedClock
from billplane.provider_simulator.app import create
from billplane.provider_simulator.settings import ProviderSimulatorSettings

from tests.fixtures.ports import free_port

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


@dataclass
class RunningUtility:
    """A utility and a client of it."""

    url: str
    http: aiohttp.ClientSession
    clock: FixedClock

    async def ask(
        self, method: str, path: str, *, expect: int | None = 200, token: str = "", **options: Any
    ) -> Any:
        """Send a request; return the JSON of the answer."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.request(method, self.url + path, headers=headers, **options) as answer:
            text = await answer.text()
            assert answer.status == expect, f"{answer.status}: {text}"
            return await answer.json() if text else None

    async def log_in(self, username: str = "customer-2@x", password: str = "") -> str:
        """Return the token of a session; an ordinary customer's password follows from its name."""
        number = username.partition("@")[0].rpartition("-")[2]
        body = {"username": username, "password": password or f"password-{number}"}
        return str((await self.ask("POST", "/v1/session", json=body))["token"])

    async def bills(self, account: str, token: str, query: str = "limit=100") -> Any:
        """Return a page of an account's bills."""
        return await self.ask("GET", f"/v1/accounts/{account}/bills?{query}", token=token)


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[RunningUtility]:
    """Run a utility until the block ends."""
    clock, port = FixedClock(NOW), free_port()
    app = create(ProviderSimulatorSettings(**settings), clock)
    config = uvicorn.Config(app, port=port, log_config=None, lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    async with aiohttp.ClientSession() as http:
        yield RunningUtility(f"http://127.0.0.1:{port}", http, clock)
    server.should_exit = True
    await serving


@pytest.fixture
def run_utility() -> Callable[..., AbstractAsyncContextManager[RunningUtility]]:
    """Give the context manager that runs a utility."""
    return running


@pytest.fixture
async def utility() -> AsyncIterator[RunningUtility]:
    """Give a utility with its default settings."""
    async with running(slow_seconds=0.4) as found:
        yield found
