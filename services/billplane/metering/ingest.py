"""The two hot doors of usage, raw ASGI beside FastAPI: CloudEvents, and the kept path."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import msgspec

from billplane.chassis import ids
from billplane.chassis.auth import Principal
from billplane.chassis.errors import BillplaneError, FieldError, Invalid, Kind, MalformedBody
from billplane.chassis.middleware import send_problem
from billplane.chassis.runtime import Runtime
from billplane.metering.domain import EVENTS_MAX
from billplane.metering.errors import TooManyEvents
from billplane.metering.service import reading
from billplane.metering.service.intake import Intake

EVENTS_HEADER = b"x-billplane-events"
_encode = msgspec.json.Encoder().encode
_Handler = Callable[[Runtime, Principal, dict[bytes, bytes], bytes], Awaitable[tuple[Any, int]]]


def routes(runtime: Runtime) -> dict[str, Any]:
    """Return the raw routes of metering."""
    return {
        "/v1/usage_events": _door(runtime, take_events),
        "/api/v1/usage": _door(runtime, take_kept),
    }


def _door(runtime: Runtime, handle: _Handler) -> Any:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        request_id = scope["billplane.request_id"]
        try:
            if scope["method"] != "POST":
                raise _NotPost("use POST")
            principal: Principal = scope["billplane.principal"]
            principal.require("usage:write")
            headers: dict[bytes, bytes] = dict(scope["headers"])
            body = await _read(receive)
            answer, events = await handle(runtime, principal, headers, body)
        except BillplaneError as error:
            await send_problem(send, error, request_id)
            return
        encoded = _encode(answer)
        await send(
            {
                "type": "http.response.start",
                "status": 202,
                "headers": [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(encoded)).encode()),
                    (EVENTS_HEADER, str(events).encode()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": encoded})

    return serve


async def take_events(
    runtime: Runtime, principal: Principal, headers: dict[bytes, bytes], body: bytes
) -> tuple[Any, int]:
    """Take one or many CloudEvents: structured, batched or binary mode.

    Source: CloudEvents 1.0, HTTP protocol binding 3.1 to 3.3.
    """
    if b"ce-id" in headers or b"ce-type" in headers:
        given: Any = _binary(headers, body)
    else:
        given = decode(body)
    single = isinstance(given, dict)
    items = [given] if single else given
    if not isinstance(items, list):
        raise MalformedBody("the body must be an event or a list of events")
    if not items:
        raise Invalid([FieldError("", "FIELD_REQUIRED", "the list holds no event")])
    if len(items) > EVENTS_MAX:
        raise TooManyEvents(f"a request may carry at most {EVENTS_MAX} events")
    intake: Intake = runtime.state.intake
    events = await reading.read_events(
        intake.meters, principal, items, runtime.clock.now(), single=single
    )
    statuses = await intake.take(principal, events)
    results = [
        {
            "index": index,
            "id": event.id,
            "status": "accepted" if status == 1 else "duplicate",
        }
        for index, (event, status) in enumerate(zip(events, statuses, strict=True))
    ]
    accepted = statuses.count(1)
    answer = {
        "accepted": accepted,
        "duplicates": len(statuses) - accepted,
        "results": results,
    }
    return answer, len(events)


async def take_kept(
    runtime: Runtime, principal: Principal, headers: dict[bytes, bytes], body: bytes
) -> tuple[Any, int]:
    """Take one quantity as callers of the kept path send it."""
    given = decode(body)
    if not isinstance(given, dict):
        raise MalformedBody("the body must be an object")
    key = headers.get(b"idempotency-key", b"").decode("latin-1")
    intake: Intake = runtime.state.intake
    event = await reading.read_kept(
        intake.meters, principal, given, key or ids.new("evt"), runtime.clock.now()
    )
    (status,) = await intake.take(principal, [event])
    return {"event_id": event.id, "status": "accepted" if status == 1 else "duplicate"}, 1


def decode(body: bytes) -> Any:
    """Read JSON with every digit of its numbers.

    Raises: MalformedBody, also for nesting that no event needs.
    """
    if not body:
        raise MalformedBody("the body is empty")
    try:
        return reading.decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBody(f"the body is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise MalformedBody("the body is nested too deeply") from None


def _binary(headers: dict[bytes, bytes], body: bytes) -> dict[str, Any]:
    """Return a binary-mode event: attributes in `ce-*` headers, data in the body."""
    event: dict[str, Any] = {
        name[3:].decode("latin-1"): unquote(value.decode("latin-1"))
        for name, value in headers.items()
        if name.startswith(b"ce-")
    }
    if body:
        event["data"] = decode(body)
    return event


async def _read(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise MalformedBody("the client went away")
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


class _NotPost(BillplaneError):
    """Another method than POST."""

    kind = Kind.METHOD_NOT_ALLOWED
    reason = "METHOD_NOT_ALLOWED"
