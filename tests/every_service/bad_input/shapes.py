"""Requests that ought to be refused: how one is written down, and good ones to spoil."""

import dataclasses
import json

from tests.every_service.estate import JANUARY

__all__ = ["JANUARY", "bad", "customer", "raw"]

EVENT = {
    "type": "api.request",
    "source": "tests",
    "id": "bad-1",
    "subject": "ada",
    "time": "2026-01-15T12:00:00Z",
    "data": {"units": 1, "region": "eu"},
}
KEPT = {"customer_id": "ada", "resource_type": "api.request", "quantity": 1}
LINE = {"description": "x", "unit_amount": "1"}
INVOICE = {"customer_id": "ada", "currency_code": "EUR", "lines": [LINE]}
TAX = {
    "customer": {"country": "DE"},
    "currency_code": "EUR",
    "lines": [{"line_id": "1", "amount_minor": 1}],
}
RULE = {"country": "DE", "rate": "0.1", "valid_from": "2026-01-01"}
COUPON = {"code": "NEW", "percent": "10"}
CONVERT = {"amount_minor": 1, "currency_code": "EUR", "to": "USD"}
JSON = {"Content-Type": b"application/json"}
DEEP = b"[" * 100_000 + b"]" * 100_000
DEEP_OBJECT = b'{"a":' * 50_000 + b"1" + b"}" * 50_000


@dataclasses.dataclass(frozen=True)
class Bad:
    """A request, and what must be said of it."""

    name: str
    path: str
    body: object = None
    reasons: tuple[str, ...] = ()
    field: str | None = None
    status: tuple[int, ...] = (422,)
    method: str = "POST"
    headers: dict = dataclasses.field(default_factory=lambda: JSON)

    def bytes(self):
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def bad(name, path, body=None, reason="", field=None, status=422, **more):
    reasons = tuple(reason.split("|")) if reason else ()
    statuses = status if isinstance(status, tuple) else (status,)
    return Bad(name, path, body, reasons, field, statuses, **more)


def raw(text):
    """Give JSON that Python's writer would not write."""
    return text.encode("utf-8", "surrogatepass")


def customer(**values):
    return {"name": "x", **values}
