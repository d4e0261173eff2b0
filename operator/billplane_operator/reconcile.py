"""Read what is wanted and what is, plan, act, write the status: the same wherever we run.

Level-based: a look at a resource needs no memory of earlier looks, so lost, repeated or late news
of a change cost nothing but time.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias

from billplane.chassis import logging
from billplane.chassis.clock import Clock
from billplane.chassis.errors import BillplaneError, Kind, PeerError

from billplane_operator import conditions, progress
from billplane_operator.conditions import PAUSED, READY, Condition, not_ready
from billplane_operator.kinds import (
    RULES,
    Action,
    Actual,
    Applied,
    Apply,
    CompareBills,
    DeleteChild,
    Desired,
    EnsureChild,
    Key,
    Probe,
    Provide,
    Refresh,
    Remove,
    plan_removal,
)
from billplane_operator.peers import APPLIED_KINDS, Peers
from billplane_operator.port import Broken, Gone, Port
from billplane_operator.settings import OperatorSettings
from billplane_operator.work_queue import WorkQueue

_log = logging.get("operator")

INVALID: Final = "InvalidSpec"
STALE: Final = "STALE_GENERATION"
# Somebody else decides what becomes of these: asking again at once helps nobody.
_LEFT_ALONE: Final = frozenset(
    {"AwaitingApproval", "ConfigMapMissing", "FetchFailed", "SecretMissing"}
)
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})
_AGAIN_EVERY: Final = 6
_AGAIN_KINDS: Final = frozenset({"BillingPlan", "ExchangeRateFeed", "UtilityProvider"})

_Place: TypeAlias = tuple[str, str]
_Expected: TypeAlias = tuple[str, str, str]
"""Uid, spec hash and source digest of what a service is to run."""
NewerEpoch = Callable[[int], Awaitable[None]]


class Reconciler:
    """Looks at resources until the services run them, and again when something changes.

    `newer_epoch` is told the epoch of another operator that a service has seen.
    """

    def __init__(
        self,
        port: Port,
        peers: Peers,
        clock: Clock,
        settings: OperatorSettings,
        newer_epoch: NewerEpoch | None = None,
    ) -> None:
        self._port = port
        self._peers = peers
        self._clock = clock
        self._settings = settings
        self._newer_epoch = newer_epoch
        self.queue: WorkQueue[Key] = WorkQueue(
            settings.backoff_max_seconds, retrying_max=max(1, settings.workers - 1)
        )
        self.progress = progress.Progress()
        self._applied: dict[_Place, dict[str, Applied]] = {}
        self._changes: Counter[_Place] = Counter()
        self._expected: dict[Key, _Expected] = {}
        self._probe_due: set[Key] = set()
        self._stopping = asyncio.Event()

    async def add(self, key: Key) -> None:
        """Ask for a look at a resource, now."""
        self.queue.forget(key)
        await self.queue.add(key, RULES[key.kind].rank)

    async def run(self) -> None:
        """Work until stopped; cancelled, what is in hand is looked at again after a start."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.workers):
                group.create_task(self._work())
            group.create_task(self._compare_for_ever())

    async def stop(self) -> None:
        """End `run` once what is in hand is done."""
        self._stopping.set()
        await self.queue.shut()

    async def _work(self) -> None:
        while (key := await self.queue.take()) is not None:
            with self.progress.look(key.kind):
                settled = await self._look(key)
            if settled:
                await self.queue.done(key)
            else:
                await self.queue.failed(key)

    async def _look(self, key: Key) -> bool:
        """Look at one resource; answer whether nothing is left to do."""
        try:
            try:
                return await self._reconcile(key)
            except BillplaneError as error:
                return await self._refused(key, error)
            except Exception as error:
                _log.exception("resource_failed", **_named(key))
                _count(key, "Failed")
                await self._write(key, [not_ready("Failed", f"{type(error).__name__}: {error}")])
                return False
        except Exception as error:
            # Not even the status could be written: what is left is to try again.
            _log.warning("status_not_written", **_named(key), error=str(error))
            _count(key, "StatusNotWritten")
            return False

    async def _refused(self, key: Key, error: BillplaneError) -> bool:
        reason = conditions.camel(error.reason)
        _count(key, reason)
        if error.kind in _AWAY and self._port.settled(key):
            return False  # nothing new is known, so nothing new is told
        if error.reason == STALE and self._newer_epoch is not None:
            await self._newer_epoch(int(error.metadata.get("epoch", 0)))
            return False
        final = isinstance(error, PeerError) and error.kind is Kind.INVALID_ARGUMENT
        message = self._port.explain(key, error)
        _log.warning("resource_refused", **_named(key), reason=error.reason, error=message)
        await self._write(key, [not_ready(INVALID if final else reason, message)])
        return final

    async def _reconcile(self, key: Key) -> bool:
        settled = None if key in self._expected else self._port.settled(key)
        if settled is not None and key.kind in APPLIED_KINDS:
            applied = (await self._list(key)).get(settled.uid)
            same = applied is not None and applied.spec_hash == settled.spec_hash
            if applied is not None and same and settled.generation in (None, applied.generation):
                self._expected[key] = (settled.uid, settled.spec_hash, "")
                return True
        wanted = await self._port.read(key)
        if wanted is None:
            self._expected.pop(key, None)
            return True
        if isinstance(wanted, Gone):
            await self._clean_up(key, wanted)
            return True
        if isinstance(wanted, Broken):
            self._expected.pop(key, None)
            _count(key, INVALID)
            await self._write(key, [not_ready(INVALID, wanted.message)], {}, wanted.generation)
            return True
        if wanted.paused:
            self._expected.pop(key, None)
            paused = Condition(PAUSED, "True", "Annotated")
            ready = Condition(READY, "Unknown", "Paused")
            await self._write(key, [ready, paused], self._kept(key), wanted.generation or 0)
            return True
        return await self._ensure(wanted)

    async def _ensure(self, wanted: Desired) -> bool:
        key, rules = wanted.key, RULES[wanted.key.kind]
        await self._port.hold(key)
        actual = Actual(children=self._port.children(key))
        if key.kind in APPLIED_KINDS:
            await self._peers.ensure_tenant(key.namespace)
            actual = await self._actual(key, (await self._list(key)).get(wanted.uid))
        for action in rules.plan(wanted, actual):
            actual = await self._act(wanted, actual, action)
        found = conditions.with_missing(
            rules.conditions(wanted, actual), wanted.secrets_missing, wanted.config_maps_missing
        )
        counted = actual.applied.generation if actual.applied else 1
        generation = counted if wanted.generation is None else wanted.generation
        await self._write(key, found, rules.status(wanted, actual), generation)
        if actual.applied is not None and actual.applied.spec_hash == wanted.spec_hash:
            digest = wanted.provided.digest if wanted.provided else ""
            self._expected[key] = (wanted.uid, wanted.spec_hash, digest)
        ready = next(item for item in found if item.type == READY)
        if ready.status != "True":
            _count(key, ready.reason)
        return ready.status == "True" or ready.reason in _LEFT_ALONE

    async def _actual(self, key: Key, applied: Applied | None) -> Actual:
        children = self._port.children(key)
        if applied is None:
            return Actual(children=children)
        details = await self._peers.details(key, applied.id)
        if key.kind == "UtilityProvider" and details.get("endpoint"):
            unknown = details.get("reachability") == "Unknown"
            details["probeDue"] = unknown or key in self._probe_due
        told = self._port.told(key)
        kept = {"sourceDigest": told.get("sourceDigest", ""), "billDiff": told.get("billDiff")}
        return Actual(applied, details | kept, children)

    async def _act(self, wanted: Desired, actual: Actual, action: Action) -> Actual:
        key = wanted.key
        match action:
            case Apply():
                applied = await self._apply(wanted, action)
                (await self._list(key))[wanted.uid] = applied
                self._note_change(key)
                _log.info("resource_applied", **_named(key), generation=applied.generation)
                found = await self._actual(key, applied)
                return found.keeping(actual, "billDiff")
            case EnsureChild():
                await self._port.ensure_child(key, action.document)
                _log.info("child_applied", **_named(key), child=action.document["kind"])
                return replace(actual, children=self._port.children(key))
            case DeleteChild():
                await self._port.delete_child(key, action.child)
                _log.info("child_deleted", **_named(key), child=action.child[0])
                return replace(actual, children=self._port.children(key))
            case CompareBills() if actual.applied is not None:
                diff = await self._peers.compare_bills(wanted, actual.applied.id)
                return replace(actual, details={**actual.details, "billDiff": diff})
            case Probe() if actual.applied is not None:
                self._probe_due.discard(key)
                await self._peers.probe_provider(key, actual.applied.id)
                found = await self._actual(key, actual.applied)
                return replace(found, details={**found.details, "probeDue": False})
            case Provide() if actual.applied is not None:
                await self._peers.provide_source(wanted, action.provided)
                applied = replace(actual.applied, source_digest=action.provided.digest)
                (await self._list(key))[wanted.uid] = applied
                self._note_change(key)
                _log.info("source_provided", **_named(key), values=len(action.provided.values))
                return replace(actual, applied=applied)
            case Refresh() if actual.applied is not None:
                return await self._refresh(wanted, actual.applied)
        return actual

    async def _refresh(self, wanted: Desired, applied: Applied) -> Actual:
        error = ""
        try:
            await self._peers.refresh_feed(wanted.key, applied.id)
        except BillplaneError as refused:
            error = f"{refused.reason}: {refused.detail}"
        found = await self._actual(wanted.key, applied)
        if error:
            return replace(found, details={**found.details, "error": error})
        digest = {"sourceDigest": wanted.source_digest}
        return replace(found, details={**found.details, **digest})

    async def _apply(self, wanted: Desired, action: Apply) -> Applied:
        try:
            return await self._peers.apply(wanted, action.generation, action.endpoint)
        except BillplaneError as error:
            # What was removed and comes back has a generation that the list no longer tells.
            counted_here = wanted.generation is None and "generation" in error.metadata
            if error.reason != STALE or not counted_here:
                raise
            latest = int(error.metadata["generation"]) + 1
            return await self._peers.apply(wanted, latest, action.endpoint)

    async def _clean_up(self, key: Key, gone: Gone) -> None:
        for child in list(self._port.children(key)):
            await self._port.delete_child(key, child)
        if key.kind in APPLIED_KINDS:
            await self._peers.ensure_tenant(key.namespace)
            applied = await self._list(key)
            for action in plan_removal(Actual(applied.get(gone.uid)), gone.policy):
                if isinstance(action, Remove):
                    await self._peers.remove(key, gone.uid, action.generation, action.policy)
                    _log.info("resource_removed", **_named(key), policy=gone.policy)
            applied.pop(gone.uid, None)
            self._note_change(key)
        self._expected.pop(key, None)
        self._probe_due.discard(key)
        await self._port.clear(key)

    async def _list(self, key: Key) -> dict[str, Applied]:
        place = self._place(key)
        if place not in self._applied:
            found = await self._peers.list_applied(*place)
            # Who listed first may have applied something since.
            self._applied.setdefault(place, found)
        return self._applied[place]

    def _note_change(self, key: Key) -> None:
        self._changes[self._place(key)] += 1

    def _place(self, key: Key) -> _Place:
        """Return where a resource's list is: one a kind and tenant, whatever the namespaces."""
        return key.kind, self._peers.tenant_of(key.namespace)

    async def _compare_for_ever(self) -> None:
        turn = 0
        while not await self._stops_within(self._settings.compare_seconds):
            turn += 1
            await self.compare()
            if turn % _AGAIN_EVERY == 0:
                for key in [key for key in self._expected if key.kind in _AGAIN_KINDS]:
                    self._probe_due.add(key)
                    await self.queue.add(key, RULES[key.kind].rank)

    async def _stops_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return False
        return True

    async def compare(self) -> None:
        """Compare what runs with what was applied, and look at what differs."""
        try:
            for key in await self._port.look_around():
                await self.add(key)
        except BillplaneError as error:
            _log.warning("look_around_failed", error=error.reason)
        places: dict[_Place, list[Key]] = {}
        for key in self._expected:
            with contextlib.suppress(BillplaneError):  # a namespace that has gone
                places.setdefault(self._place(key), []).append(key)
        await asyncio.gather(*(self._compare_place(*item) for item in places.items()))

    async def _compare_place(self, place: _Place, keys: Iterable[Key]) -> None:
        kind, tenant = place
        if kind not in APPLIED_KINDS:
            return
        changes = self._changes[place]
        try:
            found = await self._peers.list_applied(kind, tenant)
        except BillplaneError as error:
            _log.warning("compare_failed", kind=kind, tenant=tenant, error=error.reason)
            return
        if changes != self._changes[place]:
            return  # the list is older than what was done meanwhile
        self._applied[place] = found
        for key in keys:
            uid, *expected = self._expected.get(key, ("", "", ""))
            if not uid:
                continue
            applied = found.get(uid)
            if applied is None or [applied.spec_hash, applied.source_digest] != expected:
                _log.warning("drift_found", **_named(key))
                progress.DRIFT.labels(kind).inc()
                await self.add(key)

    def _kept(self, key: Key) -> dict[str, Any]:
        told = self._port.told(key)
        return {
            name: value
            for name, value in told.items()
            if name not in ("conditions", "observedGeneration")
        }

    async def _write(
        self,
        key: Key,
        found: Iterable[Condition],
        facts: Mapping[str, Any] | None = None,
        generation: int = 0,
    ) -> None:
        """Write a status if it differs from the one that was written last."""
        before = self._port.told(key)
        rules = RULES[key.kind]
        known = generation or self._port.generation(key)
        observed = known or int(before.get("observedGeneration", 1))
        told = conditions.complete(rules.condition_types, found)
        status = {
            "observedGeneration": observed,
            **(facts or self._kept(key)),
            "conditions": conditions.documents(
                told, before.get("conditions") or (), observed, self._clock.now()
            ),
        }
        same = _without(status, rules.volatile) == _without(before, rules.volatile)
        await self._port.write(key, before if same else status)


def _without(status: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in status.items() if name not in names}


def _count(key: Key, reason: str) -> None:
    progress.ERRORS.labels(key.kind, reason).inc()


def _named(key: Key) -> dict[str, str]:
    return {"kind": key.kind, "namespace": key.namespace, "name": key.name}
