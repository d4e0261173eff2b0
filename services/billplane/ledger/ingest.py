"""The hot door of the books: single transactions, raw ASGI beside FastAPI.

It takes requests in which nothing can be wrong; all others, and those with a key, it leaves to
FastAPI, which says what is wrong with them.
"""

import re
from typing import Any

import msgspec

from billplane.chassis.auth import Principal
from billplane.chassis.call import Call
from billplane.chassis.idempotency import StoredAnswer
from billplane.chassis.runtime import Runtime
from billplane.ledger import domain
from billplane.ledger.schemas.answers import created
from billplane.ledger.service.transactions import record_transaction
from billplane.money import CURRENCY_CODES, MINOR_MAX

# An escape may stand for text that no store holds; a number with a point is no integer of ours.
_UNUSUAL = re.compile(rb"\\u|\d[.eE]")


class _Leg(msgspec.Struct, forbid_unknown_fields=True):
    account_id: str
    direction: domain.Direction
    amount_minor: int
    currency_code: str | None = None


class _Transaction(msgspec.Struct, forbid_unknown_fields=True):
    postings: list[_Leg]
    currency_code: str
    description: str = ""
    external_id: str | None = None


_decode = msgspec.json.Decoder(_Transaction).decode


def routes(runtime: Runtime) -> dict[str, Any]:
    """Return the raw routes of ledger."""

    async def serve(scope: Any, receive: Any, send: Any) -> Any:
        headers: dict[bytes, bytes] = scope["billplane.headers"]
        if (
            scope["method"] != "POST"
            or headers.get(b"content-type") != b"application/json"
            or b"idempotency-key" in headers
            or b"content-encoding" in headers
        ):
            return receive
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        new = usual(b"".join(message.get("body", b"") for message in messages))
        if new is None:
            return _Replayed(messages, receive)
        principal: Principal = scope["billplane.principal"]
        call = Call(runtime, principal, scope["billplane.request_id"])
        answer: StoredAnswer = await record_transaction(call, new, created)
        start = [
            *((name.encode(), value.encode()) for name, value in answer.headers.items()),
            (b"content-length", b"%d" % len(answer.body)),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": start})
        await send({"type": "http.response.body", "body": answer.body})
        return None

    return {"/v1/ledger/transactions": serve, "/ledger/transactions": serve}


class _Replayed:
    """What was received already, then what comes."""

    def __init__(self, messages: list[Any], receive: Any) -> None:
        self._messages = messages[::-1]
        self._receive = receive

    async def __call__(self) -> Any:
        """Receive a message of the request."""
        return self._messages.pop() if self._messages else await self._receive()


def usual(body: bytes) -> domain.NewTransaction | None:
    """Read a transaction in which nothing can be wrong, None for any other."""
    if b"\0" in body or _UNUSUAL.search(body):
        return None
    try:
        read = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    external_id = read.external_id
    if (
        read.currency_code not in CURRENCY_CODES
        or not 2 <= len(read.postings) <= domain.POSTINGS_MAX
        or len(read.description) > 255
        or (external_id is not None and not 1 <= len(external_id) <= 255)
        or (external_id is not None and not external_id.isprintable())
    ):
        return None
    postings = []
    for leg in read.postings:
        currency = leg.currency_code
        if (
            not 1 <= len(leg.account_id) <= 255
            or not 1 <= leg.amount_minor <= MINOR_MAX
            or (currency is not None and currency not in CURRENCY_CODES)
        ):
            return None
        postings.append(
            domain.Posting(leg.account_id, leg.direction, leg.amount_minor, currency or "")
        )
    return domain.NewTransaction(
        postings=postings,
        currency_code=read.currency_code,
        external_id=external_id or "",
        description=read.description,
    )
