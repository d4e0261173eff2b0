"""REST manners: transactions, idempotency, pages, errors as problem+json."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import Select

from billplane.chassis import acting, idempotency
from billplane.chassis.auth import Principal
from billplane.chassis.call import Call
from billplane.chassis.database.transaction import ReadTransaction, Transaction
from billplane.chassis.errors import (
    BillplaneError,
    CursorInvalid,
    FieldError,
    Invalid,
    UnsupportedMediaType,
    problem_json,
)

Row = TypeVar("Row")
CURSOR_MAX = 500
_REPLAYED = ("content-type", "location", "etag")


class Body(BaseModel):
    """A request body: unknown fields are refused, and so is text that no store can hold."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)

    @model_validator(mode="before")
    @classmethod
    def _storable_text(cls, value: Any) -> Any:
        check_text(value)
        return value


class Resource(BaseModel):
    """A response body."""

    model_config = ConfigDict(from_attributes=True)


Parsed = TypeVar("Parsed", bound=BaseModel)


def parse_body(body: type[Parsed], values: dict[str, Any]) -> Parsed:
    """Check values that came another way by the rules of a REST body.

    Raises: Invalid, fields named by their path.
    """
    try:
        return body.model_validate(values)
    except ValidationError as error:
        raise Invalid(
            [
                FieldError(
                    ".".join(str(part) for part in item["loc"]), "FIELD_INVALID", item["msg"]
                )
                for item in error.errors()
            ]
        ) from None


class TextError(ValueError):
    """A text holds a NUL character or a lone surrogate; `pointer` leads to it."""

    def __init__(self, detail: str, pointer: str) -> None:
        super().__init__(detail)
        self.pointer = pointer


def check_text(value: Any, pointer: str = "") -> None:
    """Refuse text that UTF-8 or the database cannot hold, anywhere in a value.

    Raises: TextError.
    """
    stack = [(value, pointer)]
    while stack:
        item, where = stack.pop()
        if isinstance(item, str):
            if "\0" in item:
                raise TextError("text must not contain NUL characters", where)
            if not item.isascii() and not _is_utf8(item):
                raise TextError("text must be valid Unicode", where)
        elif isinstance(item, dict):
            # A name that cannot be told is told by the object that holds it.
            stack += [(below, f"{where}/{escaped(name)}") for name, below in item.items()]
            stack += [(name, where) for name in item]
        elif isinstance(item, list):
            stack += [(below, f"{where}/{index}") for index, below in enumerate(item)]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(name: Any) -> str:
    """Write one step of a JSON pointer.

    Source: RFC 6901, section 3.
    """
    return str(name).replace("~", "~0").replace("/", "~1")


class BillplaneRoute(APIRoute):
    """Hands the finished response to the transaction, which ends before the reply leaves."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            _check_address(request)
            if self.body_field is not None:
                _check_content_type(request)
            response = await handler(request)
            request.scope["billplane.response"] = response
            return response

        return handle


def _check_address(request: Request) -> None:
    """Refuse a path or query with text that no store can hold.

    Raises: Invalid.
    """
    for name, value in [*request.path_params.items(), *request.query_params.multi_items()]:
        try:
            check_text([name, value])
        except TextError as error:
            field = name if error.pointer == "/1" else ""
            raise Invalid([FieldError(field, "TEXT_INVALID", str(error))]) from None


def _check_content_type(request: Request) -> None:
    """Refuse a body that says it is something else than JSON.

    Raises: UnsupportedMediaType.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in (
        request.headers
    ):
        return
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("send the body as it is, without Content-Encoding")
    if given != "application/json" and not given.endswith("+json"):
        raise UnsupportedMediaType("send the body as `Content-Type: application/json`")


def router(prefix: str = "", **options: Any) -> APIRouter:
    """Make the router of a service."""
    return APIRouter(prefix=prefix, route_class=BillplaneRoute, **options)


async def _read(request: Request) -> AsyncIterator[ReadTransaction]:
    runtime = request.app.state.runtime
    principal: Principal = request.scope["billplane.principal"]
    async with runtime.database.read(runtime, principal, request_id(request)) as tx:
        yield tx


async def _write(request: Request) -> AsyncIterator[Transaction]:
    runtime = request.app.state.runtime
    principal: Principal = request.scope["billplane.principal"]
    key = request.headers.get("idempotency-key")
    if key is None:
        async with runtime.database.write(runtime, principal, request_id(request)) as tx:
            yield tx
            await acting.tell(tx)
        return
    idempotency.check_key(key)
    print_ = idempotency.fingerprint(
        request.method, request.url.path, canonical(await request.body())
    )
    try:
        async with runtime.database.write(runtime, principal, request_id(request)) as tx:
            answer = await idempotency.claim(tx, key, print_)
            if answer is not None:
                raise idempotency.Replay(answer)
            yield tx
            await acting.tell(tx)
            response: Response = request.scope["billplane.response"]
            headers = {name: value for name, value in response.headers.items() if name in _REPLAYED}
            body = bytes(response.body)
            await idempotency.store(tx, key, print_, response.status_code, headers, body)
    except BillplaneError as error:
        if error.kind.http_status < 500 and _decided(error):
            await _store_refusal(request, key, print_, error, begun=False)
        raise


async def _steps(request: Request) -> AsyncIterator[Call]:
    runtime = request.app.state.runtime
    principal: Principal = request.scope["billplane.principal"]
    key, print_ = "", ""
    # What only reads is made again: a document may be long, and there is nothing to do once.
    if "idempotency-key" in request.headers and request.method not in ("GET", "HEAD"):
        key = request.headers["idempotency-key"]
        idempotency.check_key(key)
        print_ = idempotency.fingerprint(
            request.method, request.url.path, canonical(await request.body())
        )
    call = Call(
        *(runtime, principal, request_id(request)),
        key=key,
        fingerprint=print_,
        keeps_refusals=True,
    )
    try:
        async with call:
            yield call
            response: Response = request.scope["billplane.response"]
            headers = {name: value for name, value in response.headers.items() if name in _REPLAYED}
            await call.answer(response.status_code, headers, bytes(response.body))
    except BillplaneError as error:
        if key and error.kind.http_status < 500 and _decided(error):
            await _store_refusal(request, key, print_, error, begun=call.begun)
        raise


def _decided(error: BillplaneError) -> bool:
    """True for what a use case refused; not for the key itself, credentials or limits."""
    return not error.reason.startswith("IDEMPOTENCY_KEY") and error.kind.http_status not in (
        401,
        403,
        429,
    )


async def _store_refusal(
    request: Request, key: str, print_: str, error: BillplaneError, *, begun: bool
) -> None:
    runtime = request.app.state.runtime
    answer = refusal(request, error)
    headers = {name: value for name, value in answer.headers.items() if name in _REPLAYED}
    async with runtime.database.write(runtime, request.scope["billplane.principal"]) as tx:
        told = idempotency.StoredAnswer(answer.status_code, headers, bytes(answer.body))
        await idempotency.store_refusal(tx, key, print_, told, begun=begun)


def refusal(request: Request, error: BillplaneError) -> Response:
    """Tell an error in the dialect that the request's route speaks; ours is problem+json."""
    tell: Callable[[Request, BillplaneError], Response] = request.scope.get(
        "billplane.refusal", _problem
    )
    return tell(request, error)


def _problem(request: Request, error: BillplaneError) -> Response:
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    body = problem_json(error, request_id(request))
    return Response(body, error.kind.http_status, headers, media_type="application/problem+json")


def canonical(body: bytes) -> bytes:
    """Return the body with its JSON keys sorted, or as it is when it is not JSON.

    Fractions keep their digits, of which a float would forget some.
    """
    try:
        given = json.loads(body, parse_float=lambda digits: f"\0{digits}")
        return json.dumps(given, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        return body


def request_id(request: Request) -> str:
    """Return the request's id, which the middleware has set."""
    return str(request.scope.get("billplane.request_id", ""))


def principal_of(request: Request) -> Principal:
    """Return who calls."""
    found: Principal = request.scope["billplane.principal"]
    return found


def _runtime(request: Request) -> Any:
    return request.app.state.runtime


Here = Annotated[Any, Depends(_runtime)]
Reader = Annotated[ReadTransaction, Depends(_read, scope="function")]
Writer = Annotated[Transaction, Depends(_write, scope="function")]
Steps = Annotated[Call, Depends(_steps, scope="function")]
Caller = Annotated[Principal, Depends(principal_of)]


class Page(BaseModel):
    """Which part of a list is wanted; newest first by default."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=CURSOR_MAX)
    order: str = Field(default="desc", pattern="^(asc|desc)$")

    @classmethod
    def of(cls, page_size: int, page_token: str, order: str = "desc") -> "Page":
        """Read the paging fields of a gRPC request; a size of 0 means the default.

        Raises: CursorInvalid.
        """
        size = min(page_size, 200) if page_size > 0 else 50
        if len(page_token) > CURSOR_MAX:
            raise CursorInvalid("the page token is not one that this list gave", field="page_token")
        return cls(limit=size, cursor=page_token or None, order=order)

    def after(self) -> str | None:
        """Return the id that the previous page ended with.

        Raises: CursorInvalid.
        """
        return None if self.cursor is None else decode_cursor(self.cursor)

    def after_number(self) -> int | None:
        """Return the number that the previous page ended with.

        Raises: CursorInvalid.
        """
        return None if self.cursor is None else decode_number(self.cursor)


def _page(
    limit: Annotated[int, Query(ge=1, le=200, description="at most 200")] = 50,
    cursor: Annotated[str | None, Query(max_length=CURSOR_MAX)] = None,
    order: Annotated[str, Query(pattern="^(asc|desc)$")] = "desc",
) -> Page:
    return Page(limit=limit, cursor=cursor, order=order)


PageQuery = Annotated[Page, Depends(_page)]


def encode_cursor(last: str) -> str:
    """Make an opaque cursor."""
    return base64.urlsafe_b64encode(b"1" + last.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Read a cursor.

    Raises: CursorInvalid.
    """
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        last = raw.decode()
    except ValueError:
        raise CursorInvalid("the cursor is not one that this list gave", field="cursor") from None
    if last[:1] != "1" or len(last) < 2 or "\0" in last:
        raise CursorInvalid("the cursor is not one that this list gave", field="cursor")
    return last[1:]


def decode_number(cursor: str) -> int:
    """Read a cursor of a list that is ordered by a number.

    Raises: CursorInvalid.
    """
    last = decode_cursor(cursor)
    if not last.isascii() or not last.isdigit() or len(last) > 18:
        raise CursorInvalid("the cursor is not one that this list gave", field="cursor")
    return int(last)


async def fetch_page(
    tx: ReadTransaction, query: Select[Any], column: Any, page: Page
) -> tuple[Sequence[Any], str | None]:
    """Return one page of rows ordered by an id column, and the cursor of the next."""
    after = page.after()
    if after is not None:
        query = query.where(column < after if page.order == "desc" else column > after)
    query = query.order_by(column.desc() if page.order == "desc" else column.asc())
    rows = (await tx.session.scalars(query.limit(page.limit + 1))).all()
    more = len(rows) > page.limit
    rows = rows[: page.limit]
    return rows, encode_cursor(str(getattr(rows[-1], column.key))) if more else None


def listing(data: Sequence[Any], next_cursor: str | None) -> dict[str, Any]:
    """Return the body of a list."""
    return {"data": data, "next_cursor": next_cursor}
