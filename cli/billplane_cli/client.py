"""Speak REST with a platform: one kept connection, clear errors, safe repetition."""

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from billplane_cli.errors import ApiError, CliError, UnreachableError

PAGE_LIMIT_MAX: Final = 200
STRIPE_LIMIT_MAX: Final = 100
_TIMEOUT_SECONDS: Final = 60.0
_DELAY_FIRST_SECONDS: Final = 0.2
_DELAY_MAX_SECONDS: Final = 5.0
# Answers after which the same request may succeed a little later.
_PASSING_STATUSES: Final = frozenset({429, 502, 503, 504})
_IN_USE: Final = "IDEMPOTENCY_KEY_IN_USE"
_FIRST_ERROR_STATUS: Final = 400
_UNAUTHENTICATED: Final = 401
_SERVER_ERROR: Final = 500
_CONFLICT: Final = 409

Body = Mapping[str, Any] | list[Any] | bytes


@dataclass(frozen=True)
class Answer:
    """One answer of the server."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """Decode the body.

        Raises: CliError when it is not JSON.
        """
        if not self.content:
            return None
        try:
            return json.loads(self.content)
        except ValueError as error:
            raise CliError(
                f"The server answered {self.status} with something that is not JSON.",
                hint="Is this the address of a Billplane gateway?",
            ) from error


class Client:
    """Call one platform with one credential.

    Every request may be repeated: a GET has no effect, and each POST carries an
    Idempotency-Key that is the same in each repetition.
    """

    def __init__(
        self,
        url: str,
        *,
        credential: Callable[[], str | None],
        renew: Callable[[], bool] = lambda: False,
        livemode: bool = False,
        headers: Mapping[str, str] | None = None,
        patience_seconds: float = 3,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CliError(f"{url!r} is not an address such as http://127.0.0.1:8080.")
        self.url = url.rstrip("/")
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._credential = credential
        self._renew = renew
        self._livemode = livemode
        self._always = dict(headers or {})
        self.patience_seconds = patience_seconds
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Read one thing.

        Raises: ApiError, UnreachableError.
        """
        return self.request("GET", path, query=query).json()

    def post(self, path: str, body: Body | None = None, *, idempotency_key: str = "") -> Any:
        """Create or do one thing.

        Raises: ApiError, UnreachableError.
        Idempotent by: the key, made here when none is given.
        """
        key = idempotency_key or secrets.token_hex(16)
        headers = {"Idempotency-Key": key}
        return self.request("POST", path, body={} if body is None else body, headers=headers).json()

    def put(self, path: str, body: Body) -> Any:
        """Set one thing, whatever was there before.

        Raises: ApiError, UnreachableError.
        Idempotent by: a key made here.
        """
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        return self.request("PUT", path, body=body, headers=headers).json()

    def patch(self, path: str, body: Body) -> Any:
        """Change some fields of one thing.

        Raises: ApiError, UnreachableError.
        Idempotent by: a key made here.
        """
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        return self.request("PATCH", path, body=body, headers=headers).json()

    def delete(self, path: str) -> None:
        """Delete one thing.

        Raises: ApiError, UnreachableError.
        """
        self.request("DELETE", path)

    def send_step(
        self, method: str, path: str, body: Body, *, may_fail: bool = False
    ) -> dict[str, Any]:
        """Do one thing of several; what a refusal holds is an answer too where that may be.

        Raises: ApiError, UnreachableError.
        Idempotent by: a key made here.
        """
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        try:
            content = None if method == "DELETE" else body
            found = self.request(method, path, body=content, headers=headers).json()
        except ApiError as error:
            if not may_fail or error.status >= _SERVER_ERROR:
                raise
            return {}
        return found if isinstance(found, dict) else {}

    def pages(
        self, path: str, query: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the items of a list over as many pages as it takes, at most `limit` of them."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE_LIMIT_MAX if left is None else min(left, PAGE_LIMIT_MAX)
            page = self.get(path, {**(query or {}), "limit": size, "cursor": cursor})
            yield from page["data"]
            cursor = page.get("next_cursor")
            if not cursor:
                return
            if left is not None:
                left -= len(page["data"])

    def stripe_pages(
        self, path: str, query: Mapping[str, Any] | None = None, *, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the items of a list in Stripe's dialect, at most `limit` of them."""
        after: str | None = None
        left = limit
        while left is None or left > 0:
            size = STRIPE_LIMIT_MAX if left is None else min(left, STRIPE_LIMIT_MAX)
            page = self.get(path, {**(query or {}), "limit": size, "starting_after": after})
            yield from page["data"]
            if not page["has_more"]:
                return
            after = page["data"][-1]["id"]
            if left is not None:
                left -= len(page["data"])

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and repeat it while the cause of its failure passes.

        Raises: ApiError, UnreachableError.
        """
        target = self._prefix + path + _query_string(query)
        content = _encode(body)
        answer = self._send_patiently(method, target, content, headers)
        if answer.status == _UNAUTHENTICATED and self._renew():
            answer = self._send_patiently(method, target, content, headers)
        if answer.status >= _FIRST_ERROR_STATUS:
            raise ApiError(answer.status, _problem(answer))
        return answer

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send_patiently(
        self,
        method: str,
        target: str,
        content: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        """Repeat a request while the cause of its failure may pass and patience lasts.

        Raises: UnreachableError.
        """
        deadline = time.monotonic() + self.patience_seconds
        delay = _DELAY_FIRST_SECONDS
        while True:
            pause = delay
            try:
                answer = self._send(method, target, content, self._headers(headers, content))
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if time.monotonic() + pause > deadline:
                    raise UnreachableError(self.url, error) from error
            else:
                pause = max(delay, _retry_after(answer))
                if not _may_pass(answer) or time.monotonic() + pause > deadline:
                    return answer
            time.sleep(pause)
            delay = min(delay * 2, _DELAY_MAX_SECONDS)

    def _send(
        self, method: str, target: str, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        kept = self._connection is not None
        try:
            return self._send_once(method, target, content, headers)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A server closes connections that were idle; that is no failure.
            if not kept:
                raise
            self.close()
            return self._send_once(method, target, content, headers)

    def _send_once(
        self, method: str, target: str, content: bytes | None, headers: Mapping[str, str]
    ) -> Answer:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request(method, target, content, dict(headers))
        response = self._connection.getresponse()
        return Answer(response.status, dict(response.headers.items()), response.read())

    def _connect(self) -> http.client.HTTPConnection:
        if self._https:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=_TIMEOUT_SECONDS, context=context
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)

    def _headers(self, given: Mapping[str, str] | None, content: bytes | None) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": "billplane-cli"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        token = self._credential()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if self._livemode:
            headers["Billplane-Livemode"] = "true"
        return {**headers, **self._always, **(given or {})}


def path_of(*segments: str) -> str:
    """Build a path from segments, each of which may hold any character.

    A verb after a colon belongs to the last segment as it is: path_of("v1", "invoices", id).
    """
    return "/" + "/".join(quote(segment, safe=":@") for segment in segments)


def _query_string(query: Mapping[str, Any] | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return f"?{urlencode(given, doseq=True)}" if given else ""


def _encode(body: Body | None) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _problem(answer: Answer) -> Mapping[str, Any]:
    try:
        problem = json.loads(answer.content)
    except ValueError:
        return {"detail": f"the server answered {answer.status} without a reason"}
    if not isinstance(problem, dict):
        return {}
    told = problem.get("error")
    if isinstance(told, dict):  # in Stripe's dialect
        reason = told.get("decline_code") or told.get("reason") or told.get("code")
        return {"detail": told.get("message"), "reason": reason, "field": told.get("param")}
    return problem


def _may_pass(answer: Answer) -> bool:
    if answer.status in _PASSING_STATUSES:
        return True
    return answer.status == _CONFLICT and _problem(answer).get("reason") == _IN_USE


def _retry_after(answer: Answer) -> int:
    text = {name.lower(): value for name, value in answer.headers.items()}.get("retry-after", "")
    return int(text) if text.isdecimal() else 0
