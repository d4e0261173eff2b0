"""Hosts any set of services in one process: one REST server, one gRPC server, one stop."""

import asyncio
import gc
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import grpc
import uvicorn
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from redis.asyncio import Redis

from billplane.chassis import logging, operations, tracing
from billplane.chassis.app import ServiceApp
from billplane.chassis.auth import Authenticator, InternalTokens, internal_seed
from billplane.chassis.channels import MESSAGE_BYTES_MAX, Channels
from billplane.chassis.clock import Clock, SystemClock
from billplane.chassis.dispatch import Dispatch
from billplane.chassis.events.brokers import choose
from billplane.chassis.events.transport import TopologyDiffers, Transport
from billplane.chassis.http_protocol import HttpProtocol
from billplane.chassis.identity_client import IdentityClient
from billplane.chassis.rest_app import build
from billplane.chassis.runtime import Runtime
from billplane.chassis.settings import Settings, SettingsError

_log = logging.get("host")

REST_PORT = 8080
GRPC_PORT = 50051
# Objects made before the young ones are looked through; requests leave few cycles behind.
GARBAGE_THRESHOLD = 10_000
# How long a stop waits for streams, which need only to say where they ended.
STREAMS_SECONDS = 2
# Streams go one way: what clients send is no more than a word.
MESSAGE_BYTES_FROM_CLIENT_MAX = 65_536


class Platform:
    """Some services in this process."""

    def __init__(
        self,
        apps: Sequence[ServiceApp],
        *,
        clock: Clock | None = None,
        environ: dict[str, str] | None = None,
        addresses: dict[str, str] | None = None,
    ) -> None:
        self.settings = Settings.load(environ=environ)
        self.apps = list(apps)
        self.apps_by_name = {app.name: app for app in apps}
        self.clock = clock or SystemClock()
        self.tokens = InternalTokens(internal_seed(self.settings))
        offset = self.settings.port_offset
        local = {app.name: f"127.0.0.1:{GRPC_PORT + offset}" for app in apps}
        self.channels = Channels(
            self.tokens, {**(addresses or {}), **local}, self.settings.peer_suffix
        )
        self._redis: dict[str, Redis] = {}
        self._transports: dict[tuple[str, ...], Transport] = {}
        identity = IdentityClient(self.channels)
        self.authenticator = Authenticator(
            self.tokens,
            identity.key_holder,
            identity.user_keys,
            identity.staff_role,
            self.settings.admin_key,
        )
        self.runtimes = {app.name: self._runtime(app, environ) for app in apps}
        self.rest_ports = self._ports("kept_rest_ports", REST_PORT)
        self.grpc_ports = self._ports("kept_grpc_ports", GRPC_PORT)
        self._servers: list[Any] = []
        self.health = health.aio.HealthServicer()

    def _runtime(self, app: ServiceApp, environ: dict[str, str] | None) -> Runtime:
        settings = app.settings.load(app.name, environ)
        redis = self._redis.get(settings.redis_url)
        if redis is None:
            redis = Redis.from_url(settings.redis_url, socket_connect_timeout=5)
            self._redis[settings.redis_url] = redis
        brokers = (settings.redis_url, settings.rabbitmq_url, settings.kafka_bootstrap_servers)
        transport = self._transports.get(brokers)
        if transport is None:
            transport = choose(settings, redis, f"{socket.gethostname()}-{id(self)}")
            self._transports[brokers] = transport
        return Runtime(
            app,
            settings,
            self.clock,
            self.tokens,
            self.authenticator,
            self.channels,
            redis,
            transport,
        )

    def _ports(self, attribute: str, main: int) -> dict[int, str]:
        """Return port → the service whose own port it is; the main port belongs to nobody."""
        offset = self.settings.port_offset
        ports: dict[int, str] = {main + offset: ""}
        for app in self.apps:
            for port in getattr(app, attribute):
                ports.setdefault(port + offset, app.name)
        if len(self.apps) == 1:
            ports[main + offset] = self.apps[0].name
        return ports

    async def start(self) -> None:
        """Open every port, then begin background work.

        Raises: SettingsError naming a port that is taken and the setting that moves it.
        """
        sockets: list[socket.socket] = []
        try:
            for port in self.rest_ports:
                sockets.append(self._listen(port))  # noqa: PERF401 - those before a taken one are closed
            await self._start(sockets)
        except BaseException:
            for listener in sockets:
                listener.close()
            for transport in self._transports.values():
                await transport.close()
            raise

    async def _start(self, sockets: list[socket.socket]) -> None:
        for runtime in self.runtimes.values():
            await runtime.check_schema()
        rest = {
            name: runtime.app.front(runtime) if runtime.app.front else build(runtime)
            for name, runtime in self.runtimes.items()
        }
        for runtime in self.runtimes.values():
            runtime.peers_in_process = rest
        self.dispatch = Dispatch(self.runtimes, rest, self.rest_ports)
        await self._declare()
        await self._start_grpc()
        for runtime in self.runtimes.values():
            await runtime.start()
        await self._start_rest(sockets)
        for runtime in self.runtimes.values():
            for servicer in runtime.app.rpc:
                await self.health.set(servicer.full_name, health_pb2.HealthCheckResponse.SERVING)
        await self.health.set("", health_pb2.HealthCheckResponse.SERVING)
        _log.info("platform_ready", services=list(self.runtimes), ports=list(self.rest_ports))

    async def _declare(self) -> None:
        try:
            for runtime in self.runtimes.values():
                await runtime.declare()
        except TopologyDiffers as error:
            raise SettingsError(str(error)) from None

    def _listen(self, port: int) -> socket.socket:
        host = self.settings.bind_host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise SettingsError(_taken(host, port, error)) from None
        listener.listen(1024)
        listener.setblocking(False)
        return listener

    async def _start_grpc(self) -> None:
        server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_connection_age_ms", 300_000),
            ]
        )
        server.add_generic_rpc_handlers((operations.handler(self.runtimes),))
        names = [health.SERVICE_NAME, reflection.SERVICE_NAME, operations.rpc.full_name]
        for runtime in self.runtimes.values():
            for servicer in runtime.app.rpc:
                server.add_generic_rpc_handlers((servicer.handler(runtime),))
                names.append(servicer.full_name)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        reflection.enable_server_reflection(names, server)
        for port in self.grpc_ports:
            address = f"{self.settings.bind_host}:{port}"
            try:
                bound = server.add_insecure_port(address)
            except RuntimeError as error:
                raise SettingsError(_taken(self.settings.bind_host, port, error)) from None
            if not bound:
                raise SettingsError(_taken(self.settings.bind_host, port, "refused"))
        await server.start()
        self._grpc = server

    async def _start_rest(self, sockets: list[socket.socket]) -> None:
        config = uvicorn.Config(
            self.dispatch,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=int(self.settings.stop_grace_seconds),
            ws="websockets-sansio",
            ws_max_size=MESSAGE_BYTES_FROM_CLIENT_MAX,
            http=HttpProtocol,
            # Longer than clients keep idle connections, so that none meets one just closed.
            timeout_keep_alive=75,
        )
        self._uvicorn = _Server(config)
        self._serving = asyncio.create_task(self._uvicorn.serve(sockets=sockets))
        while not self._uvicorn.started:
            if self._serving.done():
                await self._serving
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop in order: not ready, drain, finish what runs, end background work, close pools."""
        started = time.monotonic()
        for runtime in self.runtimes.values():
            runtime.leave()
        await self.health.enter_graceful_shutdown()
        # Whoever keeps a connection open is told with the next answer, and asks another pod then.
        self._uvicorn.config.encoded_headers.append((b"connection", b"close"))
        await asyncio.sleep(self.settings.drain_seconds)
        await self._streams_ended()
        grace = self.settings.stop_grace_seconds
        self._uvicorn.should_exit = True
        await asyncio.gather(self._serving, self._grpc.stop(grace / 2))
        await asyncio.gather(*(runtime.stop() for runtime in self.runtimes.values()))
        await self.channels.close()
        for transport in self._transports.values():
            await transport.close()
        for redis in self._redis.values():
            await redis.aclose()
        for runtime in self.runtimes.values():
            await runtime.database.close()
        _log.info("platform_stopped", seconds=round(time.monotonic() - started, 2))

    async def _streams_ended(self) -> None:
        """Let streams say where they ended before the server cuts them off."""
        deadline = time.monotonic() + STREAMS_SECONDS
        while any(runtime.streams for runtime in self.runtimes.values()):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.01)


class _Server(uvicorn.Server):
    """Leaves signals to the host, which stops more than HTTP."""

    def install_signal_handlers(self) -> None:
        """Install none."""

    def capture_signals(self) -> Any:
        """Capture none."""
        return nullcontext()


def _taken(host: str, port: int, error: object) -> str:
    return (
        f"port {port} on {host} cannot be opened ({error}): end what listens there,"
        " or set BILLPLANE_PORT_OFFSET to move all ports"
    )


def settle_memory() -> None:
    """Leave what was loaded out of garbage collection: only what requests make is looked through.

    Source: docs.python.org/3/library/gc.html, `gc.freeze`.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


async def serve(apps: Sequence[ServiceApp]) -> int:
    """Run services until a signal; a second signal ends at once. Returns the exit code."""
    settings = Settings.load()
    logging.configure(settings.log_level, settings.log_format)
    tracing.configure(settings)
    platform = Platform(apps)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stopping.is_set():
            raise SystemExit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    await platform.start()
    settle_memory()
    await stopping.wait()
    await platform.stop()
    return 0


def run(apps: Sequence[ServiceApp]) -> int:
    """Host services in this process; the entry of `python -m billplane run`."""
    return uvloop.run(serve(apps))
