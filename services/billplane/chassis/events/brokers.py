"""Chooses the brokers by settings, and sends facts to one and tasks to the other."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import chain

from redis.asyncio import Redis

from billplane.chassis.events.kafka import Kafka
from billplane.chassis.events.rabbitmq import RabbitMq
from billplane.chassis.events.redis_streams import RedisStreams
from billplane.chassis.events.transport import (
    RABBITMQ_MIRROR,
    Delivery,
    Destination,
    NotPublished,
    Outgoing,
    Transport,
    is_task,
)
from billplane.chassis.settings import Settings


def choose(settings: Settings, redis: "Redis", name: str) -> Transport:
    """Return the transport that the settings ask for; without brokers it is Redis Streams."""
    kafka, rabbitmq = settings.kafka_bootstrap_servers, settings.rabbitmq_url
    if kafka and rabbitmq:
        return Brokers(Kafka(settings), RabbitMq(settings))
    # Made only where it carries something: its state is told as a broker's.
    streams = RedisStreams(redis, name)
    if not kafka and not rabbitmq:
        return streams
    return Brokers(
        Kafka(settings) if kafka else streams, RabbitMq(settings) if rabbitmq else streams
    )


class Brokers:
    """The transport port over two: facts go one way, tasks the other."""

    def __init__(self, facts: Transport, tasks: Transport) -> None:
        self._facts = facts
        self._tasks = tasks

    async def declare(
        self, consumer: str, produced: Sequence[Destination], consumed: Sequence[Destination]
    ) -> None:
        """Declare on both."""
        for broker in (self._facts, self._tasks):
            await broker.declare(
                consumer,
                [item for item in produced if self._of(item.name) is broker],
                [item for item in consumed if self._of(item.name) is broker],
            )

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish on both at once; one that is away does not hold up the other."""
        ways: dict[int, list[int]] = {id(self._facts): [], id(self._tasks): []}
        for place, message in enumerate(messages):
            ways[id(self._of(message.destination))].append(place)
        outcomes = await asyncio.gather(
            *(
                _publish(broker, [(place, messages[place]) for place in ways[id(broker)]])
                for broker in (self._facts, self._tasks)
            )
        )
        reasons = dict(chain.from_iterable(outcome.items() for outcome in outcomes))
        if reasons:
            raise NotPublished(reasons)

    def deliveries(
        self, consumer: str, destinations: Sequence[str]
    ) -> AsyncGenerator[Delivery, None]:
        """Yield from the broker of these destinations, which must be of one kind."""
        return self._of(destinations[0]).deliveries(consumer, destinations)

    async def acknowledge(self, consumer: str, delivery: Delivery) -> None:
        """Acknowledge where the message came from."""
        await self._of(delivery.destination).acknowledge(consumer, delivery)

    async def retry(self, consumer: str, delivery: Delivery) -> None:
        """Put the message off where it came from."""
        await self._of(delivery.destination).retry(consumer, delivery)

    def states(self) -> dict[str, str]:
        """Return the states of both."""
        return {**self._facts.states(), **self._tasks.states()}

    def when_ready(self, wake: Callable[[], None]) -> None:
        """Have a function called when either is back."""
        self._facts.when_ready(wake)
        self._tasks.when_ready(wake)

    async def close(self) -> None:
        """Close both."""
        await asyncio.gather(self._facts.close(), self._tasks.close())

    def _of(self, destination: str) -> Transport:
        tasks = is_task(destination) or destination.startswith(RABBITMQ_MIRROR)
        return self._tasks if tasks else self._facts


async def _publish(broker: Transport, placed: list[tuple[int, Outgoing]]) -> dict[int, str]:
    """Return what was not published, by its place in the whole."""
    if not placed:
        return {}
    try:
        await broker.publish([message for _, message in placed])
    except NotPublished as error:
        return {placed[place][0]: reason for place, reason in error.reasons.items()}
    return {}
