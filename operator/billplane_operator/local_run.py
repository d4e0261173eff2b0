"""Reconciling a folder: for as long as the process runs, or once."""

import asyncio
import signal
import sys
import time

from billplane.chassis.clock import SystemClock

from billplane_operator.conditions import READY
from billplane_operator.kinds import Key
from billplane_operator.local import Folder
from billplane_operator.peers import Peers
from billplane_operator.reconcile import Reconciler
from billplane_operator.settings import OperatorSettings

# A look at the folder may take a twentieth of the time at most.
_REST_FACTOR = 20
_FINAL = frozenset({"InvalidSpec", "AwaitingApproval", "Paused"})


async def watch(folder: Folder, settings: OperatorSettings, interval: float) -> None:
    """Reconcile until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    peers = Peers(settings)
    reconciler = Reconciler(folder, peers, SystemClock(), settings)
    work = asyncio.create_task(_reconcile(reconciler, peers))
    work.add_done_callback(lambda _: stop.set())
    try:
        folder.scan()
        changed = set(folder.keys())
        while not stop.is_set():
            for key in sorted(changed):
                await reconciler.add(key)
            started = time.monotonic()
            changed = folder.scan()
            rest = max(interval, (time.monotonic() - started) * _REST_FACTOR)
            if not changed:
                await _pause(stop, rest)
    finally:
        await _end(reconciler, work, peers)


async def apply_once(folder: Folder, settings: OperatorSettings, seconds: float) -> int:
    """Apply what is there; tell what became of each resource."""
    peers = Peers(settings)
    reconciler = Reconciler(folder, peers, SystemClock(), settings)
    work = asyncio.create_task(_reconcile(reconciler, peers))
    keys = sorted(folder.scan())
    try:
        for key in keys:
            await reconciler.add(key)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not work.done():
            if all(_decided(folder, key) for key in keys):
                break
            await asyncio.sleep(0.05)
    finally:
        await _end(reconciler, work, peers)
    for line in folder.unreadable:
        sys.stdout.write(f"{line}\n")
    for key in keys:
        found = _ready(folder, key)
        told = " ".join(str(found.get(name, "")) for name in ("status", "reason", "message"))
        sys.stdout.write(f"{key.kind} {key.namespace}/{key.name}: {told.strip()}\n")
    applied = all(_ready(folder, key).get("status") == "True" for key in keys)
    return 0 if applied and not folder.unreadable else 1


async def _reconcile(reconciler: Reconciler, peers: Peers) -> None:
    """Reconcile once the services answer at all: both are often started together."""
    await peers.wait_reachable()
    await reconciler.run()


async def _end(reconciler: Reconciler, work: "asyncio.Task[None]", peers: Peers) -> None:
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    reconciler.queue.close()
    await peers.close()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _ready(folder: Folder, key: Key) -> dict[str, str]:
    for condition in folder.told(key).get("conditions") or ():
        if condition["type"] == READY:
            return dict(condition)
    return {}


def _decided(folder: Folder, key: Key) -> bool:
    found = _ready(folder, key)
    return found.get("status") == "True" or found.get("reason") in _FINAL
