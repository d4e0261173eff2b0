"""Routes that take a form or JSON and answer with Stripe's headers."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from billplane.chassis.errors import MalformedBody, UnsupportedMediaType
from billplane.chassis.rest import BillplaneRoute
from billplane.chassis.stripe_dialect.answers import answer_headers, refusal
from billplane.chassis.stripe_dialect.forms import parse_form

FORM: Final = "application/x-www-form-urlencoded"


class StripeRoute(BillplaneRoute):
    """Hands a form on as the JSON that it stands for."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler of every route."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            request.scope["billplane.refusal"] = refusal
            if request.method == "POST":
                request = await _as_json(request)
            response = await handler(request)
            version = request.headers.get("stripe-version", "")
            found = str(request.scope.get("billplane.request_id", ""))
            response.headers.update(
                answer_headers(found, version, response.status_code, passing=False)
            )
            return response

        return handle


def stripe_router(prefix: str = "", **options: Any) -> APIRouter:
    """Make a router that speaks the dialect."""
    return APIRouter(prefix=prefix, route_class=StripeRoute, **options)


async def _as_json(request: Request) -> Request:
    """Return the request with its body as JSON; no body is an empty one.

    Raises: MalformedBody, UnsupportedMediaType, Invalid.
    """
    body = await request.body()
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not body.strip():
        body = b"{}"
    elif given == FORM:
        body = json.dumps(parse_form(body)).encode()
    elif given != "application/json" and not given.endswith("+json"):
        raise UnsupportedMediaType(f"send the body as `{FORM}` or as `application/json`")
    elif not _is_object(body):
        raise MalformedBody("the body must be one JSON object")
    headers = [
        item
        for item in request.scope["headers"]
        if item[0] not in (b"content-type", b"content-length", b"transfer-encoding")
    ]
    headers += [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    # The same scope but for its headers: what the route leaves there is found by its transaction.
    return Request({**request.scope, "headers": headers}, receive)


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False
