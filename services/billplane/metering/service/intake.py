"""Taking usage: events of many requests become one call a shard, answered once it is on disk."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from billplane.chassis.auth import Principal
from billplane.chassis.events.envelope import instant_text
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.runtime import Runtime
from billplane.metering.cache import REUSED, Item, UsageStore, shard_of
from billplane.metering.domain import UsageEvent, encode_data
from billplane.metering.errors import EventIdReused, IngestBusy
from billplane.metering.service.meters import MeterIndex
from billplane.metering.settings import MeteringSettings

BATCH_EVENTS = 256
_encode = msgspec.json.Encoder().encode

register("ingest.before_append", "ingest.after_append_before_answer")


@dataclass(slots=True)
class _Waiting:
    """One request's events of one shard, and who waits for their statuses."""

    items: list[Item]
    answer: "asyncio.Future[list[int]]"


class Intake:
    """What this process holds of usage on its way in."""

    def __init__(self, runtime: Runtime) -> None:
        settings: MeteringSettings = runtime.settings  # type: ignore[assignment]
        self.store = UsageStore(runtime.redis, settings.dedupe_seconds)
        self.meters = MeterIndex(runtime)
        self.waiting_entries = 0
        self._max = settings.events_waiting_max
        self._queues: dict[int, list[_Waiting]] = {}
        self._running: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests = 0

    async def take(self, principal: Principal, events: Sequence[UsageEvent]) -> list[int]:
        """Keep the events of one request, all or none; return a status for each.

        Raises: EventIdReused naming the event, IngestBusy, StoreUnavailable.
        Idempotent by: source and id.
        """
        if self.waiting_entries > self._max:
            raise IngestBusy("too much usage waits to be stored; try again", retry_after_seconds=1)
        self._requests += 1
        shards: dict[int, list[int]] = {}
        items: list[Item] = []
        for number, event in enumerate(events):
            items.append(_item(principal, event, self._requests))
            shards.setdefault(shard_of(principal.tenant_id, event.subject), []).append(number)
        if len(shards) > 1:
            # Nothing may be stored in one shard while another refuses.
            for shard, numbers in shards.items():
                looked = await self.store.look(shard, [items[number] for number in numbers])
                _refuse_reused(events, numbers, looked)
        found = await asyncio.gather(
            *(
                self._append(shard, [items[number] for number in numbers])
                for shard, numbers in shards.items()
            )
        )
        statuses = [0] * len(events)
        for numbers, answers in zip(shards.values(), found, strict=True):
            _refuse_reused(events, numbers, answers)
            for number, status in zip(numbers, answers, strict=True):
                statuses[number] = status
        self.waiting_entries += len(events)
        faultpoint("ingest.after_append_before_answer")
        return statuses

    async def _append(self, shard: int, items: list[Item]) -> list[int]:
        waiting = _Waiting(items, asyncio.get_running_loop().create_future())
        self._queues.setdefault(shard, []).append(waiting)
        if shard not in self._running:
            self._running.add(shard)
            task = asyncio.create_task(self._drain(shard))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await waiting.answer

    async def _drain(self, shard: int) -> None:
        """Send what has gathered for a shard until nothing has; one call at a time.

        The first request goes at once. While Redis writes, others gather, and go together.
        """
        try:
            while self._queues.get(shard):
                queue = self._queues[shard]
                batch: list[_Waiting] = []
                count = 0
                while queue and (not batch or count + len(queue[0].items) <= BATCH_EVENTS):
                    batch.append(queue.pop(0))
                    count += len(batch[-1].items)
                await self._send(shard, batch)
        finally:
            self._running.discard(shard)

    async def _send(self, shard: int, batch: list[_Waiting]) -> None:
        faultpoint("ingest.before_append")
        try:
            statuses = await self.store.append(
                shard, [item for waiting in batch for item in waiting.items]
            )
        except Exception as error:
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return
        start = 0
        for waiting in batch:
            end = start + len(waiting.items)
            if not waiting.answer.done():
                waiting.answer.set_result(statuses[start:end])
            start = end


def _refuse_reused(
    events: Sequence[UsageEvent], numbers: Sequence[int], statuses: Sequence[int]
) -> None:
    for number, status in zip(numbers, statuses, strict=True):
        if status == REUSED:
            event = events[number]
            raise EventIdReused(
                f"the id {event.id} of source {event.source} was used for another event",
                field=f"/{number}/id" if len(events) > 1 else "/id",
                metadata={"index": number, "id": event.id, "source": event.source},
            )


def _item(principal: Principal, event: UsageEvent, request: int) -> Item:
    mode = "1" if principal.livemode else "0"
    key = "\0".join((principal.tenant_id, mode, event.source, event.id)).encode()
    row = _encode(
        (
            principal.tenant_id,
            principal.livemode,
            event.source,
            event.id,
            event.event_type,
            event.subject,
            instant_text(event.time),
            encode_data(event.data).decode(),
            None if event.quantity is None else f"{event.quantity:f}",
            event.content_hash,
        )
    )
    return Item(request, key, event.content_hash.to_bytes(8, signed=True), row)
