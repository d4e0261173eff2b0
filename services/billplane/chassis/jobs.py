"""Periodic work: each due row is handled in a transaction of its own tenant."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, text

from billplane.chassis import logging, metrics
from billplane.chassis.auth import service_principal
from billplane.chassis.database.transaction import ReadTransaction, Transaction
from billplane.chassis.errors import StoreUnavailable
from billplane.chassis.finishing import end_if_cancelled, finish

if TYPE_CHECKING:
    from billplane.chassis.runtime import Runtime

_log = logging.get("jobs")


class Worker:
    """What a job works with."""

    def __init__(self, runtime: "Runtime") -> None:
        self.runtime = runtime

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for an event so long, and no longer than the service runs."""
        waiting = [
            asyncio.ensure_future(event.wait()),
            asyncio.ensure_future(self.runtime.stopping.wait()),
        ]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def find(self, function: str, **arguments: Any) -> Sequence[Row[Any]]:
        """Call a worker function of the service's schema by name and named arguments."""
        given = ", ".join(f"{name} => :{name}" for name in arguments)
        statement = text(f"SELECT * FROM {self.runtime.name}.{function}({given})")  # noqa: S608 - names are the code's own
        async with self.runtime.database.across_tenants() as session:
            return (await session.execute(statement, arguments)).all()

    @asynccontextmanager
    async def transaction(self, tenant_id: str, livemode: bool) -> AsyncIterator[Transaction]:
        """Open a transaction of one tenant, as the service itself."""
        runtime = self.runtime
        principal = service_principal(runtime.name, tenant_id, livemode)
        async with runtime.database.write(runtime, principal) as tx:
            yield tx

    @asynccontextmanager
    async def reading(self, tenant_id: str, livemode: bool) -> AsyncIterator[ReadTransaction]:
        """Open a transaction of one tenant that cannot write."""
        runtime = self.runtime
        principal = service_principal(runtime.name, tenant_id, livemode)
        async with runtime.database.read(runtime, principal) as tx:
            yield tx


Work = Callable[[Worker], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Job:
    """Some work and how often it is due."""

    name: str
    every_seconds: float
    work: Work


class Jobs:
    """The periodic work of a service."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def every(self, seconds: float) -> Callable[[Work], Work]:
        """Register a job: `async def name(worker)`."""

        def register(work: Work) -> Work:
            self.jobs.append(Job(str(getattr(work, "__name__", "job")), seconds, work))
            return work

        return register


async def _run(job: Job, worker: Worker) -> None:
    await job.work(worker)


async def run_job(runtime: "Runtime", job: Job) -> None:
    """Run one job again and again until cancelled; a failure waits for the next turn."""
    worker = Worker(runtime)
    await asyncio.sleep(random.uniform(0, min(job.every_seconds, 5)))  # noqa: S311 - spreads load
    while True:
        end_if_cancelled()
        try:
            await finish(_run(job, worker))
            metrics.JOB_RUNS.labels(runtime.name, job.name, "done").inc()
        except StoreUnavailable as error:
            metrics.JOB_RUNS.labels(runtime.name, job.name, "unavailable").inc()
            _log.warning("job_store_unavailable", job=job.name, error=str(error))
        except Exception:
            metrics.JOB_RUNS.labels(runtime.name, job.name, "failed").inc()
            _log.exception("job_failed", service=runtime.name, job=job.name)
        await asyncio.sleep(job.every_seconds)
