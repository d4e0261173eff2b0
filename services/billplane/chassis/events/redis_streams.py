"""Facts and tasks on Redis Streams with consumer groups: the laptop's broker."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from billplane.chassis import logging
from billplane.chassis.events import transport
from billplane.chassis.events.state import BrokerState
from billplane.chassis.events.transport import (
    BrokerAway,
    Delivery,
    Destination,
    NotPublished,
    Outgoing,
    TopologyDiffers,
)
from billplane.chassis.finishing import end_if_cancelled

_log = logging.get("events")

BLOCK_MILLISECONDS = 2_000
BATCH = 64


class RedisStreams:
    """The transport port on Redis; the server must fsync what it acknowledges."""

    def __init__(self, redis: "Redis", name: str) -> None:
        self._redis = redis
        self._name = name
        self._state = BrokerState("redis")

    async def declare(
        self, consumer: str, produced: Sequence[Destination], consumed: Sequence[Destination]
    ) -> None:
        """Make the consumer's groups; streams come into being with their first message."""
        try:
            for destination in (*produced, *consumed):
                kind: Any = await self._redis.type(destination.name)
                if kind not in (b"none", b"stream"):
                    raise TopologyDiffers(
                        f"Redis holds a {_text(kind)} under {destination.name!r}, where Billplane"
                        " keeps a stream: delete it, or give Billplane another Redis database"
                    )
            await self._declare(consumer, [item.name for item in consumed])
        except ResponseError:
            raise
        except RedisError as error:
            self._state.become("reconnecting", str(error))
        else:
            self._state.become("connected")

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Append every message in order; Redis answers once they are on disk."""
        pipeline = self._redis.pipeline(transaction=False)
        for message in messages:
            fields: dict[Any, Any] = {"envelope": message.envelope, **message.headers}
            oldest = int((time.time() - message.retention_seconds) * 1000)
            pipeline.xadd(message.destination, fields, minid=str(oldest), approximate=True)
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except RedisError as error:
            self._state.become("reconnecting", str(error))
            raise NotPublished(dict.fromkeys(range(len(messages)), str(error))) from error
        self._state.become("connected")
        refused = {
            place: str(answer)
            for place, answer in enumerate(answers)
            if isinstance(answer, Exception)
        }
        if refused:
            raise NotPublished(refused)

    async def deliveries(
        self, consumer: str, destinations: Sequence[str]
    ) -> AsyncGenerator[Delivery, None]:
        """Yield new messages, and those that were left unacknowledged for a while."""
        ready = False
        while True:
            end_if_cancelled()
            try:
                if not ready:
                    await self._declare(consumer, destinations)
                    ready = True
                for destination in destinations:
                    async for delivery in self._abandoned(consumer, destination):
                        yield delivery
                answer: Any = await self._redis.xreadgroup(
                    consumer,
                    self._name,
                    dict.fromkeys(destinations, ">"),
                    count=BATCH,
                    block=BLOCK_MILLISECONDS,
                )
                self._state.become("connected")
                for stream, entries in _pairs(answer):
                    for entry_id, fields in entries:
                        yield Delivery(_text(stream), fields[b"envelope"], 1, entry_id)
            except ResponseError as error:
                # The streams are gone: the store was emptied. Declare them again.
                ready = False
                _log.warning("stream_declared_again", consumer=consumer, error=str(error))
                await asyncio.sleep(0.5)
            except RedisError as error:
                self._state.become("reconnecting", str(error))
                await asyncio.sleep(1)

    async def acknowledge(self, consumer: str, delivery: Delivery) -> None:
        """Acknowledge one message."""
        try:
            await self._redis.xack(delivery.destination, consumer, delivery.token)
        except RedisError as error:
            raise BrokerAway(str(error)) from error

    async def retry(self, consumer: str, delivery: Delivery) -> None:
        """Leave it pending: what stays so for a while is delivered again, and counted."""

    def states(self) -> dict[str, str]:
        """Return the state of Redis."""
        return {"redis": self._state.value}

    def when_ready(self, wake: Callable[[], None]) -> None:
        """Have a function called when Redis is back."""
        self._state.when_ready(wake)

    async def close(self) -> None:
        """Leave the client to the process, which shares it."""

    async def _declare(self, consumer: str, destinations: Sequence[str]) -> None:
        for destination in destinations:
            try:
                await self._redis.xgroup_create(destination, consumer, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def _abandoned(self, consumer: str, destination: str) -> AsyncGenerator[Delivery, None]:
        idle = int(transport.RETRY_SECONDS * 1000)
        pending: Any = await self._redis.xpending_range(
            destination, consumer, min="-", max="+", count=BATCH, idle=idle
        )
        for item in pending:
            claimed: Any = await self._redis.xclaim(
                destination, consumer, self._name, idle, [item["message_id"]]
            )
            for entry_id, fields in claimed:
                if fields:
                    attempt = int(item["times_delivered"]) + 1
                    yield Delivery(destination, fields[b"envelope"], attempt, entry_id)
                else:
                    await self._redis.xack(destination, consumer, entry_id)


def _pairs(answer: Any) -> list[tuple[Any, Any]]:
    """Read RESP2's list of [stream, entries] and RESP3's map of stream to entries alike."""
    if not answer:
        return []
    return list(answer.items()) if isinstance(answer, dict) else [tuple(item) for item in answer]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
