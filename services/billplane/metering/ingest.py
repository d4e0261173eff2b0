"""The two hot doors of usage, raw ASGI beside FastAPI: CloudEvents, and the kept path."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import msgspec

from billplane.chassis import ids
from billplane.chassis.auth import Principal
from billplane.chassis.errors import BillplaneError, MalformedBody
from billplane.chassis.middleware import send_problem
from billplane.chassis.runtime import Runtime
from billplane.metering.cache import ACCEPTED
from billplane.metering.errors import MediaTypeUnsupported, NotPost
from billplane.metering.service import reading
from billplane.metering.service.intake import Intake

EVENTS_HEADER = b"x-billplane-events"
_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode
_Handler = Callable[[Runtime, Principal, dict[bytes, bytes], bytes], Awaitable[tuple[Any, int]]]


class Result(msgspec.Struct):
    """What became of one event."""

    index: int
    id: str
    status: str


class Accepted(msgspec.Struct):
    """What became of a request's events."""

    accepted: int
    duplicates: int
    results: list[Result]


class KeptAccepted(msgspec.Struct):
    """What became of the event of the kept path."""

    event_id: str
    status: str


def routes(runtime: Runtime) -> dict[str, Any]:
    """Return the raw routes of metering."""
    return {
        "/v1/usage_events": _door(runtime, take_events),
        "/api/v1/usage": _door(runtime, take_kept),
    }


def _door(runtime: Runtime, handle: _Handler) -> Any:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        try:
            if scope["method"] != "POST":
                raise NotPost("use POST", metadata={"allow": "POST"})
            principal: Principal = scope["billplane.principal"]
            principal.require("usage:write")
            headers: dict[bytes, bytes] = scope["billplane.headers"]
            check_media_type(headers)
            body = await _read(receive)
            answer, events = await handle(runtime, principal, headers, body)
        except BillplaneError as error:
            await send_problem(send, error, scope["billplane.request_id"])
            return
        encoded = _encode(answer)
        length = (b"content-length", b"%d" % len(encoded))
        start = [_JSON, length, (EVENTS_HEADER, b"%d" % events)]
        await send({"type": "http.response.start", "status": 202, "headers": start})
        await send({"type": "http.response.body", "body": encoded})

    return serve


async def take_events(
    runtime: Runtime, principal: Principal, headers: dict[bytes, bytes], body: bytes
) -> tuple[Any, int]:
    """Take one or many CloudEvents: structured, batched or binary mode.

    Source: CloudEvents 1.0, HTTP protocol binding 3.1 to 3.3.
    """
    intake: Intake = runtime.state.intake
    now = runtime.clock.now()
    if b"ce-id" in headers or b"ce-type" in headers:
        event = _binary(headers, body)
        items = await reading.check_events(intake.meters, principal, [event], now, single=True)
    else:
        items = await reading.read_events(intake.meters, principal, body, now)
    statuses = await intake.take(principal, items)
    accepted = statuses.count(ACCEPTED)
    results = [
        Result(index, item.id, "accepted" if status == ACCEPTED else "duplicate")
        for index, (item, status) in enumerate(zip(items, statuses, strict=True))
    ]
    return Accepted(accepted, len(items) - accepted, results), len(items)


async def take_kept(
    runtime: Runtime, principal: Principal, headers: dict[bytes, bytes], body: bytes
) -> tuple[Any, int]:
    """Take one quantity as callers of the kept path send it."""
    intake: Intake = runtime.state.intake
    key = headers.get(b"idempotency-key")
    event_id = ids.new("evt") if key is None else key.decode("latin-1")
    item = await reading.read_kept(intake.meters, principal, body, event_id, runtime.clock.now())
    (status,) = await intake.take(principal, [item])
    return KeptAccepted(item.id, "accepted" if status == ACCEPTED else "duplicate"), 1


def check_media_type(headers: dict[bytes, bytes]) -> None:
    """Refuse a body that says it is not plain JSON; one that says nothing is read as JSON.

    Raises: MediaTypeUnsupported.
    """
    media_type = headers.get(b"content-type", b"application/json")
    if b"json" not in media_type and not media_type.startswith(b"application/x-www-form"):
        raise MediaTypeUnsupported("the body must be JSON")
    if b"content-encoding" in headers:
        raise MediaTypeUnsupported("the body must not be compressed")


def _binary(headers: dict[bytes, bytes], body: bytes) -> dict[str, Any]:
    """Return a binary-mode event: attributes in `ce-*` headers, data in the body."""
    event: dict[str, Any] = {
        name[3:].decode("latin-1"): unquote(value.decode("latin-1"))
        for name, value in headers.items()
        if name.startswith(b"ce-")
    }
    if body:
        event["data"] = reading.decode(body)
    return event


async def _read(receive: Any) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") or message["type"] == "http.disconnect":
        if message["type"] == "http.disconnect":
            raise MalformedBody("the client went away")
        message = await receive()
        body += message.get("body", b"")
    return body
