"""Work of many callers, done by one transaction."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from billplane.chassis import logging
from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.chassis.errors import StoreUnavailable
from billplane.chassis.runtime import Runtime

_log = logging.get("billing_core")
BATCH_MAX = 64
# Where several have come, those that were just told come again at once: a moment's patience takes
# them along. More of it makes each transaction cheaper and all of them fewer.
GATHER_SECONDS = 0.002

Item = TypeVar("Item")
Shard = tuple[str, bool]
Work = Callable[[Transaction, Sequence[Item]], Awaitable[list[Any]]]


class Alone(Exception):
    """Has to be done in a transaction of its own."""


class Gathering(Generic[Item]):
    """Does what callers of a tenant and mode ask at the same time in one transaction.

    The first goes at once; while it is on its way others gather, and go together. `work` returns
    for each what is to be returned or raised; where it raises itself nothing was done, and each
    is told to do its own Alone.
    """

    def __init__(self, runtime: Runtime, work: Work[Item]) -> None:
        self._runtime = runtime
        self._work = work
        self._queues: dict[Shard, deque[tuple[Call, Item, asyncio.Future[Any]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, call: Call, item: Item) -> Any:
        """Have an item done.

        Raises: what became of it; Alone, StoreUnavailable.
        """
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        shard = (call.principal.tenant_id, call.principal.livemode)
        queue = self._queues.get(shard)
        if queue is not None:
            queue.append((call, item, done))
        else:
            queue = self._queues[shard] = deque([(call, item, done)])
            task = asyncio.create_task(self._do_all(shard, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        # Whoever goes away does not take back what others wait for in the same transaction.
        return await asyncio.shield(done)

    async def close(self) -> None:
        """Finish what has gathered."""
        await asyncio.gather(*self._tasks)

    async def _do_all(
        self, shard: Shard, queue: deque[tuple[Call, Item, asyncio.Future[Any]]]
    ) -> None:
        try:
            while queue:
                batch = [queue.popleft() for _ in range(min(len(queue), BATCH_MAX))]
                results = await self._do(batch[0][0], [item for _, item, _ in batch])
                for (_, _, done), result in zip(batch, results, strict=True):
                    _tell(done, result)
                await asyncio.sleep(GATHER_SECONDS if len(batch) > 1 else 0)
        finally:
            del self._queues[shard]

    async def _do(self, first: Call, items: Sequence[Item]) -> list[Any]:
        runtime = self._runtime
        try:
            async with runtime.database.write(runtime, first.principal, first.request_id) as tx:
                return await self._work(tx, items)
        except StoreUnavailable as error:
            return [error] * len(items)
        except Exception as error:
            _log.warning("batch_split", items=len(items), error=str(error)[:500])
            return [Alone()] * len(items)


def _tell(done: asyncio.Future[Any], result: Any) -> None:
    if done.done():
        return
    if isinstance(result, BaseException):
        done.set_exception(result)
        done.exception()  # whoever waited may have gone away
    else:
        done.set_result(result)
