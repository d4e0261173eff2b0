"""Health and metrics over HTTP; the probes are tied to progress, not to being there."""

import time
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from billplane.chassis import logging
from billplane.chassis.metrics import exposition
from prometheus_client import Gauge

from billplane_operator import progress
from billplane_operator.reconcile import Reconciler
from billplane_operator.settings import OperatorSettings
from billplane_operator.watched import Watched

_log = logging.get("operator")

EVENT_AGE: Final = Gauge(
    "billplane_operator_last_event_age_seconds", "Time since the watch last told anything", ["kind"]
)
RESOURCES: Final = Gauge("billplane_operator_resources", "Resources that are looked after")
EPOCH: Final = Gauge("billplane_operator_epoch", "Epoch that services are told; 0 = waiting")


class Health:
    """What the probes look at: it is told of each step, and finds when one is overdue."""

    def __init__(self, settings: OperatorSettings) -> None:
        self._stall_seconds = settings.stall_seconds
        self._resync_seconds = settings.resync_seconds
        self._resynced = time.monotonic()
        self._listed = False
        self._standing_by = True
        self._reconciler: Reconciler | None = None
        self._watched: Watched | None = None

    def began(self, reconciler: Reconciler, watched: Watched) -> None:
        """Note that the Lease is ours and work begins."""
        self._standing_by = False
        self._resynced = time.monotonic()
        self._reconciler, self._watched = reconciler, watched

    def resynced(self, *, listed: bool) -> None:
        """Note the end of a resync; one that the API server did not answer is one too."""
        self._resynced = time.monotonic()
        self._listed = listed

    def stalls(self) -> Mapping[str, float]:
        """Return what makes no progress, and for how many seconds."""
        if self._reconciler is None or self._watched is None:
            return {}
        overdue = time.monotonic() - self._resynced - self._resync_seconds
        found = {
            "resync": overdue,
            "reconcile": self._reconciler.progress.longest_seconds(),
            **{f"watch {kind}": age for kind, age in self._watched.silent_seconds().items()},
        }
        return {name: seconds for name, seconds in found.items() if seconds > self._stall_seconds}

    def ready(self) -> bool:
        """Tell whether every kind could be listed, or whether another operator works."""
        return self._standing_by or self._listed

    def observe(self) -> None:
        """Bring the metrics that are read off up to date."""
        if self._reconciler is None or self._watched is None:
            return
        progress.DEPTH.set(self._reconciler.queue.depth())
        RESOURCES.set(len(self._watched))
        for kind, age in self._watched.event_ages().items():
            EVENT_AGE.labels(kind).set(age)


async def serve(health: Health, settings: OperatorSettings) -> web.AppRunner:
    """Answer probes and metrics until the runner is cleaned up."""

    async def live(_request: web.Request) -> web.Response:
        stalls = health.stalls()
        if stalls:
            _log.error("stalled", stalls={name: round(age) for name, age in stalls.items()})
        found = {"status": "stalled" if stalls else "ok", "stalls": dict(stalls)}
        return web.json_response(found, status=503 if stalls else 200)

    async def ready(_request: web.Request) -> web.Response:
        status = 200 if health.ready() else 503
        return web.json_response({"status": "ok" if status == 200 else "starting"}, status=status)

    async def metrics(_request: web.Request) -> web.Response:
        health.observe()
        body, content_type = exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, settings.bind_host, settings.http_port + settings.port_offset).start()
    return runner
