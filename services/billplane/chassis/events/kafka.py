"""Facts on Kafka: one topic a producing service, keyed by tenant and aggregate, no transactions.

Kafka remembers one position a partition, not single messages: what failed is kept here and tried
again while others go on, and the position that is stored stays below the oldest unfinished one.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from billplane.chassis import logging
from billplane.chassis.events import transport
from billplane.chassis.events.kafka_reader import Reader
from billplane.chassis.events.kafka_topics import (
    MESSAGE_BYTES_MAX,
    Topics,
    client_settings,
    topic_of,
)
from billplane.chassis.events.state import BrokerState
from billplane.chassis.events.transport import (
    BrokerAway,
    Delivery,
    Destination,
    NotPublished,
    Outgoing,
    TopologyDiffers,
)
from billplane.chassis.settings import Settings

_log = logging.get("events")

CONFIRM_MILLISECONDS = 10_000
LOOK_SECONDS = 0.25
# What a broker that is away, or was emptied, answers; anything else is the message's own fault.
_AWAY = {
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._RESOLVE,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._TIMED_OUT,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
}


class Kafka:
    """The transport port on Kafka; one producer for all services of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._prefix = settings.broker_prefix
        self._state = BrokerState("kafka")
        self._topics = Topics(settings)
        self._declared: dict[str, Destination] = {}
        self._readers: dict[str, Reader] = {}
        self._producer: Producer | None = None
        self._refused: TopologyDiffers | None = None
        self._lost = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def declare(
        self, consumer: str, produced: Sequence[Destination], consumed: Sequence[Destination]
    ) -> None:
        """Make the topics that a service writes; those it reads are made by who writes them."""
        self._declared.update({fact.name: fact for fact in produced})
        if self._producer is None:
            self._start()
        elif self._lost.is_set():
            return
        try:
            await self._topics.declare(produced)
        except KafkaException as error:
            self._down(str(error))
        else:
            self._state.become("connected")

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand every message to the idempotent producer, and wait for all replicas' word."""
        producer = self._producer
        if producer is None or self._state.value != "connected":
            reason = str(self._refused or "Kafka is not connected")
            raise NotPublished(dict.fromkeys(range(len(messages)), reason))
        confirms = [self._produce(producer, message) for message in messages]
        pause = 0.001
        while not all(confirm.done() for confirm in confirms):
            if not producer.poll(0):
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 0.02)
        reasons: dict[int, str] = {}
        for place, confirm in enumerate(confirms):
            error = confirm.result()
            if error is not None:
                reasons[place] = f"Kafka did not confirm {messages[place].destination!r}: {error}"
                if error.code() in _AWAY:
                    self._down(str(error))
        if reasons:
            raise NotPublished(reasons)

    async def deliveries(
        self, consumer: str, destinations: Sequence[str]
    ) -> AsyncGenerator[Delivery, None]:
        """Yield facts, and those that are due again; store the position about once a second."""
        names = {topic_of(name, self._prefix): name for name in destinations}
        group = f"{self._prefix}billplane.{consumer}"
        reader = Reader(client_settings(self._settings), group, self._check)
        self._readers[consumer] = reader
        try:
            async with aclosing(reader.deliveries(names)) as deliveries:
                async for delivery in deliveries:
                    yield delivery
        finally:
            del self._readers[consumer]
            await reader.close()

    async def acknowledge(self, consumer: str, delivery: Delivery) -> None:
        """Note that the message is finished; its position is stored soon, and when we stop."""
        self._reader(consumer).progress.finish(delivery.token)

    async def retry(self, consumer: str, delivery: Delivery) -> None:
        """Keep the message here and yield it again later; the position waits for it."""
        self._reader(consumer).progress.put_off(delivery, transport.RETRY_SECONDS)

    def states(self) -> dict[str, str]:
        """Return the state of Kafka."""
        return {"kafka": self._state.value}

    def when_ready(self, wake: Callable[[], None]) -> None:
        """Have a function called when Kafka is back."""
        self._state.when_ready(wake)

    async def close(self) -> None:
        """End the producer; readers end with their generators."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._producer is not None:
            await asyncio.to_thread(self._producer.flush, 1)
            self._producer = None

    def _start(self) -> None:
        self._producer = Producer(
            {
                **client_settings(self._settings),
                "acks": "all",
                "enable.idempotence": True,
                "message.timeout.ms": CONFIRM_MILLISECONDS,
                "message.max.bytes": MESSAGE_BYTES_MAX,
                "linger.ms": 2,
                # The Java client's choice, so that others find a key in the same partition.
                "partitioner": "murmur2_random",
                "error_cb": self._heard,
            }
        )
        self._tasks = [
            asyncio.create_task(self._listen(), name="kafka.listen"),
            asyncio.create_task(self._look_for_it(), name="kafka.look"),
        ]

    def _produce(self, producer: Producer, message: Outgoing) -> "asyncio.Future[Any]":
        confirm: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def confirmed(error: KafkaError | None, _message: Any) -> None:
            if not confirm.done():
                confirm.set_result(error)

        try:
            producer.produce(
                topic_of(message.destination, self._prefix),
                value=message.envelope,
                key=message.key.encode(),
                headers=[(name, value.encode()) for name, value in message.headers.items()],
                on_delivery=confirmed,
            )
        except (BufferError, KafkaException) as error:
            held = error.args[0] if isinstance(error, KafkaException) else None
            confirm.set_result(held or KafkaError(KafkaError._QUEUE_FULL))
        return confirm

    def _reader(self, consumer: str) -> Reader:
        reader = self._readers.get(consumer)
        if reader is None:
            raise BrokerAway("the consumer of Kafka was closed")
        return reader

    def _check(self) -> None:
        if self._refused is not None:
            raise self._refused

    def _heard(self, error: KafkaError) -> None:
        if error.code() in _AWAY:
            self._down(error.str())

    def _down(self, reason: str) -> None:
        self._state.become("reconnecting", reason)
        self._lost.set()

    async def _listen(self) -> None:
        """Serve the producer's callbacks also while nothing is published."""
        while self._producer is not None:
            self._producer.poll(0)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_for_it(self) -> None:
        """Whenever Kafka was lost, ask until it answers, and declare what may be lost with it."""
        while True:
            await self._lost.wait()
            producer = self._producer
            if producer is None:
                return
            with suppress(KafkaException):
                await asyncio.to_thread(producer.list_topics, timeout=1)
                try:
                    await self._topics.declare(list(self._declared.values()))
                except TopologyDiffers as error:
                    # Ends the process where it consumes facts; publishing stays off in any.
                    self._refused = error
                    _log.error("topology_differs", broker="kafka", error=str(error))
                    return
                self._lost.clear()
                self._state.become("connected")
            await asyncio.sleep(LOOK_SECONDS)
