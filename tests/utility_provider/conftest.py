"""A utility on this machine that answers as it is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web


@dataclass
class Utility:
    """A server; `status` is what it answers, `asked` the requests it saw."""

    url: str = ""
    status: int = 200
    delay_seconds: float = 0
    asked: list[web.BaseRequest] = field(default_factory=list)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Answer any path alike."""
        self.asked.append(request)
        await asyncio.sleep(self.delay_seconds)
        return web.json_response({"status": "ok"}, status=self.status)


@pytest.fixture
async def utility() -> AsyncIterator[Utility]:
    """Give a utility that listens on a port of its own."""
    found = Utility()
    runner = web.ServerRunner(web.Server(found.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    found.url = f"http://127.0.0.1:{port}"
    yield found
    await runner.cleanup()
