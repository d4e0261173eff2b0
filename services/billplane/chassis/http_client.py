"""Outgoing HTTP through one guard: no private address, no redirect, no endless answer."""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from billplane.chassis.errors import BillplaneError, Kind

ANSWER_BYTES_MAX = 32 * 1024 * 1024
LOOK_UPS_MAX = 64
CHECKED_MAX = 10_000
_NETWORK = ipaddress.IPv4Network | ipaddress.IPv6Network
# Ways to private addresses that the standard library takes for global: IPv4-compatible and
# IPv4-translated ones, translation within a site, site-local ones, and relays between the two
# kinds. Source: RFC 4291 2.5.5.1, RFC 2765 2.1, RFC 8215, RFC 3879, RFC 7526.
# What holds another address within, or is no more; Python's own list differs between versions.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10"),
        "192.88.99.0/24",
    )
)


class UrlRefused(BillplaneError):
    """The address is one that outgoing requests may not reach."""

    kind = Kind.INVALID_ARGUMENT
    reason = "URL_REFUSED"


class FetchFailed(BillplaneError):
    """The other side cannot be reached or did not answer as it should."""

    kind = Kind.UNAVAILABLE
    reason = "FETCH_FAILED"


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class Guard:
    """Tells which addresses may be reached: public ones and those of the allow-list."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._hosts = {item.lower() for item in allowed}
        self._networks: list[_NETWORK] = []
        for item in allowed:
            try:
                self._networks.append(ipaddress.ip_network(item, strict=False))
            except ValueError:
                continue  # a host name

    def check_url(self, url: str) -> URL:
        """Return an http or https address as the client will read it.

        The client's own reading counts: it turns full-width digits into plain ones, and takes
        every host of digits and dots for an address that needs no look-up.

        Raises: UrlRefused.
        """
        try:
            parts = URL(url)
        except ValueError:
            raise UrlRefused(f"{url[:80]} is no address") from None
        if parts.scheme not in ("http", "https") or not parts.host:
            raise UrlRefused(f"only http and https addresses can be fetched, not {url[:80]}")
        if parts.user or parts.password:
            raise UrlRefused("credentials do not belong into an address")
        host = parts.host
        if ":" in host or host.replace(".", "").isdigit():
            try:
                allowed = self.allows(host, host)
            except ValueError:
                allowed = False
            if not allowed:
                raise UrlRefused(
                    f"{host} is not a public address; BILLPLANE_OUTGOING_ALLOW_LIST names others"
                    " that may be reached, and `billplane listen` forwards events to this machine"
                )
        return parts

    def allows(self, host: str, address: str) -> bool:
        """Tell whether an address that a host name led to may be reached.

        Source: RFC 6890's special-purpose registries, IPv4-mapped and translated forms included.
        """
        if host.lower() in self._hosts:
            return True
        found = ipaddress.ip_address(address.split("%", 1)[0])
        if isinstance(found, ipaddress.IPv6Address):
            embedded = found.ipv4_mapped
            if embedded is None and found in ipaddress.ip_network("64:ff9b::/96"):
                embedded = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
            if embedded is not None:
                return self.allows("", str(embedded))
        if any(found in network for network in self._networks if network.version == found.version):
            return True
        if any(found in network for network in _NEVER if network.version == found.version):
            return False
        return found.is_global and not found.is_multicast


class _Resolver(AbstractResolver):
    """Resolves once and hands over only what was checked, so that no second look-up differs."""

    def __init__(self, guard: Guard, threads: int) -> None:
        self._guard = guard
        # Of its own: names that take long to look up hold up only what goes out by this client.
        self._threads = ThreadPoolExecutor(threads, "look-up")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host that may be reached.

        Raises: UrlRefused when there is none.
        """
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, socket.getaddrinfo, host, port, family, socket.SOCK_STREAM
        )
        allowed = [item for item in found if self._guard.allows(host, str(item[4][0]))]
        if not allowed:
            raise UrlRefused(f"{host} leads to an address that is not public")
        return [
            ResolveResult(
                hostname=host,
                host=str(item[4][0]),
                port=port,
                family=item[0],
                proto=item[2],
                flags=socket.AI_NUMERICHOST,
            )
            for item in allowed
        ]

    async def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class HttpClient:
    """Fetches addresses that users name; at most `connections` at once, 0 = without limit."""

    def __init__(
        self, allowed: Sequence[str], timeout_seconds: float = 20, connections: int = 20
    ) -> None:
        self._guard = Guard(allowed)
        self._connections = connections
        self._checked: dict[str, URL] = {}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=5)
        self._session: aiohttp.ClientSession | None = None

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | None = None,
        answer_bytes_kept: int | None = None,
    ) -> Fetched:
        """Send one request and return the whole answer, or no more of it than is to be kept.

        Raises: UrlRefused, FetchFailed.
        """
        checked = self._checked.get(url)
        if checked is None:
            checked = self._guard.check_url(url)
            if len(self._checked) >= CHECKED_MAX:
                self._checked.clear()
            self._checked[url] = checked
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_Resolver(self._guard, self._connections or LOOK_UPS_MAX),
                limit=self._connections,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        try:
            async with self._session.request(
                method, checked, headers=headers, json=json, data=data, allow_redirects=False
            ) as answer:
                body = await _read(answer, answer_bytes_kept)
                return Fetched(answer.status, dict(answer.headers), body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
            raise FetchFailed(f"{checked.host} cannot be read: {why}") from None

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()


async def _read(answer: aiohttp.ClientResponse, bytes_kept: int | None) -> bytes:
    chunks, size = [], 0
    while chunk := await answer.content.readany():
        size += len(chunk)
        chunks.append(chunk)
        if bytes_kept is not None and size >= bytes_kept:
            return b"".join(chunks)[:bytes_kept]
        if size > ANSWER_BYTES_MAX:
            raise FetchFailed(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
    return b"".join(chunks)
