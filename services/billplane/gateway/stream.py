"""The tenant's events as they happen, by WebSocket or server-sent events, with a cursor.

Each frame is {cursor, event}. Whoever comes again with its last cursor misses nothing: events are
read from where they are kept, by number; Redis only says when to look. A frame whose event is
null tells how far the stream is.
"""

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from billplane.chassis import logging
from billplane.chassis.auth import Principal
from billplane.chassis.errors import BillplaneError, FieldError, Invalid, Kind
from billplane.chassis.events.wakeups import SILENCE_SECONDS, Wakeups
from billplane.chassis.middleware import credentials_of
from billplane.chassis.runtime import Runtime
from billplane.gateway import peers
from billplane.gateway.errors import TooManyStreams

_log = logging.get("gateway")

PATH: Final = "/v1/events/stream"
STREAMS_MAX: Final = 100
TYPES_MAX: Final = 100
POSITION_SECONDS: Final = 10.0
GATHER_SECONDS: Final = 0.01
CREDENTIAL_SECONDS: Final = 60.0
# RFC 6455 7.4.1: 1011 is a defect of ours, 1012 a service that restarts; those of 4000 and above
# are the application's own.
BROKEN: Final = 1011
RESTARTING: Final = 1012
CREDENTIAL_ENDED: Final = 4401


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader asked for."""

    types: list[str]
    after: str

    @classmethod
    def of(cls, query: bytes) -> "Wanted":
        """Read the query: `types=a,b.*&after=evt_… or a cursor`.

        Raises: Invalid.
        """
        given = parse_qs(query.decode("latin-1"), max_num_fields=100)
        types = [name for text in given.get("types", []) for name in text.split(",") if name]
        after = given.get("after", [""])[-1]
        if len(types) > TYPES_MAX or any(len(name) > 100 for name in types):
            detail = f"at most {TYPES_MAX} types of at most 100 characters"
            raise Invalid([FieldError("types", "FIELD_INVALID", detail)])
        if not (after.startswith("evt_") and len(after) < 64) and not _is_number(after):
            detail = "a cursor that this stream gave, or the id of an event"
            raise Invalid([FieldError("after", "CURSOR_INVALID", detail)])
        return cls(types, after)


def _is_number(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and len(text) <= 18)


class Reader(Protocol):
    """Who reads the stream, by either way."""

    async def open(self) -> None:
        """Say that the stream begins."""
        ...

    async def frame(self, cursor: int, event: str) -> None:
        """Hand an event over; `event` is JSON."""
        ...

    async def quiet(self) -> None:
        """Show that the connection lives while nothing happens."""
        ...

    async def close(self, cursor: int, code: int, why: str) -> None:
        """Say where the stream ends."""
        ...


class WebSocketReader:
    """A reader over a WebSocket; the server itself pings."""

    def __init__(self, send: Any) -> None:
        self._send = send

    async def open(self) -> None:
        """Accept the connection."""
        await self._send({"type": "websocket.accept"})

    async def frame(self, cursor: int, event: str) -> None:
        """Send a text frame."""
        text = f'{{"cursor":"{cursor}","event":{event}}}'
        await self._send({"type": "websocket.send", "text": text})

    async def quiet(self) -> None:
        """Do nothing: pings are the server's."""

    async def close(self, cursor: int, code: int, why: str) -> None:
        """Close with the cursor in the reason."""
        reason = json.dumps({"cursor": str(cursor), "reason": why})
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


class SseReader:
    """A reader of server-sent events; the event's id is the cursor.

    Source: html.spec.whatwg.org, "Server-sent events".
    """

    def __init__(self, send: Any) -> None:
        self._send = send

    async def open(self) -> None:
        """Begin the answer."""
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def frame(self, cursor: int, event: str) -> None:
        """Send a message whose data is the frame."""
        await self._write(f'id: {cursor}\ndata: {{"cursor":"{cursor}","event":{event}}}\n\n')

    async def quiet(self) -> None:
        """Send a comment."""
        await self._write(":\n\n")

    async def close(self, cursor: int, code: int, why: str) -> None:
        """Send a last message of the type `close`, and end the answer."""
        data = json.dumps({"cursor": str(cursor), "code": code, "reason": why})
        await self._write(f"event: close\nid: {cursor}\ndata: {data}\n\n")
        await self._send({"type": "http.response.body", "body": b""})

    async def _write(self, text: str) -> None:
        body = text.encode()
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


class Streams:
    """Every open stream of this process."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._wakeups = Wakeups(runtime.redis, "events")
        self._open: dict[str, int] = {}

    async def close(self) -> None:
        """Stop listening."""
        await self._wakeups.close()

    async def serve(
        self,
        scope: Any,
        receive: Any,
        send: Any,
        principal: Principal,
        headers: dict[bytes, bytes],
    ) -> None:
        """Serve one stream until its reader goes or the process stops.

        Raises: ScopeMissing, Invalid, TooManyStreams, and what the events' service refuses; all
        of them before the stream begins.
        """
        principal.require("events:read")
        query = scope["query_string"]
        wanted = Wanted.of(query)
        # A browser that comes again says by itself where it was.
        last = headers.get(b"last-event-id", b"").decode("latin-1")
        if last and _is_number(last):
            wanted = Wanted(wanted.types, last)
        topic = f"{principal.tenant_id}:{'live' if principal.livemode else 'test'}"
        if self._open.get(topic, 0) >= STREAMS_MAX:
            raise TooManyStreams(f"{STREAMS_MAX} streams are open", retry_after_seconds=10)
        cursor = await peers.position(self._runtime, principal, wanted.after)
        reader: Reader = WebSocketReader(send) if _is_socket(scope) else SseReader(send)
        stream = _Stream(self._runtime, self._wakeups, reader, principal, wanted, cursor, headers)
        self._open[topic] = self._open.get(topic, 0) + 1
        self._runtime.streams += 1
        try:
            await stream.run(receive, topic)
        except Exception:
            _log.exception("stream_broken", cursor=stream.cursor)
            with suppress(Exception):
                await reader.close(stream.cursor, BROKEN, "an internal error")
        finally:
            self._runtime.streams -= 1
            self._open[topic] -= 1
            if not self._open[topic]:
                del self._open[topic]


class _Stream:
    """One stream: where it is, and who reads it."""

    def __init__(
        self,
        runtime: Runtime,
        wakeups: Wakeups,
        reader: Reader,
        principal: Principal,
        wanted: Wanted,
        cursor: int,
        headers: dict[bytes, bytes],
    ) -> None:
        self._runtime = runtime
        self._wakeups = wakeups
        self._reader = reader
        self._principal = principal
        self._wanted = wanted
        self.cursor = cursor
        self._headers = headers
        self._said = cursor
        self._said_at = self._checked_at = time.monotonic()

    async def run(self, receive: Any, topic: str) -> None:
        """Follow the events until the reader is gone."""
        await self._reader.open()
        await self._reader.frame(self.cursor, "null")
        gone = asyncio.ensure_future(_gone(receive))
        leaving = asyncio.ensure_future(self._runtime.leaving.wait())
        following = asyncio.ensure_future(self._follow(topic))
        try:
            await asyncio.wait([gone, leaving, following], return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return
            following.cancel()
            with suppress(asyncio.CancelledError):
                if await following:
                    await self._reader.close(self.cursor, CREDENTIAL_ENDED, "credential ended")
                    return
            await self._reader.close(self.cursor, RESTARTING, "the server stops")
        finally:
            for task in (gone, leaving, following):
                task.cancel()
            await asyncio.gather(gone, leaving, following, return_exceptions=True)

    async def _follow(self, topic: str) -> bool:
        """Hand events over for as long as the credential holds; True when it has ended."""
        async with self._wakeups.waiting(topic) as event:
            while await self._credential_holds():
                event.clear()
                if await self._hand_over():
                    continue
                await self._show_life()
                with suppress(TimeoutError):
                    async with asyncio.timeout(SILENCE_SECONDS):
                        await event.wait()
                        # What happens in a burst is asked for together.
                        await asyncio.sleep(GATHER_SECONDS)
        return True

    async def _hand_over(self) -> bool:
        """Hand over what is new; True when there may be more."""
        try:
            found, cursor, more = await peers.events_after(
                self._runtime, self._principal, self.cursor, self._wanted.types
            )
        except BillplaneError as error:
            # Who keeps the events is away: the cursor waits, and so does the reader.
            _log.info("stream_waits", reason=error.reason)
            return False
        for number, text in found:
            await self._reader.frame(number, text)
            self.cursor = self._said = number
            self._said_at = time.monotonic()
        self.cursor = max(self.cursor, cursor)
        return more

    async def _show_life(self) -> None:
        now = time.monotonic()
        if now - self._said_at < POSITION_SECONDS:
            return
        self._said_at = now
        if self.cursor != self._said:
            # Events of other types went by: a reader that comes again need not pass them again.
            self._said = self.cursor
            await self._reader.frame(self.cursor, "null")
        else:
            await self._reader.quiet()

    async def _credential_holds(self) -> bool:
        """Ask now and then whether the credential still opens the door."""
        now = time.monotonic()
        if now - self._checked_at < CREDENTIAL_SECONDS:
            return True
        self._checked_at = now
        try:
            await self._runtime.authenticator.authenticate(*credentials_of(self._headers))
        except BillplaneError as error:
            return error.kind is not Kind.UNAUTHENTICATED
        return True


async def _gone(receive: Any) -> None:
    """Wait until the reader is gone; what it sends is nothing to us."""
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        pass


def _is_socket(scope: Any) -> bool:
    return bool(scope["type"] == "websocket")


class Refusing:
    """Lets a refusal be told as HTTP where a WebSocket was asked for.

    Source: the ASGI extension `websocket.http.response`.
    """

    def __init__(self, send: Any) -> None:
        self._send = send

    async def __call__(self, message: Any) -> None:
        """Send a message of the refusal, or of the stream."""
        kind = str(message["type"])
        if kind.startswith("http.response."):
            message = {**message, "type": f"websocket.{kind}"}
        await self._send(message)
