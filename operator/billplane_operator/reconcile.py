"""Read what is wanted and what is, plan, act, write the status: the same wherever we run.

Level-based: a look at a resource needs no memory of earlier looks, so lost, repeated or late news
of a change cost nothing but time.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import rfc8785
from billplane.chassis import logging
from billplane.chassis.clock import Clock
from billplane.chassis.errors import BillplaneError, Kind

from billplane_operator import conditions
from billplane_operator.conditions import PAUSED, READY, Condition
from billplane_operator.kinds import (
    RULES,
    Action,
    Actual,
    Applied,
    Apply,
    Desired,
    Key,
    Policy,
    Refresh,
    Remove,
    plan_removal,
)
from billplane_operator.peers import APPLIED_KINDS, Peers
from billplane_operator.settings import OperatorSettings
from billplane_operator.work_queue import WorkQueue

_log = logging.get("operator")

INVALID: Final = "InvalidSpec"
# Somebody else decides what becomes of these: asking again at once helps nobody.
_LEFT_ALONE: Final = frozenset({"AwaitingApproval", "FetchFailed"})
_AWAY: Final = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})
_FEEDS_EVERY: Final = 6


@dataclass(frozen=True, slots=True)
class Broken:
    """A resource that cannot be read; it is left as it runs until somebody mends it."""

    message: str


@dataclass(frozen=True, slots=True)
class Gone:
    """A resource that is no longer wanted, and what becomes of what it made."""

    policy: Policy


class Port(Protocol):
    """Where resources are written, and their status is read."""

    def keys(self) -> Iterable[Key]:
        """Return every resource that is wanted, or was and is not cleaned up after."""

    def read(self, key: Key) -> Desired | Broken | Gone | None:
        """Return what is wanted now; None when there is nothing and never was."""

    def settled_hash(self, key: Key) -> str:
        """Return the hash of a spec that its status calls ready, unread; empty when in doubt."""

    def told(self, key: Key) -> Mapping[str, Any]:
        """Return the status as it was written last."""

    def write(self, key: Key, status: Mapping[str, Any]) -> None:
        """Write a status."""

    def clear(self, key: Key) -> None:
        """Let go of a resource that is cleaned up after."""

    def explain(self, key: Key, error: BillplaneError) -> str:
        """Tell where in the resource lies what a service refused."""


class Reconciler:
    """Looks at resources until the services run them, and again when something changes."""

    def __init__(self, port: Port, peers: Peers, clock: Clock, settings: OperatorSettings) -> None:
        self._port = port
        self._peers = peers
        self._clock = clock
        self._settings = settings
        self.queue: WorkQueue[Key] = WorkQueue(settings.backoff_max_seconds)
        self._applied: dict[tuple[str, str], dict[str, Applied]] = {}
        self._changes: Counter[tuple[str, str]] = Counter()
        self._expected: dict[Key, str] = {}

    async def add(self, key: Key) -> None:
        """Ask for a look at a resource, now."""
        self.queue.forget(key)
        await self.queue.add(key, RULES[key.kind].rank)

    async def run(self) -> None:
        """Work until cancelled; what is in hand then is looked at again after the next start."""
        await self._peers.wait_reachable()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.workers):
                group.create_task(self._work())
            group.create_task(self._compare_for_ever())

    async def _work(self) -> None:
        while True:
            key = await self.queue.take()
            if await self._look(key):
                await self.queue.done(key)
            else:
                await self.queue.failed(key)

    async def _look(self, key: Key) -> bool:
        """Look at one resource; answer whether nothing is left to do."""
        try:
            return await self._reconcile(key)
        except BillplaneError as error:
            if error.kind in _AWAY and self._port.settled_hash(key):
                return False  # nothing new is known, so nothing new is told
            final = error.kind in (Kind.INVALID_ARGUMENT, Kind.MALFORMED)
            reason = INVALID if final else conditions.camel(error.reason)
            message = self._port.explain(key, error)
            _log.warning("resource_refused", **_named(key), reason=error.reason, error=message)
            self._write(key, [_not_ready(reason, message)], {})
            return final
        except Exception as error:
            _log.exception("resource_failed", **_named(key))
            self._write(key, [_not_ready("Failed", f"{type(error).__name__}: {error}")], {})
            return False

    async def _reconcile(self, key: Key) -> bool:
        settled = key not in self._expected and self._port.settled_hash(key)
        if settled and key.kind in APPLIED_KINDS:
            applied = (await self._list(key)).get(key.uid)
            if applied is not None and applied.spec_hash == settled:
                self._expected[key] = settled
                return True
        wanted = self._port.read(key)
        if wanted is None:
            self._expected.pop(key, None)
            return True
        if isinstance(wanted, Gone):
            await self._clean_up(key, wanted.policy)
            return True
        if isinstance(wanted, Broken):
            self._expected.pop(key, None)
            self._write(key, [_not_ready(INVALID, wanted.message)], {})
            return True
        if wanted.paused:
            self._expected.pop(key, None)
            paused = Condition(PAUSED, "True", "Annotated")
            self._write(key, [Condition(READY, "Unknown", "Paused"), paused], self._kept(key))
            return True
        return await self._ensure(wanted)

    async def _ensure(self, wanted: Desired) -> bool:
        key, rules = wanted.key, RULES[wanted.key.kind]
        actual = Actual()
        if key.kind in APPLIED_KINDS:
            await self._peers.ensure_tenant(key.namespace)
            actual = await self._actual(key, (await self._list(key)).get(wanted.uid))
        for action in rules.plan(wanted, actual):
            actual = await self._act(wanted, actual, action)
        found = rules.conditions(wanted, actual)
        generation = actual.applied.generation if actual.applied else 1
        self._write(key, found, rules.status(wanted, actual), generation)
        if actual.applied is not None and actual.applied.spec_hash == wanted.spec_hash:
            self._expected[key] = wanted.spec_hash
        ready = next(item for item in found if item.type == READY)
        return ready.status == "True" or ready.reason in _LEFT_ALONE

    async def _actual(self, key: Key, applied: Applied | None) -> Actual:
        if applied is None:
            return Actual()
        details = await self._peers.details(key, applied.id)
        digest = self._port.told(key).get("sourceDigest", "")
        return Actual(applied, details | {"sourceDigest": digest})

    async def _act(self, wanted: Desired, actual: Actual, action: Action) -> Actual:
        key = wanted.key
        if isinstance(action, Apply):
            applied = await self._apply(wanted, action.generation)
            (await self._list(key))[wanted.uid] = applied
            self._note_change(key)
            _log.info("resource_applied", **_named(key), generation=applied.generation)
            return await self._actual(key, applied)
        if isinstance(action, Refresh) and actual.applied is not None:
            error = ""
            try:
                await self._peers.refresh_feed(key, actual.applied.id)
            except BillplaneError as refused:
                error = f"{refused.reason}: {refused.detail}"
            found = await self._actual(key, actual.applied)
            if error:
                return replace(found, details={**found.details, "error": error})
            digest = {"sourceDigest": wanted.source_digest}
            return replace(found, details={**found.details, **digest})
        return actual

    async def _apply(self, wanted: Desired, generation: int) -> Applied:
        spec_json = rfc8785.dumps(wanted.spec.document()).decode()
        try:
            return await self._peers.apply(wanted, spec_json, generation)
        except BillplaneError as error:
            # What was removed and comes back has a generation that the list no longer tells.
            if error.reason != "STALE_GENERATION" or "generation" not in error.metadata:
                raise
            latest = int(error.metadata["generation"]) + 1
            return await self._peers.apply(wanted, spec_json, latest)

    async def _clean_up(self, key: Key, policy: Policy) -> None:
        if key.kind in APPLIED_KINDS:
            await self._peers.ensure_tenant(key.namespace)
            applied = await self._list(key)
            for action in plan_removal(Actual(applied.get(key.uid)), policy):
                if isinstance(action, Remove):
                    await self._peers.remove(key, key.uid, action.generation, action.policy)
                    _log.info("resource_removed", **_named(key), policy=policy)
            applied.pop(key.uid, None)
            self._note_change(key)
        self._expected.pop(key, None)
        self._port.clear(key)

    async def _list(self, key: Key) -> dict[str, Applied]:
        place = (key.kind, key.namespace)
        if place not in self._applied:
            found = await self._peers.list_applied(*place)
            # Who listed first may have applied something since.
            self._applied.setdefault(place, found)
        return self._applied[place]

    def _note_change(self, key: Key) -> None:
        self._changes[key.kind, key.namespace] += 1

    async def _compare_for_ever(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(self._settings.compare_seconds)
            turn += 1
            await self.compare()
            if turn % _FEEDS_EVERY == 0:
                for key in [key for key in self._expected if key.kind == "ExchangeRateFeed"]:
                    await self.queue.add(key, RULES[key.kind].rank)

    async def compare(self) -> None:
        """Compare what every service runs with what was applied, and look at what differs."""
        for kind, namespace in {(key.kind, key.namespace) for key in self._expected}:
            if kind not in APPLIED_KINDS:
                continue
            changes = self._changes[kind, namespace]
            try:
                found = await self._peers.list_applied(kind, namespace)
            except BillplaneError as error:
                _log.warning("compare_failed", kind=kind, namespace=namespace, error=error.reason)
                continue
            if changes != self._changes[kind, namespace]:
                continue  # the list is older than what was done meanwhile
            self._applied[kind, namespace] = found
            for key, expected in list(self._expected.items()):
                if (key.kind, key.namespace) != (kind, namespace):
                    continue
                applied = found.get(key.uid)
                if applied is None or applied.spec_hash != expected:
                    _log.warning("drift_found", **_named(key))
                    await self.add(key)

    def _kept(self, key: Key) -> dict[str, Any]:
        told = self._port.told(key)
        return {
            name: value
            for name, value in told.items()
            if name not in ("conditions", "observedGeneration")
        }

    def _write(
        self,
        key: Key,
        found: Iterable[Condition],
        facts: Mapping[str, Any],
        generation: int = 0,
    ) -> None:
        """Write a status if it differs from the one that was written last."""
        before = self._port.told(key)
        observed = generation or int(before.get("observedGeneration", 1))
        told = conditions.complete(RULES[key.kind].condition_types, found)
        status = {
            "observedGeneration": observed,
            **(facts or self._kept(key)),
            "conditions": conditions.documents(
                told, before.get("conditions") or (), observed, self._clock.now()
            ),
        }
        self._port.write(key, status)


def _not_ready(reason: str, message: str) -> Condition:
    return Condition(READY, "False", reason, message)


def _named(key: Key) -> dict[str, str]:
    return {"kind": key.kind, "namespace": key.namespace, "name": key.name}
