"""One consumer group's member: reads partitions, remembers what is unfinished, stores positions."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.aio import AIOConsumer

from billplane.chassis import logging
from billplane.chassis.events.progress import Partition, Progress
from billplane.chassis.events.transport import ConsumerGone, Delivery

_log = logging.get("events")

POLL_SECONDS = 0.5
STORE_SECONDS = 1.0
BATCH = 64
# Facts read ahead of the oldest unfinished one; beyond it nothing more is fetched.
UNFINISHED_MAX = 2_000
# How soon another process takes over from one that was killed.
SESSION_MILLISECONDS = 10_000
# What comes of itself: a topic that its writer has not made yet, a broker that is away.
_QUIET = {
    KafkaError._PARTITION_EOF,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
}


class Reader:
    """Used by one loop; every call to the client is made one after the other."""

    def __init__(self, client: dict[str, Any], group: str, check: Callable[[], None]) -> None:
        self.progress = Progress()
        self._check = check
        self._group = group
        self._client = client
        self._consumer: AIOConsumer | None = None
        self._call: asyncio.Future[Any] | None = None
        self._paused = False
        self._stored_at = 0.0

    async def deliveries(self, names: dict[str, str]) -> AsyncGenerator[Delivery, None]:
        """Yield the messages of some topics under the names given for them."""
        self._consumer = AIOConsumer(
            {
                **self._client,
                "group.id": self._group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": SESSION_MILLISECONDS,
                "topic.metadata.refresh.interval.ms": 5_000,
                "queued.max.messages.kbytes": 4_096,
            }
        )
        await self._consumer.subscribe(
            list(names), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )
        while True:
            while (again := self.progress.due()) is not None:
                yield again
            self._check()
            if time.monotonic() - self._stored_at > STORE_SECONDS:
                await self._store()
            for message in await self._fetch():
                name = names[str(message.topic())]
                place = self.progress.begin(_partition(message), int(message.offset() or 0))
                yield Delivery(name, bytes(message.value() or b""), 1, place)

    async def close(self) -> None:
        """Store the position and leave the group, so that others take over at once."""
        if self._consumer is None:
            return
        if self._call is not None and not self._call.done():
            await asyncio.wait([self._call])
        await self._store(wait=True)
        await self._consumer.close()

    async def _fetch(self) -> list[Message]:
        await self._make_room()
        first = await self._ask("poll", self.progress.until_due(POLL_SECONDS))
        if first is None:
            return []
        # What else is there already; a batch that waits to be full would hold up the first.
        more = await self._ask("consume", BATCH - 1, 0)
        return [message for message in (first, *more) if self._readable(message)]

    async def _make_room(self) -> None:
        full = self.progress.unfinished >= UNFINISHED_MAX
        if full != self._paused:
            assigned = await self._ask("assignment")
            await self._ask("pause" if full else "resume", assigned)
            self._paused = full

    async def _ask(self, method: str, *arguments: Any) -> Any:
        """Call the client in its thread; a stop does not leave the call alone in there."""
        self._call = asyncio.ensure_future(getattr(self._consumer, method)(*arguments))
        return await asyncio.shield(self._call)

    def _readable(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.fatal():
            raise ConsumerGone(error.str())
        if error.code() not in _QUIET:
            _log.warning("fact_not_read", group=self._group, error=error.str())
        return False

    async def _store(self, *, wait: bool = False) -> None:
        self._stored_at = time.monotonic()
        positions = [TopicPartition(*at, offset) for at, offset in self.progress.advanced().items()]
        if not positions or self._consumer is None:
            return
        try:
            await self._consumer.commit(offsets=positions, asynchronous=not wait)
        except KafkaException as error:
            # They come again, and the inbox knows them.
            _log.warning("position_not_stored", group=self._group, error=str(error))

    async def _assigned(self, _consumer: AIOConsumer, partitions: list[TopicPartition]) -> None:
        self._paused = False
        for one in partitions:
            self.progress.forget((one.topic, one.partition))

    async def _revoked(self, _consumer: AIOConsumer, partitions: list[TopicPartition]) -> None:
        await self._store(wait=True)
        await self._lost(_consumer, partitions)

    async def _lost(self, _consumer: AIOConsumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self.progress.forget((one.topic, one.partition))


def _partition(message: Message) -> Partition:
    return str(message.topic()), int(message.partition() or 0)
