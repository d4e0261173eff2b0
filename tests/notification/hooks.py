"""A program that hears of events, as a developer would run it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.chassis.waiting import eventually


async def until(seen: Callable[[], Any], seconds: float = 20) -> None:
    """Wait until something is so."""

    async def look() -> Any:
        return seen()

    await eventually(look, seconds)


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

    def different(self) -> int:
        """Count the different events that came."""
        return len({item.headers.get("webhook-id") for item in self.heard})

    async def take(self, request: web.Request) -> web.Response:
        """Keep a request and answer it."""
        heard = Heard(dict(request.headers), await request.read(), request.path)
        self.heard.append(heard)
        said = await self.answer(heard) if self.answer is not None else 200
        return said if isinstance(said, web.Response) else web.Response(status=said)

    async def count(self, number: int, seconds: float = 20) -> list[Heard]:
        """Wait until so many requests came in."""
        await until(lambda: len(self.heard) >= number, seconds)
        return self.heard


@asynccontextmanager
async def hook(port: int = 0) -> AsyncIterator[Hook]:
    """Run such a program on a port, one of its own where none is given."""
    found = Hook()
    app = web.Application(client_max_size=1 << 22)
    app.router.add_route("*", "/{path:.*}", found.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=2048)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    found.url = f"http://127.0.0.1:{port}"
    try:
        yield found
    finally:
        await runner.cleanup()
