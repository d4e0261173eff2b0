"""The FastAPI app of a service: its router, its errors, its health, its documentation."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from billplane.chassis import docs, ids, logging, metrics
from billplane.chassis.errors import (
    BillplaneError,
    FieldError,
    Invalid,
    Kind,
    PeerError,
    problem_json,
)
from billplane.chassis.idempotency import Replay
from billplane.chassis.middleware import Middleware, internal_error
from billplane.chassis.openapi import document_of
from billplane.chassis.rest import TextError, escaped, refusal, request_id
from billplane.chassis.runtime import Runtime
from billplane.chassis.stripe_dialect.answers import answer_headers

_log = logging.get("rest")

_REASONS = {
    "extra_forbidden": "FIELD_UNKNOWN",
    "missing": "FIELD_REQUIRED",
    "json_invalid": "BODY_MALFORMED",
    "string_too_long": "FIELD_TOO_LONG",
    "string_too_short": "FIELD_TOO_SHORT",
}
_KIND_OF_STATUS = {
    400: Kind.MALFORMED,
    404: Kind.NOT_FOUND,
    405: Kind.METHOD_NOT_ALLOWED,
    413: Kind.TOO_LARGE,
    415: Kind.UNSUPPORTED_MEDIA_TYPE,
}
_PROBLEM = "application/problem+json"


def build(runtime: Runtime) -> Middleware:
    """Make the whole REST side of a service."""
    app = runtime.app
    api = FastAPI(
        title=f"Billplane {app.title}",
        description=app.description,
        version="v1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    api.state.runtime = runtime
    _add_error_handlers(api)
    if app.rest is not None:
        api.include_router(app.rest)
    raw = app.asgi(runtime) if app.asgi is not None else {}
    runtime.openapi = document_of(api, runtime)
    runtime.serve_open_path = _open_paths(runtime)
    return Middleware(runtime, api, raw)


def _add_error_handlers(api: FastAPI) -> None:
    @api.exception_handler(BillplaneError)
    async def refused(request: Request, error: BillplaneError) -> Response:
        return refusal(request, error)

    @api.exception_handler(Replay)
    async def replayed(request: Request, replay: Replay) -> Response:
        answer = replay.answer
        headers = {**answer.headers, "Idempotent-Replayed": "true"}
        if "billplane.refusal" in request.scope:
            version = request.headers.get("stripe-version", "")
            headers |= answer_headers(request_id(request), version, answer.status, passing=False)
        return Response(answer.body, answer.status, headers)

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return refusal(request, invalid_fields(error))

    @api.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        # FastAPI calls whatever stops the reading of a body malformed.
        if isinstance(error.__cause__, BillplaneError):
            return refusal(request, error.__cause__)
        kind = _KIND_OF_STATUS.get(error.status_code, Kind.INVALID_ARGUMENT)
        reason = {404: "ROUTE_NOT_FOUND", 400: "BODY_MALFORMED"}.get(error.status_code, kind.name)
        answer = refusal(request, PeerError(kind, reason, str(error.detail)))
        answer.headers.update(error.headers or {})
        if kind is Kind.METHOD_NOT_ALLOWED:
            answer.headers["Allow"] = ", ".join(_methods(api, request))
        return answer

    @api.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        _log.exception("request_failed", path=request.url.path, exc_info=error)
        return refusal(request, internal_error())


def _methods(api: FastAPI, request: Request) -> list[str]:
    """Return what may be done with a path: the framework names one operation's method alone."""
    found = {
        method
        for route in api.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in getattr(route, "methods", None) or ()
    }
    return sorted(found)


def invalid_fields(error: RequestValidationError) -> Invalid:
    """Return FastAPI's findings as our fields: JSON pointers for the body, names for the query."""
    return Invalid([_invalid_field(item) for item in error.errors()])


def _invalid_field(item: dict[str, Any]) -> FieldError:
    where, *path = item["loc"]
    kind, cause = str(item["type"]), item.get("ctx", {}).get("error")
    # A type of our own is its reason; one of pydantic's is looked up.
    reason = kind if kind.isupper() else _REASONS.get(kind, "FIELD_INVALID")
    detail = str(item["msg"]).removeprefix("Value error, ")
    if where != "body":
        return FieldError(".".join(str(part) for part in path), reason, detail)
    if reason == "BODY_MALFORMED":
        return FieldError("", reason, detail)
    # The key of a map is at fault as much as what it leads to: both have the map's place.
    pointer = "".join(f"/{escaped(part)}" for part in path if part != "[key]")
    if isinstance(cause, TextError):
        return FieldError(pointer + cause.pointer, "TEXT_INVALID", detail)
    return FieldError(pointer, reason, detail)


def _open_paths(runtime: Runtime) -> Any:
    """Serve health, metrics and documentation without FastAPI in between."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        response = await open_response(runtime, scope["path"])
        await response(scope, receive, send)

    return serve


async def open_response(runtime: Runtime, path: str) -> Response:
    """Answer one of the paths that need no credential."""
    if path in ("/health", "/health/live"):
        return JSONResponse({"status": "ok"})
    if path == "/health/ready":
        state = {"stopping": "yes"} if runtime.draining else await runtime.readiness()
        ready = all(value == "ok" for value in state.values())
        body: dict[str, Any] = {"status": "ok" if ready else "unavailable", "checks": state}
        # Requests go on without a broker: what they cause waits in the outbox.
        body["brokers"] = runtime.transport.states()
        return JSONResponse(body, 200 if ready else 503)
    if path == "/metrics":
        body_bytes, content_type = metrics.exposition()
        return Response(body_bytes, media_type=content_type)
    if path == "/openapi.json":
        return JSONResponse(runtime.openapi)
    if path == docs.PATH:
        return docs.page(runtime.app.title)
    return docs.asset(path) or _unknown(path)


def _unknown(path: str) -> Response:
    error = PeerError(Kind.NOT_FOUND, "ROUTE_NOT_FOUND", f"the documentation has no {path}")
    return Response(problem_json(error, ids.new("req")), 404, media_type=_PROBLEM)
