"""HTTP as bytes, so that a test can send what no client library would."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    """An answer; `problem` is its body where that is problem+json."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The body of a refusal."""
        assert self.headers["content-type"] == "application/problem+json", self
        found: dict[str, Any] = json.loads(self.body)
        return found


async def exchange(
    port: int, method: str, target: bytes, headers: dict[str, bytes], body: bytes
) -> Received:
    """Send one request as it is and read the answer to its end."""
    lines = [method.encode() + b" " + target + b" HTTP/1.1"]
    given = {"Host": b"localhost", "Connection": b"close", **headers}
    given.setdefault("Content-Length", str(len(body)).encode())
    lines += [name.encode() + b": " + value for name, value in given.items()]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"\r\n".join([*lines, b"", body]))
        async with asyncio.timeout(30):
            return _parsed(await _all(reader, writer))
    finally:
        writer.close()


async def _all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Read while still writing: a server may answer before it has read everything."""
    draining = asyncio.create_task(_drain(writer))
    received = b""
    try:
        while chunk := await reader.read(65_536):
            received += chunk
    except ConnectionResetError:
        pass  # the server closed on what it did not read; what it said came first
    draining.cancel()
    return received


async def _drain(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.drain()
    except ConnectionError:
        return


def _parsed(received: bytes) -> Received:
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    if headers.get("transfer-encoding") == "chunked":
        body = _dechunked(body)
    return Received(int(first.split(" ")[1]), headers, body)


def _dechunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        whole += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    return whole
