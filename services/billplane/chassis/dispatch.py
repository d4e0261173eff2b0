"""Finds the service of a request in a process that hosts several: by path, then by port."""

from typing import Any

from billplane.chassis import ids
from billplane.chassis.app import Asgi
from billplane.chassis.errors import Kind, PeerError
from billplane.chassis.middleware import is_open, send_problem
from billplane.chassis.runtime import Runtime


class Dispatch:
    """The ASGI app of the one REST server."""

    def __init__(
        self, runtimes: dict[str, Runtime], rest: dict[str, Asgi], ports: dict[int, str]
    ) -> None:
        self._rest = rest
        self._ports = ports
        self._front = rest.get("gateway")
        self._routes = sorted(
            ((route, name) for name, runtime in runtimes.items() for route in runtime.app.routes),
            key=lambda item: -len(item[0].prefix),
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        own = self._ports.get(scope["server"][1], "") if scope.get("server") else ""
        if not own and self._front is not None:
            await self._front(scope, receive, send)
            return
        path = scope["path"]
        name = own if own and is_open(path) else self.service_of(path)
        app = self._rest.get(name or own or next(iter(self._rest)))
        if app is None or (name is None and not own and not is_open(path)):
            await send_problem(
                send,
                PeerError(Kind.NOT_FOUND, "ROUTE_NOT_FOUND", f"no service answers {path}"),
                ids.new("req"),
            )
            return
        await app(scope, receive, send)

    def service_of(self, path: str) -> str | None:
        """Return the service of the longest route that the path falls under."""
        for route, name in self._routes:
            if route.matches(path):
                return name
        return None
