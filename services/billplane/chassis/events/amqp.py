"""One connection to RabbitMQ that is made again for ever, and the breaker before its publishing."""

import asyncio
import logging as standard_logging
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ConnectionClosed,
    ProbableAuthenticationError,
)
from yarl import URL

from billplane.chassis import logging
from billplane.chassis.events.state import BrokerState
from billplane.chassis.events.transport import TopologyDiffers
from billplane.chassis.finishing import end_if_cancelled
from billplane.chassis.settings import Settings

_log = logging.get("events")
# It says each failed attempt as an error; ours is said once per change.
standard_logging.getLogger("aiormq.connection").setLevel(standard_logging.CRITICAL)

CONNECT_SECONDS = 5
DECLARE_SECONDS = 30
ASK_SECONDS = 10
HEARTBEAT_SECONDS = "15"
LOOK_SECONDS = 0.25
# What a client says first; a broker that is up answers with its greeting. Source: AMQP 0-9-1, 4.2.2
_GREETING = b"AMQP\x00\x00\x09\x01"
_TURNED_AWAY = (AuthenticationError, ProbableAuthenticationError, ConnectionClosed)
BROKEN = (AMQPError, OSError, TimeoutError, RuntimeError)


@asynccontextmanager
async def asking(seconds: float = ASK_SECONDS) -> AsyncIterator[None]:
    """Bound what is asked of the broker, and tell a channel that closes from a stop of ours.

    The client cancels what waits on a channel that closes.
    Raises: TimeoutError; ConnectionError in place of a cancellation that nobody asked us for.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise ConnectionError("the channel was closed") from error


def addresses(url: str) -> list[URL]:
    """Return one URL a host of `amqp://user:pass@host:port,host:port/vhost`."""
    parts = url.split(",") if url.count("://") > 1 else _spread(url)
    found = []
    for part in parts:
        address = URL(part.strip())
        if "heartbeat" not in address.query:
            address = address.update_query(heartbeat=HEARTBEAT_SECONDS)
        found.append(address)
    return found


def _spread(url: str) -> list[str]:
    scheme, _, rest = url.partition("://")
    login, at, tail = rest.rpartition("@")
    hosts, slash, path = tail.partition("/")
    return [f"{scheme}://{login}{at}{host}{slash}{path}" for host in hosts.split(",")]


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return a context that verifies the broker, and shows our certificate where there is one."""
    context = ssl.create_default_context(cafile=settings.rabbitmq_ca_file or None)
    if settings.rabbitmq_cert_file:
        context.load_cert_chain(
            settings.rabbitmq_cert_file, settings.rabbitmq_key_file or settings.rabbitmq_cert_file
        )
    return context


class CircuitBreaker:
    """Stops publishing after so many failures in a row; lets one try pass after each pause."""

    def __init__(self, settings: Settings, state: BrokerState) -> None:
        self._enabled = settings.rabbitmq_circuit_breaker_enabled
        self._threshold = settings.rabbitmq_circuit_breaker_threshold
        self._pause = settings.rabbitmq_reconnect_delay_seconds
        self._state = state
        self._failures = 0
        self._closed_until = 0.0

    def allows(self) -> bool:
        """Tell whether to publish; while open, true once a pause: the half-open probe."""
        if self._state.value != "open":
            return True
        if time.monotonic() < self._closed_until:
            return False
        self._closed_until = time.monotonic() + self._pause
        return True

    def failed(self, reason: str) -> None:
        """Count a publish that the broker did not confirm."""
        self._failures += 1
        if self._enabled and self._failures >= self._threshold:
            self._closed_until = time.monotonic() + self._pause
            self._state.become("open", reason)

    def succeeded(self) -> None:
        """Forget the failures: the broker confirms again, or is newly connected."""
        self._failures = 0
        self._state.become("connected")


class AmqpConnection:
    """Keeps a connection: hosts in turn, exponential pauses with full jitter, for ever.

    `made` is awaited on each new connection; it declares and attaches what belongs to it. What it
    raises is a failure to connect, but TopologyDiffers, which ends the trying.
    """

    def __init__(
        self,
        settings: Settings,
        breaker: CircuitBreaker,
        state: BrokerState,
        made: Callable[[AbstractConnection], Awaitable[None]],
        lost: Callable[[], None],
    ) -> None:
        self.current: AbstractConnection | None = None
        self.refused: TopologyDiffers | None = None
        self._addresses = addresses(settings.rabbitmq_url)
        self._tls = tls_context(settings) if settings.rabbitmq_url.startswith("amqps") else None
        self._delay = settings.rabbitmq_reconnect_delay_seconds
        self._delay_max = settings.rabbitmq_reconnect_delay_max_seconds
        self._breaker = breaker
        self._state = state
        self._made, self._lost = made, lost
        self._failing = False
        self._turned_away = False
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def tried(self) -> None:
        """Begin to connect, and return once the first round of attempts ended, well or not.

        Raises: TopologyDiffers.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name="rabbitmq.connection")
        await self._tried.wait()
        if self.refused is not None:
            raise self.refused

    async def renew(self, reason: str) -> None:
        """Give this connection up and make another, with everything that belongs to it."""
        connection = self.current
        if connection is not None:
            _log.warning("broker_connection_renewed", broker="rabbitmq", reason=reason)
            with suppress(*BROKEN):
                await connection.close()

    async def close(self) -> None:
        """End the connection for good."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.current is not None:
            with suppress(*BROKEN):
                await self.current.close()
            self.current = None

    async def _keep(self) -> None:
        failures = 0
        while True:
            end_if_cancelled()
            ended = await self._connect()
            self._tried.set()
            if self.refused is not None:
                return
            if ended is not None:
                failures = 0
                reason = await ended
                self.current = None
                self._lost()
                self._state.become("reconnecting", reason)
            await self._pause(failures, lost=ended is not None)
            failures += 1

    async def _connect(self) -> "asyncio.Future[str] | None":
        """Try each host once; return what tells the end of the connection that was made."""
        for _ in self._addresses:
            address = self._addresses[0]
            ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            connection: AbstractConnection | None = None
            try:
                async with asking(DECLARE_SECONDS):
                    connection = await aio_pika.connect(
                        address, timeout=CONNECT_SECONDS, ssl_context=self._tls
                    )
                    connection.close_callbacks.add(_ending(ended))
                    await self._made(connection)
            except TopologyDiffers as error:
                self.refused = error
                _log.error("topology_differs", broker="rabbitmq", error=str(error))
            except BROKEN as error:
                self._turned_away = isinstance(error, _TURNED_AWAY)
                if not self._failing:
                    self._failing = True
                    _log.warning(
                        "broker_not_reached", broker="rabbitmq", host=address.host,
                        reason=str(error) or type(error).__name__,
                    )  # fmt: skip
                self._addresses.append(self._addresses.pop(0))
            else:
                self.current = connection
                self._failing = False
                self._breaker.succeeded()
                return ended
            if connection is not None:
                with suppress(*BROKEN):
                    await connection.close()
            if self.refused is not None:
                self._lost()
                return None
        return None

    async def _pause(self, failures: int, *, lost: bool) -> None:
        """Wait as long as the jitter says, or until a broker that was silent answers again."""
        ceiling = min(self._delay_max, self._delay * 2 ** min(failures, 16))
        until = time.monotonic() + random.uniform(0, ceiling)  # noqa: S311 - spreads load
        # One that answers and turned us away is left alone for the whole pause, and so is one that
        # ended the connections of us all and is there.
        silent = not await self._greets() if lost else not self._turned_away
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(LOOK_SECONDS, left))
            if silent and await self._greets():
                return

    async def _greets(self) -> bool:
        """Tell whether any host speaks AMQP, without logging in."""
        for address in self._addresses:
            try:
                async with asyncio.timeout(1):
                    reader, writer = await asyncio.open_connection(
                        address.host, address.port or 5672, ssl=self._tls
                    )
                    try:
                        writer.write(_GREETING)
                        if await reader.read(1) == b"\x01":
                            return True
                    finally:
                        writer.close()
            except OSError:
                continue
        return False


def _ending(ended: "asyncio.Future[str]") -> Callable[..., None]:
    def end(_connection: object, error: BaseException | None = None) -> None:
        if not ended.done():
            ended.set_result(str(error) if error else "closed")

    return end
