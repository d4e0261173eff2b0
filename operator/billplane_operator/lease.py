"""The operator's Lease: who works, and the epoch by which services tell an old operator from us.

Every process that begins to work raises `leaseTransitions`, alone or as one of two; that count is
the epoch. Alone, it takes the Lease at once, so that a restart waits for nobody; as a standby it
waits until the holder stops renewing. Either way an operator that lives on unnoticed elsewhere is
refused by every service.
"""

import asyncio
import secrets
import socket
import time
from datetime import datetime
from typing import Final

from billplane.chassis import logging
from billplane.chassis.clock import Clock

from billplane_operator.cluster import LEASES, Cluster, Document, KubernetesError
from billplane_operator.settings import OperatorSettings

_log = logging.get("operator")

DRAINING: Final = "billplane.io/draining"


class Lease:
    """One process' hold on the Lease; `lost` is set when another has it."""

    def __init__(self, cluster: Cluster, settings: OperatorSettings, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._namespace = settings.lease_namespace or cluster.namespace
        self._name = settings.lease_name
        self._standby = settings.standby
        self._seconds = settings.lease_seconds
        self._renewed = time.monotonic()
        self.holder = f"{socket.gethostname()}_{secrets.token_hex(4)}"
        self.epoch = 0
        self.draining = False
        self.lost = asyncio.Event()

    async def acquire(self) -> None:
        """Wait until the Lease is ours; the API server may be away meanwhile."""
        seen: tuple[str, float] | None = None
        while True:
            try:
                found = await self._cluster.get(LEASES, self._namespace, self._name)
                spec = (found or {}).get("spec") or {}
                # Another's clock may be wrong: what counts is how long we saw nothing change.
                state = f"{spec.get('holderIdentity')} {spec.get('renewTime')}"
                if seen is None or seen[0] != state:
                    seen = (state, time.monotonic())
                held = time.monotonic() - seen[1] < spec.get("leaseDurationSeconds", 0)
                waits = self._standby and bool(spec.get("holderIdentity")) and held
                if not waits and await self._take(found):
                    return
            except KubernetesError as error:
                _log.warning("lease_not_acquired", error=str(error))
            await asyncio.sleep(min(1.0, self._seconds / 5))

    async def renew_for_ever(self) -> None:
        """Renew the Lease until it is lost."""
        while not self.lost.is_set():
            await asyncio.sleep(self._seconds / 3)
            try:
                await self.renew()
            except KubernetesError as error:
                _log.warning("lease_not_renewed", error=str(error))
                if self._standby and time.monotonic() - self._renewed > self._seconds:
                    self._lose("nobody could be told that it is held")

    async def renew(self) -> None:
        """Tell that we are there, and notice whether we are to let resources go.

        Raises: KubernetesError.
        """
        found = await self._ours()
        if found is None:
            return
        spec = {**found["spec"], "renewTime": self._now()}
        await self._cluster.replace(LEASES, {**found, "spec": spec})
        self._renewed = time.monotonic()
        annotations = found["metadata"].get("annotations") or {}
        self.draining = annotations.get(DRAINING) == "true"

    async def raise_above(self, epoch: int) -> None:
        """Take a higher epoch than one that a service has seen, while the Lease is ours.

        A Lease that somebody deleted counts from the beginning; services do not.

        Raises: KubernetesError.
        """
        if epoch <= self.epoch:
            return
        found = await self._ours()
        if found is None:
            return
        spec = {**found["spec"], "leaseTransitions": epoch + 1, "renewTime": self._now()}
        await self._cluster.replace(LEASES, {**found, "spec": spec})
        self.epoch = epoch + 1
        _log.warning("epoch_raised", epoch=self.epoch)

    async def release(self) -> None:
        """Let the Lease go, so that a standby need not wait."""
        try:
            found = await self._ours()
            if found is not None:
                spec = {**found["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self._cluster.replace(LEASES, {**found, "spec": spec})
        except KubernetesError as error:
            _log.warning("lease_not_released", error=str(error))

    async def _take(self, found: Document | None) -> bool:
        spec = dict((found or {}).get("spec") or {})
        epoch = int(spec.get("leaseTransitions", 0)) + 1
        now = self._now()
        spec |= {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": max(1, round(self._seconds)),
            "leaseTransitions": epoch,
            "acquireTime": now,
            "renewTime": now,
        }
        if found is None:
            made = LEASES.object(self._name, self._namespace, spec=spec)
            if await self._cluster.create(LEASES, made) is None:
                return False
        else:
            metadata = dict(found["metadata"])
            annotations = dict(metadata.get("annotations") or {})
            annotations.pop(DRAINING, None)
            metadata["annotations"] = annotations
            await self._cluster.replace(LEASES, {**found, "metadata": metadata, "spec": spec})
        self.epoch = epoch
        self._renewed = time.monotonic()
        _log.info("lease_acquired", epoch=epoch, holder=self.holder)
        return True

    async def _ours(self) -> Document | None:
        """Return the Lease if we hold it; else we have lost it."""
        found = await self._cluster.get(LEASES, self._namespace, self._name)
        if found is None:
            # Deleted, not taken: we are alone until somebody proves otherwise.
            spec = {
                "holderIdentity": self.holder,
                "leaseDurationSeconds": max(1, round(self._seconds)),
                "leaseTransitions": self.epoch,
                "acquireTime": self._now(),
                "renewTime": self._now(),
            }
            made = LEASES.object(self._name, self._namespace, spec=spec)
            return await self._cluster.create(LEASES, made)
        holder = (found.get("spec") or {}).get("holderIdentity")
        if holder != self.holder:
            self._lose(f"{holder or 'nobody'} holds it")
            return None
        return found

    def _lose(self, why: str) -> None:
        _log.error("lease_lost", why=why)
        self.lost.set()

    def _now(self) -> str:
        return micro_time(self._clock.now())


def micro_time(instant: datetime) -> str:
    """Write an instant as Kubernetes' MicroTime."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
