"""The door: credential, limit, route; then the service, in this process or another."""

import asyncio
import json
import time
from collections.abc import Iterable
from importlib import resources
from typing import Any

import aiohttp
from yarl import URL

from billplane.chassis import logging
from billplane.chassis.app import Asgi, Route
from billplane.chassis.auth import Principal
from billplane.chassis.errors import BillplaneError, CredentialMissing, RateLimited
from billplane.chassis.middleware import (
    Answer,
    Limited,
    check_length,
    credentials_of,
    internal_error,
    is_open,
    request_id_of,
    send_refused,
)
from billplane.chassis.rest_app import open_response
from billplane.chassis.routing import RoutingTable, prepare_refusal
from billplane.chassis.runtime import Runtime
from billplane.gateway import peers
from billplane.gateway.cache import Limiter
from billplane.gateway.domain import Lease, Limit, merged
from billplane.gateway.errors import (
    DemoDisabled,
    RouteNotFound,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from billplane.gateway.settings import GatewaySettings
from billplane.gateway.stream import PATH, Refusing, Streams

_log = logging.get("gateway")

EVENTS_HEADER = b"x-billplane-events"
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host"}
)
_REPLACED = frozenset({b"authorization", b"x-admin-key", b"billplane-tenant", b"x-request-id"})
_EXPOSED = (
    b"location, retry-after, x-request-id, ratelimit-limit, ratelimit-remaining, ratelimit-reset"
)
_DEMO_SCOPES = frozenset({"usage:read", "usage:write", "billing:read"})
_DEMO_SECONDS = 5.0


class Edge:
    """The ASGI app of port 8080."""

    def __init__(self, runtime: Runtime) -> None:
        settings: GatewaySettings = runtime.settings  # type: ignore[assignment]
        self._runtime = runtime
        self._settings = settings
        self._limiter = Limiter(runtime.redis)
        self._streams = Streams(runtime)
        self._routes = RoutingTable(load_routes())
        self._limits = {
            "read": Limit("reads", settings.reads_per_second, settings.reads_per_second * 10),
            "write": Limit("writes", settings.writes_per_second, settings.writes_per_second * 10),
            "usage": Limit(
                "usage_events",
                settings.usage_events_per_second,
                settings.usage_events_per_second * 5,
            ),
            "login": Limit("logins", settings.logins_per_minute, settings.logins_per_minute, 60),
        }
        self._demo_known_at = float("-inf")
        self._demo_disabled = False
        self._http: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = request_id_of(headers)
        if scope["type"] == "websocket":
            scope["method"], send = "GET", Refusing(send)
        answer = _Door(self, send, request_id, headers)
        scope["billplane.request_id"] = request_id
        scope["billplane.headers"] = headers
        path = scope["path"]
        try:
            if is_open(path):
                await (await open_response(self._runtime, path))(scope, receive, answer)
                return
            if self._settings.cors_origins and await self._preflight(scope, headers, answer):
                return
            prepare_refusal(scope, None)
            found = self._routes.find(path, headers)
            if found is None or (scope["type"] == "websocket" and path != PATH):
                raise RouteNotFound(f"no service answers {path}; /docs lists what there is")
            route, service = found
            prepare_refusal(scope, route)
            check_length(headers, self._settings.body_limit_bytes)
            principal = await self._principal(route, headers)
            await self._limit(answer, scope, route, principal)
            if service == self._runtime.name and principal is not None:
                await self._streams.serve(scope, receive, answer, principal, headers)
                return
            await self._forward(scope, receive, answer, service, principal, request_id)
        except BillplaneError as error:
            if not answer.status:
                await send_refused(scope, answer, error)
        except Exception as error:
            _log.exception("request_failed", path=path, request_id=request_id, exc_info=error)
            if not answer.status:
                await send_refused(scope, answer, internal_error())

    async def _principal(self, route: Route, headers: dict[bytes, bytes]) -> Principal | None:
        credentials = credentials_of(headers)
        authorization = credentials[0]
        if route.public and not authorization:
            return None
        try:
            return await self._runtime.authenticator.authenticate(*credentials)
        except BillplaneError as error:
            if route.public:
                return None
            missing = isinstance(error, CredentialMissing) and not authorization
            if missing and route.demo and self._settings.demo_tenant:
                return await self._demo()
            raise

    async def _demo(self) -> Principal:
        """Return the demo tenant's principal.

        Raises: DemoDisabled once the tenant has a live key.
        """
        tenant = self._settings.demo_tenant
        now = time.monotonic()
        if now - self._demo_known_at > _DEMO_SECONDS:
            self._demo_disabled = await peers.ensure_tenant(self._runtime, tenant)
            self._demo_known_at = now
        if self._demo_disabled:
            raise DemoDisabled("this tenant has a live key: send `Authorization: Bearer <key>`")
        return Principal("key:demo", tenant, livemode=False, scopes=_DEMO_SCOPES)

    async def _limit(
        self, answer: "_Door", scope: Any, route: Route, principal: Principal | None
    ) -> None:
        """Let the call through and tell the answer what is left.

        Raises: RateLimited with the time to wait.
        """
        if route.limit == "none" or (principal is not None and principal.unlimited):
            return
        if principal is None:
            client = scope.get("client") or ("",)
            who, limit = str(client[0]), self._limits["login"]
        else:
            who = _account(principal)
            name: str = route.limit
            if name in ("read_write", "login"):
                name = "read" if scope["method"] in ("GET", "HEAD", "OPTIONS") else "write"
            limit = self._limits[name]
        lease, allowed = await self._limiter.take(who, limit)
        answer.limited = (who, limit, lease)
        if not allowed:
            raise RateLimited(
                f"more than {limit.rate} {limit.name} in {limit.period_seconds} s",
                retry_after_seconds=lease.waits(limit, 1),
                metadata={"limit": limit.rate, "class": limit.name},
            )

    def reached(self, service: str, document: dict[str, Any]) -> dict[str, Any]:
        """Leave out what only a request in another dialect reaches: the path is another's."""
        paths = {
            path: operations
            for path, operations in document.get("paths", {}).items()
            if (found := self._routes.find(path, {})) is None or found[1] == service
        }
        return {**document, "paths": paths}

    def charge(self, who: str, limit: Limit, events: int) -> None:
        """Count the further events that one request carried."""
        if events > 1:
            self._limiter.charge(who, limit, events - 1)

    async def _forward(
        self,
        scope: Any,
        receive: Any,
        send: Any,
        service: str,
        principal: Principal | None,
        request_id: str,
    ) -> None:
        app: Asgi | None = self._runtime.peers_in_process.get(service)
        if app is not None:
            scope["billplane.principal"] = principal
            await app(scope, receive, send)
            return
        headers = [item for item in scope["headers"] if item[0] not in _REPLACED]
        if principal is not None:
            token = self._runtime.tokens.mint(principal)
            headers.append((b"authorization", b"Bearer " + token.encode()))
        headers.append((b"x-request-id", request_id.encode()))
        limited = Limited(receive, self._settings.body_limit_bytes)
        await self._proxy(scope, limited, send, service, headers)

    async def _proxy(
        self, scope: Any, receive: Any, send: Any, service: str, headers: list[Any]
    ) -> None:
        """Stream the request to a service in another process and its answer back.

        Raises: UpstreamUnavailable, UpstreamTimeout.
        """
        if self._http is None:
            self._http = aiohttp.ClientSession(
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=self._settings.upstream_timeout_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        host = service.replace("_", "-")
        # As the client wrote it: decoded, %3F would begin a query and %2F a part of the path.
        target = b"?".join(filter(None, (scope["raw_path"], scope["query_string"])))
        url = f"http://{host}:{self._settings.upstream_port}{target.decode('latin-1')}"
        names = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in headers
            if name.decode("latin-1") not in _HOP_BY_HOP
        ]
        try:
            async with self._http.request(
                scope["method"],
                URL(url, encoded=True),
                headers=names,
                data=_body(receive) if _has_body(headers) else None,
                allow_redirects=False,
            ) as upstream:
                await send(
                    {
                        "type": "http.response.start",
                        "status": upstream.status,
                        "headers": [
                            (name.lower().encode(), value.encode("latin-1"))
                            for name, value in upstream.headers.items()
                            if name.lower() not in _HOP_BY_HOP
                        ],
                    }
                )
                async for chunk in upstream.content.iter_chunked(65_536):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            raise UpstreamTimeout(f"{service} did not answer in time") from None
        except aiohttp.ClientConnectionError as error:
            if isinstance(error.__cause__, BillplaneError):  # the body was refused on its way
                raise error.__cause__ from None
            raise UpstreamUnavailable(
                f"{service} cannot be reached", retry_after_seconds=1
            ) from None

    async def _preflight(self, scope: Any, headers: dict[bytes, bytes], send: Any) -> bool:
        """Answer a CORS preflight; True when it was one."""
        asked = headers.get(b"access-control-request-method")
        if scope["method"] != "OPTIONS" or asked is None:
            return False
        allowed = [
            (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
            (
                b"access-control-allow-headers",
                headers.get(b"access-control-request-headers", b"authorization, content-type"),
            ),
            (b"access-control-max-age", b"600"),
        ]
        await send({"type": "http.response.start", "status": 204, "headers": allowed})
        await send({"type": "http.response.body", "body": b""})
        return True

    def cors(self, headers: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """Return the headers that let a page of an allowed origin read the answer."""
        origin = headers.get(b"origin")
        allowed = self._settings.cors_origins
        if origin is None or ("*" not in allowed and origin.decode("latin-1") not in allowed):
            return []
        return [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"Origin"),
        ]

    def prepare_soon(self) -> None:
        """Make the demo tenant as soon as identity answers."""
        self._preparing = asyncio.create_task(self._prepare())

    async def close(self) -> None:
        """Close connections to other processes."""
        await self._streams.close()
        self._preparing.cancel()
        if self._http is not None:
            await self._http.close()

    async def _prepare(self) -> None:
        if self._settings.demo_tenant:
            try:
                await self._demo()
            except BillplaneError as error:
                _log.info("demo_tenant_waits", reason=error.reason)


class _Door(Answer):
    """Adds the limit's and CORS' headers, and takes internal ones away."""

    def __init__(self, edge: Edge, send: Any, request_id: str, headers: dict[bytes, bytes]) -> None:
        super().__init__(send, request_id)
        self._edge = edge
        self._asked = headers
        self.limited: tuple[str, Limit, Lease] | None = None

    def headers(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the headers to answer with."""
        headers, events = [], 1
        for item in given:
            if item[0] == EVENTS_HEADER:
                events = int(item[1])
            elif item[0] != b"x-request-id":
                headers.append(item)
        headers.append((b"x-request-id", self.request_id.encode()))
        if self.limited is not None:
            who, limit, lease = self.limited
            self._edge.charge(who, limit, events)
            headers += (
                (b"ratelimit-limit", b"%d" % limit.rate),
                (b"ratelimit-remaining", b"%d" % max(0, lease.left + lease.remaining)),
                (b"ratelimit-reset", b"%d" % max(0, round(lease.reset_seconds))),
            )
        if b"origin" in self._asked:
            headers += self._edge.cors(self._asked)
        return headers


def _account(principal: Principal) -> str:
    return f"{principal.tenant_id}:{'live' if principal.livemode else 'test'}"


def _has_body(headers: list[Any]) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in headers)


async def _body(receive: Any) -> Any:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body"):
            return


def load_routes() -> list[tuple[Route, str]]:
    """Read the routing table, which is generated from the services' declarations."""
    text = (resources.files("billplane.gateway") / "data" / "routes.json").read_text("utf-8")
    return [
        (
            Route(
                row["prefix"],
                row["limit"],
                public=row["public"],
                demo=row["demo"],
                dialect=row["dialect"],
            ),
            row["service"],
        )
        for row in json.loads(text)
    ]


async def open_edge(runtime: Runtime) -> Edge:
    """Finish the door once every service of the process is there."""
    edge: Edge = runtime.peers_in_process["gateway"]
    documents = {
        name: app.openapi
        for name, app in runtime.peers_in_process.items()
        if getattr(app, "openapi", None)
    }
    runtime.openapi = merged(
        {name: edge.reached(name, document) for name, document in documents.items()}
    )
    edge.prepare_soon()
    return edge
