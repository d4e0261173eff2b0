"""One service while it runs: its declaration with everything it needs to work."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any

from google.protobuf.message import Message
from redis.asyncio import Redis
from sqlalchemy import text

from billplane.chassis import logging
from billplane.chassis.acting import STAFF_ACTED
from billplane.chassis.app import ServiceApp
from billplane.chassis.auth import Authenticator, InternalTokens
from billplane.chassis.channels import Channels
from billplane.chassis.clock import Clock
from billplane.chassis.database import Database
from billplane.chassis.errors import StoreUnavailable
from billplane.chassis.events.consumer import Dispatcher
from billplane.chassis.events.registry import MessageType, destinations, mirrored
from billplane.chassis.events.relay import Relay
from billplane.chassis.events.transport import Transport
from billplane.chassis.housekeeping import housekeeping
from billplane.chassis.jobs import run_job
from billplane.chassis.migrations.runner import current, has_history, head
from billplane.chassis.settings import Settings

_log = logging.get("host")

# How long a start waits for the database to answer.
_DATABASE_SECONDS = 30


class Runtime:
    """What use cases, transports and jobs of one service reach through their transaction."""

    def __init__(
        self,
        app: ServiceApp,
        settings: Settings,
        clock: Clock,
        tokens: InternalTokens,
        authenticator: Authenticator,
        channels: Channels,
        redis: "Redis",
        transport: Transport,
    ) -> None:
        self.app = app
        self.name = app.name
        self.settings = settings
        self.clock = clock
        self.tokens = tokens
        self.authenticator = authenticator
        self.channels = channels
        self.redis = redis
        self.transport = transport
        self.database = Database(
            app.name,
            settings.database_url,
            clock,
            settings.pool_size,
            settings.pool_overflow,
            settings.database_answer_seconds,
        )
        self.message_types: dict[type[Message], MessageType] = {
            declared.proto: declared for declared in (STAFF_ACTED, *app.messages)
        }
        self.relay = Relay(self) if has_history(app.name) else None
        self.dispatcher = Dispatcher(self, app.consumers) if app.consumers is not None else None
        self.openapi: dict[str, Any] = {}
        self.serve_open_path: Any = None
        self.peers_in_process: dict[str, Any] = {}
        self.state: Any = None
        self.draining = False
        self.leaving = asyncio.Event()
        self.streams = 0
        self.stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def wake_relay(self) -> None:
        """Publish what was just stored without waiting for the next look."""
        if self.relay is not None:
            self.relay.wake()

    async def declare(self) -> None:
        """Make the streams and queues of the service's messages, where a broker is there.

        Raises: TopologyDiffers.
        """
        consumed = self.dispatcher.destinations if self.dispatcher is not None else []
        produced = destinations(self.app.messages) + mirrored(self.app.mirrors)
        await self.transport.declare(self.name, produced, consumed)

    def leave(self) -> None:
        """Say that the service stops soon: no longer ready, and streams come to their end."""
        self.draining = True
        self.leaving.set()

    async def start(self) -> None:
        """Begin background work."""
        if self.app.start is not None:
            self.state = await self.app.start(self)
        if self.relay is not None:
            self._spawn("relay", self.relay.run())
        if self.dispatcher is not None:
            self._spawn("consumers", self.dispatcher.run())
        jobs = list(self.app.jobs.jobs) if self.app.jobs is not None else []
        if has_history(self.name):
            jobs += housekeeping.jobs
        for job in jobs:
            self._spawn(job.name, run_job(self, job))

    async def stop(self) -> None:
        """End background work: what is in hand is finished, the rest stays for later."""
        self.stopping.set()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self.settings.stop_grace_seconds)
            for task in late:
                _log.warning("background_work_cut_off", task=task.get_name())
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self.state is not None and hasattr(self.state, "close"):
            await self.state.close()
        if self.relay is not None:
            try:
                await self.relay.publish_claimed()
            except Exception as error:
                _log.warning("outbox_left_for_later", service=self.name, error=str(error))

    async def readiness(self) -> dict[str, str]:
        """Tell whether the service's own database and schema are there."""
        if not has_history(self.name):
            return {}
        try:
            async with asyncio.timeout(3), self.database.engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
            found = await current(self.database.engine, self.name)
        except Exception as error:
            return {"database": type(error).__name__}
        return {"database": "ok", "schema": "ok" if found == head(self.name) else "not migrated"}

    async def check_schema(self) -> None:
        """Refuse to start on a database that is not migrated, or stays away.

        Raises: StoreUnavailable.
        """
        deadline = asyncio.get_running_loop().time() + _DATABASE_SECONDS
        state = await self.readiness()
        # A crowded machine at its start is no reason to end: what starts us would only wait longer.
        while state.get("database", "ok") != "ok" and asyncio.get_running_loop().time() < deadline:
            _log.info("database_not_ready", service=self.name, error=state["database"])
            await asyncio.sleep(0.5)
            state = await self.readiness()
        bad = {name: value for name, value in state.items() if value != "ok"}
        if bad:
            raise StoreUnavailable(
                f"{self.name}: {bad}; run `python -m billplane migrate {self.name}`"
            )

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"{self.name}.{name}")
        task.add_done_callback(_end_with)
        self._tasks.append(task)


def _end_with(task: "asyncio.Task[None]") -> None:
    """A loop that ends by itself is a defect: better a restart than a silent half-service."""
    if not task.cancelled() and task.exception() is not None:
        _log.error("background_work_ended", task=task.get_name(), exc_info=task.exception())
        os.kill(os.getpid(), signal.SIGTERM)
