"""A program that hears of events, as a developer would run it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Heard:
    """One request that came in."""

    headers: dict[str, str]
    body: bytes
    path: str


@dataclass
class Hook:
    """A server that keeps what it hears; `answer` decides what it says to it."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answer: Callable[[Heard], Awaitable[Any]] | None = None

    async def take(self, request: web.Request) -> web.Response:
        """Keep a request and answer it."""
        heard = Heard(dict(request.headers), await request.read(), request.path)
        self.heard.append(heard)
        said = await self.answer(heard) if self.answer is not None else 200
        return said if isinstance(said, web.Response) else web.Response(status=said)

    async def count(self, number: int, seconds: float = 20) -> list[Heard]:
        """Wait until so many requests came in."""
        async with asyncio.timeout(seconds):
            while len(self.heard) < number:
                await asyncio.sleep(0.01)
        return self.heard


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    """Run such a program on a port of its own."""
    found = Hook()
    app = web.Application(client_max_size=1 << 22)
    app.router.add_route("*", "/{path:.*}", found.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    found.url = f"http://127.0.0.1:{port}"
    try:
        yield found
    finally:
        await runner.cleanup()
