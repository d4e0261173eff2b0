"""Finds the service of a request in a process that hosts several: by path, then by port."""

from typing import Any

from billplane.chassis import ids
from billplane.chassis.app import Asgi
from billplane.chassis.errors import Kind, PeerError
from billplane.chassis.middleware import is_open, send_refused
from billplane.chassis.routing import RoutingTable, prepare_refusal
from billplane.chassis.runtime import Runtime


class Dispatch:
    """The ASGI app of the one REST server."""

    def __init__(
        self, runtimes: dict[str, Runtime], rest: dict[str, Asgi], ports: dict[int, str]
    ) -> None:
        self._rest = rest
        self._ports = ports
        self._front = rest.get("gateway")
        self._routes = RoutingTable(
            (route, name) for name, runtime in runtimes.items() for route in runtime.app.routes
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        own = self._ports.get(scope["server"][1], "") if scope.get("server") else ""
        if self._front is not None and own in ("", "gateway"):
            await self._front(scope, receive, send)
            return
        if scope["type"] == "websocket":
            # Before a connection was accepted, a close refuses it.
            await send({"type": "websocket.close", "code": 1000})
            return
        path, headers = scope["path"], dict(scope["headers"])
        if is_open(path):
            name = own
        else:
            found = self._routes.find(path, headers)
            name = found[1] if found is not None else own
        app = self._rest.get(name or next(iter(self._rest)))
        if app is None or (not name and not is_open(path)):
            scope["billplane.request_id"], scope["billplane.headers"] = ids.new("req"), headers
            prepare_refusal(scope, None)
            unknown = PeerError(Kind.NOT_FOUND, "ROUTE_NOT_FOUND", f"no service answers {path}")
            await send_refused(scope, send, unknown)
            return
        await app(scope, receive, send)
