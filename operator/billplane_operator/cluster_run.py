"""Reconciling a cluster for as long as the process runs: Lease, watch, resync and probes."""

import asyncio
import contextlib
import signal
from collections.abc import Collection
from typing import Any

from billplane.chassis import logging
from billplane.chassis.clock import SystemClock
from billplane.chassis.errors import BillplaneError

from billplane_operator import handlers, probes
from billplane_operator.cluster import Cluster, Document, KubernetesError
from billplane_operator.cluster_resources import ClusterResources
from billplane_operator.lease import Lease
from billplane_operator.peers import Peers
from billplane_operator.reconcile import Reconciler
from billplane_operator.settings import OperatorSettings

_log = logging.get("operator")

_SOON_SECONDS = 1.0


class Operator:
    """One operator process: it works while the Lease is its own."""

    def __init__(self, settings: OperatorSettings) -> None:
        self._settings = settings
        self._cluster = Cluster()
        self._lease = Lease(self._cluster, settings, SystemClock())
        self.resources = ClusterResources(self._cluster, settings, lambda: self._lease.draining)
        self._peers = Peers(settings, self.resources.tenant_of)
        self.reconciler = Reconciler(
            self.resources, self._peers, SystemClock(), settings, self._newer_epoch
        )
        self._health = probes.Health(settings)
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stop.set()

    async def run(self) -> int:
        """Work until told to stop; return the exit code, which is 1 when the Lease is lost."""
        server = await probes.serve(self._health, self._settings)
        try:
            acquired = await self._acquire()
            return await self._work() if acquired else 0
        finally:
            await server.cleanup()
            await self._peers.close()
            await self._cluster.close()

    async def _acquire(self) -> bool:
        """Wait for the Lease; answer whether it came before the stop."""
        taking = asyncio.create_task(self._lease.acquire())
        await _first([taking, asyncio.create_task(self._stop.wait())])
        if taking.cancelled():
            return False
        taking.result()
        return not self._stop.is_set()

    async def _work(self) -> int:
        self._note_epoch()
        await self._list_at_first()
        self._health.began(self.reconciler, self.resources.watched)
        self._health.resynced(listed=True)
        reconciling = asyncio.create_task(self.reconciler.run())
        watches = await self._watch()
        ends = [
            reconciling,
            *watches,
            asyncio.create_task(self._lease.renew_for_ever()),
            asyncio.create_task(self._lease.lost.wait()),
            asyncio.create_task(self._resync_for_ever()),
            asyncio.create_task(self._stop.wait()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed = await self._end(reconciling, ends)
        return 0 if self._stop.is_set() and not failed else 1

    async def _end(self, reconciling: "asyncio.Task[None]", ends: Collection[Any]) -> bool:
        """End what is in hand while the Lease still is ours; answer whether anything failed."""
        if self._lease.lost.is_set():
            reconciling.cancel()
        await self.reconciler.stop()
        others = [task for task in ends if task is not reconciling]
        done = [task for task in ends if task.done() and not task.cancelled()]
        failed = [task for task in done if task.exception()]
        for task in failed:
            _log.error("operator_failed", error=repr(task.exception()))
        for task in others:
            task.cancel()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError, ExceptionGroup):
            async with asyncio.timeout(self._settings.stop_grace_seconds):
                await reconciling
        await asyncio.gather(*others, return_exceptions=True)
        await self._lease.release()
        _log.info("operator_stopped")
        return bool(failed)

    async def _list_at_first(self) -> None:
        """List everything once, however long the API server takes to answer."""
        while not self._stop.is_set():
            try:
                for key in await self.resources.list_all():
                    await self.reconciler.add(key)
                await self.resources.look_around()
            except KubernetesError as error:
                _log.warning("resources_not_listed", error=str(error))
                await asyncio.sleep(_SOON_SECONDS)
            else:
                return

    async def _watch(self) -> Collection["asyncio.Task[Any]"]:
        """Start Kopf; return its tasks, whose end is ours."""
        tasks = await handlers.watch(self._tell, self._settings, self._lease.holder)
        # Kopf has set its own: a signal is to end us first, then the watch.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError, RuntimeError):
                loop.add_signal_handler(number, self.stop)
        return tasks

    async def _tell(self, document: Document, deleted: bool) -> None:
        key = self.resources.watched.event(document, deleted=deleted)
        if key is not None:
            await self.reconciler.add(key)

    async def _resync_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.resync_seconds)
            try:
                for key in await self.resources.list_all():
                    _log.warning("event_missed", kind=key.kind, name=key.name)
                    await self.reconciler.add(key)
            except BillplaneError as error:
                _log.warning("resync_failed", error=str(error))
                self._health.resynced(listed=False)
            else:
                self._health.resynced(listed=True)

    async def _newer_epoch(self, epoch: int) -> None:
        await self._lease.raise_above(epoch)
        self._note_epoch()

    def _note_epoch(self) -> None:
        self._peers.epoch = self._lease.epoch
        probes.EPOCH.set(self._lease.epoch)


async def _first(tasks: Collection["asyncio.Task[Any]"]) -> None:
    """Wait for the first of some tasks and cancel the others."""
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def run(settings: OperatorSettings) -> int:
    """Run one operator until SIGTERM or SIGINT."""
    operator = Operator(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, operator.stop)
    return await operator.run()
