"""Taking usage: events of many requests become one call a shard, answered once it is on disk."""

import asyncio
from collections import deque
from collections.abc import Sequence

from billplane.chassis.auth import Principal
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.runtime import Runtime
from billplane.metering.cache import REUSED, Part, UsageStore, shard_of
from billplane.metering.domain import Item
from billplane.metering.errors import EventIdReused, IngestBusy
from billplane.metering.service.meters import MeterIndex
from billplane.metering.settings import MeteringSettings

BATCH_BYTES = 1_048_576

register("ingest.before_append", "ingest.after_append_before_answer")


class _Request:
    """One request's events, and who waits for their statuses.

    `parts` are the events of each shard, `order` where each event of the parts stood.
    """

    __slots__ = ("answer", "items", "order", "parts", "size")

    def __init__(self, tenant_id: str, items: Sequence[Item]) -> None:
        self.items = items
        self.size = sum([len(item.row) for item in items])
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if len(items) == 1:
            self.order = [0]
            self.parts: list[Part] = [(shard_of(tenant_id, items[0].subject), items)]
            return
        shards: dict[int, list[int]] = {}
        for number, item in enumerate(items):
            shards.setdefault(shard_of(tenant_id, item.subject), []).append(number)
        self.order = [number for numbers in shards.values() for number in numbers]
        self.parts = [
            (shard, [items[number] for number in numbers]) for shard, numbers in shards.items()
        ]

    def in_order(self, statuses: bytes) -> bytes:
        """Return statuses of the parts' events in the order of the request."""
        if len(self.parts) == 1:
            return statuses
        found = bytearray(len(statuses))
        for number, status in zip(self.order, statuses, strict=True):
            found[number] = status
        return bytes(found)


class Intake:
    """What this process holds of usage on its way in."""

    def __init__(self, runtime: Runtime) -> None:
        settings: MeteringSettings = runtime.settings  # type: ignore[assignment]
        self.store = UsageStore(runtime.redis, settings.dedupe_seconds)
        self.meters = MeterIndex(runtime)
        self.taken = 0
        self._stored = 0
        self._waiting_max = settings.events_waiting_max
        self._batch_events = settings.batch_events
        self._queue: deque[_Request] = deque()
        self._sending: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many events this process took that may not be in Postgres yet."""
        return self.taken - self._stored

    def settle(self, taken: int) -> None:
        """Note that the first `taken` events are in Postgres."""
        self._stored = max(self._stored, taken)

    async def take(self, principal: Principal, items: Sequence[Item]) -> bytes:
        """Keep the events of one request, all or none; return a status for each.

        Raises: EventIdReused naming the event, IngestBusy, StoreUnavailable.
        Idempotent by: source and id.
        """
        if self.waiting > self._waiting_max:
            raise IngestBusy("too much usage waits to be stored; try again", retry_after_seconds=1)
        if len(items) > 1:
            _refuse_reuse_within(items)
        request = _Request(principal.tenant_id, items)
        self._queue.append(request)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        statuses = await request.answer
        faultpoint("ingest.after_append_before_answer")
        return statuses

    async def _send_all(self) -> None:
        """Send what has gathered until nothing has.

        The first request goes at once. While Redis writes, others gather, and go together.
        """
        try:
            while self._queue:
                await self._send(self._gather())
        finally:
            self._sending = None

    def _gather(self) -> list[_Request]:
        batch = [self._queue.popleft()]
        events, size = len(batch[0].items), batch[0].size
        while self._queue:
            following = self._queue[0]
            events += len(following.items)
            size += following.size
            if events > self._batch_events or size > BATCH_BYTES:
                break
            batch.append(self._queue.popleft())
        return batch

    async def _send(self, batch: list[_Request]) -> None:
        faultpoint("ingest.before_append")
        try:
            statuses = await self.store.append([request.parts for request in batch])
        except Exception as error:  # every waiting request gets it
            for request in batch:
                _answer(request, error)
            return
        at = 0
        for request in batch:
            answer = request.in_order(statuses[at : at + len(request.items)])
            at += len(request.items)
            reused = answer.find(REUSED)
            if reused < 0:
                self.taken += len(answer)
                _answer(request, answer)
            else:
                _answer(request, _reused(request.items, reused))


def _answer(request: _Request, answer: bytes | Exception) -> None:
    if request.answer.done():
        return  # whoever waited has gone away
    if isinstance(answer, bytes):
        request.answer.set_result(answer)
    else:
        request.answer.set_exception(answer)


def _refuse_reuse_within(items: Sequence[Item]) -> None:
    """Refuse a request that uses one id for two events.

    Raises: EventIdReused.
    """
    known: dict[bytes, bytes] = {}
    for number, item in enumerate(items):
        if known.setdefault(item.key, item.content_hash) != item.content_hash:
            raise _reused(items, number)


def _reused(items: Sequence[Item], number: int) -> EventIdReused:
    item = items[number]
    return EventIdReused(
        f"the id {item.id} was used for another event of the same source",
        field=f"/{number}/id" if len(items) > 1 else "/id",
        metadata={"index": number, "id": item.id},
    )
