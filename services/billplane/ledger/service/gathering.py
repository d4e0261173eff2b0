"""Questions of many callers, asked together."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction

Found = TypeVar("Found")
Shard = tuple[str, bool]


class _Question(Generic[Found]):
    """Names that are asked for by one statement, and what there is."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.found: dict[str, Found] | None = None


class Gathering(Generic[Found]):
    """Looks names up for all who ask at the same time, one statement a tenant and mode.

    The first goes at once; while it is on its way others gather, and go together. Whatever was
    written before somebody asked is in the answer, since nobody joins a question that has gone.
    """

    def __init__(
        self,
        look_up: Callable[[ReadTransaction, Collection[str]], Awaitable[dict[str, Found]]],
    ) -> None:
        self._look_up = look_up
        self._gathering: dict[Shard, _Question[Found]] = {}
        # Kept by whoever waits.
        self._locks: WeakValueDictionary[Shard, asyncio.Lock] = WeakValueDictionary()

    async def ask(self, call: Call, names: Collection[str]) -> dict[str, Found]:
        """Return what there is, by name."""
        shard = (call.principal.tenant_id, call.principal.livemode)
        lock = self._locks.setdefault(shard, asyncio.Lock())
        question = self._gathering.setdefault(shard, _Question())
        question.names.update(names)
        async with lock:
            if question.found is None:
                if self._gathering.get(shard) is question:
                    del self._gathering[shard]
                runtime = call.runtime
                async with runtime.database.read(runtime, call.principal) as tx:
                    question.found = await self._look_up(tx, question.names)
            found = question.found
        return {name: found[name] for name in names if name in found}
