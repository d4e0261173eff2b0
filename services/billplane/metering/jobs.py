"""Periodic work of metering."""

import asyncio

from billplane.chassis.jobs import Jobs, Worker
from billplane.metering.settings import MeteringSettings

jobs = Jobs()


@jobs.every(0.001)
async def flush_usage(worker: Worker) -> None:
    """Move acknowledged events into Postgres, as often as the settings say."""
    settings: MeteringSettings = worker.runtime.settings  # type: ignore[assignment]
    await worker.runtime.state.flusher.flush()
    await asyncio.sleep(settings.flush_seconds)
