"""What stands before every REST app: request id, body limit, credential, one log line."""

import re
import time
from collections.abc import Iterable
from typing import Any

from opentelemetry import context as trace_context
from opentelemetry import trace
from opentelemetry.propagate import extract
from prometheus_client import Counter
from structlog.contextvars import bound_contextvars

from billplane.chassis import acting, docs, ids, logging, metrics
from billplane.chassis.app import Asgi, Route
from billplane.chassis.auth import Principal
from billplane.chassis.errors import BillplaneError, BodyTooLarge, Kind, problem_json
from billplane.chassis.routing import prepare_refusal
from billplane.chassis.runtime import Runtime
from billplane.chassis.stripe_dialect.answers import send_refusal

_log = logging.get("rest")
_tracer = trace.get_tracer("billplane")
_REQUEST_ID = re.compile(r"[!-~]{1,128}\Z")
OPEN_PATHS = ("/health", "/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json")
_OPEN = frozenset(OPEN_PATHS)


def is_open(path: str) -> bool:
    """Tell whether a path needs no credential and belongs to every service."""
    return path in _OPEN or docs.covers(path)


class Middleware:
    """Wraps the REST app of one service.

    What the gateway of the same process lets through is not looked at twice: it puts whom it found
    into the scope, where no client can write, and its own answer notes the status.
    """

    def __init__(self, runtime: Runtime, app: Asgi, raw: dict[str, Asgi]) -> None:
        self._runtime = runtime
        self._app = app
        self._raw = raw
        self._limit = runtime.settings.body_limit_bytes
        self._seconds = metrics.REQUEST_SECONDS.labels(runtime.name)
        self._answered: dict[tuple[str, int], Counter] = {}
        self._dialect = [route for route in runtime.app.routes if route.dialect == "stripe"]
        self.openapi = runtime.openapi

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        runtime, path = self._runtime, scope["path"]
        admitted = "billplane.principal" in scope
        if admitted:
            answer: Answer = send
        else:
            headers: dict[bytes, bytes] = dict(scope["headers"])
            answer = Answer(send, request_id_of(headers))
            scope["billplane.request_id"] = answer.request_id
            scope["billplane.headers"] = headers
            if runtime.serve_open_path is not None and is_open(path):
                await runtime.serve_open_path(scope, receive, send)
                return
        started = time.perf_counter()
        headers, request_id = scope["billplane.headers"], answer.request_id
        prepare_refusal(scope, match(self._dialect, path) if self._dialect else None)
        limited = Limited(receive, self._limit)
        try:
            check_length(headers, self._limit)
            if not admitted:
                scope["billplane.principal"] = await self._principal(path, headers)
            principal: Principal | None = scope["billplane.principal"]
            acting.note_action(principal, f"{scope['method']} {path}")
            raw = self._raw.get(path)
            if raw is not None:
                # What a raw route leaves to FastAPI, it gives back as it was received.
                unread = await raw(scope, limited, answer)
                if unread is None:
                    return
                limited = unread
            token = trace_context.attach(extract(_text_headers(headers)))
            try:
                with (
                    _tracer.start_as_current_span(f"{scope['method']} {path}") as span,
                    bound_contextvars(
                        service=runtime.name,
                        request_id=request_id,
                        tenant_id=principal.tenant_id if principal else "",
                        trace_id=format(span.get_span_context().trace_id, "032x"),
                    ),
                ):
                    await self._app(scope, limited, answer)
                    seconds = time.perf_counter() - started
                    _log.info(
                        "request_answered",
                        method=scope["method"],
                        path=path,
                        status=answer.status,
                        milliseconds=round(seconds * 1000, 1),
                    )
            finally:
                trace_context.detach(token)
        except BillplaneError as error:
            if answer.status:
                raise
            await send_refused(scope, answer, error)
        except Exception as error:
            # FastAPI has logged and answered what it met, and passes it on all the same.
            if not answer.status:
                _log.exception("request_failed", path=path, request_id=request_id, exc_info=error)
                await send_refused(scope, answer, internal_error())
        finally:
            self._count(scope["method"], answer.status, time.perf_counter() - started)

    def _count(self, method: str, status: int, seconds: float) -> None:
        """Note an answer; looking the labels up each time would cost more than the rest."""
        counter = self._answered.get((method, status))
        if counter is None:
            counter = metrics.REQUESTS.labels(self._runtime.name, method, status)
            self._answered[method, status] = counter
        counter.inc()
        self._seconds.observe(seconds)

    async def _principal(self, path: str, headers: dict[bytes, bytes]) -> Principal | None:
        runtime = self._runtime
        try:
            return await runtime.authenticator.authenticate(*credentials_of(headers))
        except BillplaneError:
            route = match(runtime.app.routes, path)
            if route is not None and route.public:
                return None
            raise


def credentials_of(headers: dict[bytes, bytes]) -> tuple[str, bool, str, str]:
    """Return what tells who calls, as `authenticate` takes it."""
    return (
        headers.get(b"authorization", b"").decode("latin-1"),
        headers.get(b"billplane-livemode") == b"true",
        headers.get(b"x-admin-key", b"").decode("latin-1"),
        headers.get(b"billplane-tenant", b"").decode("latin-1"),
    )


def request_id_of(headers: dict[bytes, bytes]) -> str:
    """Return the caller's request id when it is a sane one, else a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _REQUEST_ID.match(text := given.decode("latin-1")):
        return text
    return ids.new("req")


def check_length(headers: dict[bytes, bytes], limit: int) -> None:
    """Refuse a body whose announced length is over the limit.

    Raises: BodyTooLarge.
    """
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > limit:
        raise too_large(limit)


class Answer:
    """Notes the status and adds the request id."""

    def __init__(self, send: Any, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status = 0

    async def __call__(self, message: Any) -> None:
        """Pass a message of the answer on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self.headers(message.get("headers", ()))
        await self._send(message)

    def headers(self, given: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the headers to answer with."""
        headers = [item for item in given if item[0] != b"x-request-id"]
        headers.append((b"x-request-id", self.request_id.encode()))
        return headers


class Limited:
    """Refuses a body that grows over the limit while it is read."""

    def __init__(self, receive: Any, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self._limit = limit

    async def __call__(self) -> Any:
        """Receive a message of the request."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise too_large(self._limit)
        return message


def internal_error() -> BillplaneError:
    """Make the error that hides what went wrong inside."""
    return BillplaneError("an internal error; the log has it under this request id")


def too_large(limit: int) -> BodyTooLarge:
    """Make the error for a body over the limit."""
    return BodyTooLarge(f"the body may have at most {limit} bytes", metadata={"limit_bytes": limit})


def match(routes: Any, path: str) -> Route | None:
    """Return the longest route that a path falls under."""
    found: Route | None = None
    for route in routes:
        if route.matches(path) and (found is None or len(route.prefix) > len(found.prefix)):
            found = route
    return found


async def send_refused(scope: Any, send: Any, error: BillplaneError) -> None:
    """Answer with an error in the dialect that the request speaks."""
    request_id: str = scope["billplane.request_id"]
    if "billplane.refusal" not in scope:
        await send_problem(send, error, request_id)
        return
    version = scope["billplane.headers"].get(b"stripe-version", b"").decode("latin-1")
    await send_refusal(send, error, request_id, version)


async def send_problem(send: Any, error: BillplaneError, request_id: str) -> None:
    """Answer with problem+json."""
    body = problem_json(error, request_id)
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
    ]
    if error.retry_after_seconds is not None:
        headers.append((b"retry-after", str(error.retry_after_seconds).encode()))
    if error.kind is Kind.METHOD_NOT_ALLOWED:
        headers.append((b"allow", str(error.metadata.get("allow", "")).encode()))
    if error.kind.http_status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="billplane"'))
    await send(
        {"type": "http.response.start", "status": error.kind.http_status, "headers": headers}
    )
    await send({"type": "http.response.body", "body": body})


def _text_headers(headers: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
