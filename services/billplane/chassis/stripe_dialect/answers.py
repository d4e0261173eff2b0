"""Refusals as Stripe tells them.

Source: docs.stripe.com/api/errors.
"""

import json
from typing import Any, Final

from fastapi import Request, Response

from billplane.chassis.errors import BillplaneError, IdempotencyKeyInUse, IdempotencyKeyReused, Kind

JSON: Final = "application/json"
_STATUSES = {
    Kind.INVALID_ARGUMENT: 400,
    Kind.ALREADY_EXISTS: 400,
    Kind.FAILED_PRECONDITION: 400,
}
_CODES = {
    "FIELD_REQUIRED": "parameter_missing",
    "FIELD_UNKNOWN": "parameter_unknown",
    "RATE_LIMITED": "rate_limit",
    "ROUTE_NOT_FOUND": "unrecognized_url",
    "IDEMPOTENCY_KEY_REUSED": "idempotency_key_reused",
}
_PASSING = (Kind.ABORTED, Kind.RESOURCE_EXHAUSTED, Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED)
ERROR_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Stripe's error object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {
                "type": {
                    "type": "string",
                    "enum": [
                        "api_error",
                        "card_error",
                        "idempotency_error",
                        "invalid_request_error",
                    ],
                },
                "code": {"type": "string"},
                "message": {"type": "string"},
                "param": {"type": "string"},
                "decline_code": {"type": "string"},
                "reason": {"type": "string"},
            },
        }
    },
}


def status_of(error: BillplaneError) -> int:
    """Return the HTTP status of an error in the dialect."""
    return _STATUSES.get(error.kind, error.kind.http_status)


def error_object(error: BillplaneError) -> dict[str, Any]:
    """Return the body of a refusal.

    What stands under `stripe` in the error's metadata goes along: a decline code, an object.
    """
    found: dict[str, Any] = {
        "type": _type(error),
        "code": _code(error),
        "message": error.detail,
        "reason": error.reason,
    }
    param = bracketed(error.field or "")
    if param:
        found["param"] = param
    return {"error": {**found, **error.metadata.get("stripe", {})}}


def _type(error: BillplaneError) -> str:
    if isinstance(error, IdempotencyKeyReused | IdempotencyKeyInUse):
        return "idempotency_error"
    if error.kind is Kind.DECLINED:
        return "card_error"
    return "api_error" if error.kind.http_status >= 500 else "invalid_request_error"


def _code(error: BillplaneError) -> str:
    if error.kind is Kind.NOT_FOUND and error.reason != "ROUTE_NOT_FOUND":
        return "resource_missing"
    return _CODES.get(error.reason, error.reason.lower())


def bracketed(field: str) -> str:
    """Return a field as its sender wrote it: `/metadata/order` is `metadata[order]`."""
    if not field.startswith("/"):
        return field
    first, *rest = field[1:].split("/")
    steps = [step.replace("~1", "/").replace("~0", "~") for step in rest]
    return first + "".join(f"[{step}]" for step in steps)


def answer_headers(request_id: str, version: str, status: int, *, passing: bool) -> dict[str, str]:
    """Return the headers that every answer of the dialect has."""
    headers = {"Request-Id": request_id}
    if version:
        headers["Stripe-Version"] = version
    if status >= 400 and status != 500:
        headers["Stripe-Should-Retry"] = "true" if passing else "false"
    return headers


def refusal(request: Request, error: BillplaneError) -> Response:
    """Tell an error to who made a request."""
    version = request.headers.get("stripe-version", "")
    return _response(error, str(request.scope.get("billplane.request_id", "")), version)


def _response(error: BillplaneError, request_id: str, version: str) -> Response:
    status = status_of(error)
    headers = answer_headers(request_id, version, status, passing=error.kind in _PASSING)
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="billplane"'
    body = json.dumps(error_object(error), default=str).encode()
    return Response(body, status, headers, media_type=JSON)


async def send_refusal(send: Any, error: BillplaneError, request_id: str, version: str) -> None:
    """Tell an error where there is no request object yet, as a door does."""
    response = _response(error, request_id, version)
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    await send({"type": "http.response.body", "body": bytes(response.body)})
