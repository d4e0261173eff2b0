"""Tasks on RabbitMQ: quorum queues, confirms, returns, delays and dead letters.

Each task has three queues, all bound by its name: the work queue on `billplane.tasks`, a delay
queue whose messages go back to it when their time is over, and a dead-letter queue that takes what
its consumers died of too often.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractConnection,
    AbstractIncomingMessage,
    AbstractQueue,
)
from aio_pika.exceptions import AMQPError, ChannelPreconditionFailed, PublishError

from billplane.chassis import logging
from billplane.chassis.events import transport
from billplane.chassis.events.amqp import (
    BROKEN,
    AmqpConnection,
    CircuitBreaker,
    asking,
)
from billplane.chassis.events.state import BrokerState
from billplane.chassis.events.transport import (
    RABBITMQ_MIRROR,
    BrokerAway,
    ConsumerGone,
    Delivery,
    Destination,
    NotPublished,
    Outgoing,
    TopologyDiffers,
)
from billplane.chassis.settings import Settings

_log = logging.get("events")

TASKS = "billplane.tasks"
DEAD = "billplane.tasks.dead"
MIRRORS = "billplane.events"
ATTEMPT = "x-billplane-attempt"
CONFIRM_SECONDS = 10


def queues_of(task: Destination, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Return a task's queues by name with their arguments; all are durable quorum queues.

    At-least-once dead lettering needs reject-publish: what cannot be taken is refused, not lost.
    Source: www.rabbitmq.com/docs/quorum-queues, "Dead lettering".
    """
    safe = {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-dead-letter-strategy": "at-least-once",
    }
    name = prefix + task.name
    return {
        name: {
            **safe,
            "x-delivery-limit": task.attempts_max,
            "x-dead-letter-exchange": prefix + DEAD,
            "x-dead-letter-routing-key": task.name,
        },
        f"{name}.delay": {
            **safe,
            "x-message-ttl": int(transport.RETRY_SECONDS * 1000),
            "x-dead-letter-exchange": prefix + TASKS,
            "x-dead-letter-routing-key": task.name,
        },
        f"{name}.dead": {"x-queue-type": "quorum", "x-delivery-limit": -1},
    }


@dataclass(eq=False)
class _Lane:
    """What one consumer takes: its queues, its channel while there is one, what has arrived."""

    consumer: str
    destinations: Sequence[str]
    arrived: "asyncio.Queue[Delivery | None]" = field(default_factory=asyncio.Queue)
    channel: AbstractChannel | None = None
    consuming: list[tuple[AbstractQueue, str]] = field(default_factory=list)
    widened: bool = False


class RabbitMq:
    """The transport port on RabbitMQ; one connection for all services of the process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._prefix = settings.broker_prefix
        self._state = BrokerState("rabbitmq")
        self._breaker = CircuitBreaker(settings, self._state)
        self._connection = AmqpConnection(
            settings, self._breaker, self._state, self._made, self._lost
        )
        self._queues: dict[str, Destination] = {}
        self._lanes: list[_Lane] = []
        self._publishing: AbstractChannel | None = None
        self._renewing: set[asyncio.Task[None]] = set()

    async def declare(
        self, consumer: str, produced: Sequence[Destination], consumed: Sequence[Destination]
    ) -> None:
        """Declare the queues of the tasks that a service works off, and the exchanges."""
        known = set(self._queues)
        self._queues.update({task.name: task for task in consumed})
        await self._connection.tried()
        connection = self._connection.current
        if connection is not None and set(self._queues) - known:
            try:
                async with asking():
                    await self._declare(connection)
            except BROKEN as error:
                await self._connection.renew(str(error))

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Send every message in order, persistent and mandatory, and wait for the confirms."""
        channel = self._publishing
        if self._connection.refused is not None:
            raise _none(messages, str(self._connection.refused))
        if not self._breaker.allows():
            raise _none(messages, "RabbitMQ's circuit breaker is open")
        if channel is None or channel.is_closed:
            self._breaker.failed("not connected")
            raise _none(messages, "RabbitMQ is not connected")
        outcomes = await asyncio.gather(
            *(self._send(channel, message) for message in messages), return_exceptions=True
        )
        reasons: dict[int, str] = {}
        broken = ""
        for place, (message, outcome) in enumerate(zip(messages, outcomes, strict=True)):
            if isinstance(outcome, PublishError):
                reasons[place] = f"no queue takes {message.destination!r}: its worker never ran"
            elif isinstance(outcome, BaseException):
                broken = reasons[place] = f"RabbitMQ did not confirm: {outcome!r}"
        if broken:
            self._breaker.failed(broken)
            if channel.is_closed or "Timeout" in broken:
                self._renew(broken)
        else:
            self._breaker.succeeded()
        if reasons:
            raise NotPublished(reasons)

    async def deliveries(
        self, consumer: str, destinations: Sequence[str]
    ) -> AsyncGenerator[Delivery, None]:
        """Yield tasks, and those that RabbitMQ gave up as dead."""
        lane = _Lane(consumer, list(destinations))
        self._lanes.append(lane)
        try:
            await self._connection.tried()
            if self._connection.current is not None and lane.channel is None:
                try:
                    async with asking():
                        await self._attach(self._connection.current, lane)
                except BROKEN as error:
                    self._renew(str(error))
            while True:
                delivery = await lane.arrived.get()
                if self._connection.refused is not None:
                    raise self._connection.refused
                if delivery is None:
                    raise ConsumerGone("the connection to RabbitMQ was closed")
                yield delivery
        finally:
            self._lanes.remove(lane)
            await _close(lane.channel)

    async def acknowledge(self, consumer: str, delivery: Delivery) -> None:
        """Acknowledge one message."""
        try:
            async with asking():
                await delivery.token.ack()
        except BROKEN as error:
            raise BrokerAway(str(error)) from error
        await self._widen(consumer)

    async def retry(self, consumer: str, delivery: Delivery) -> None:
        """Put a copy with the next attempt's number into the delay queue, then take this one."""
        message: AbstractIncomingMessage = delivery.token
        # RabbitMQ's own headers stay behind: they count what was, and the attempt includes it.
        own = {name: value for name, value in message.headers.items() if name.startswith("ce_")}
        copy = aio_pika.Message(
            delivery.envelope,
            headers={**own, ATTEMPT: delivery.attempt + 1},
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=message.message_id,
            type=message.type,
        )
        if self._publishing is None:
            raise BrokerAway("RabbitMQ is not connected")
        try:
            async with asking():
                await self._publishing.default_exchange.publish(
                    copy,
                    f"{self._prefix}{delivery.destination}.delay",
                    mandatory=True,
                    timeout=CONFIRM_SECONDS,
                )
                await message.ack()
        except BROKEN as error:
            self._renew(f"a task could not be put off: {error!r}")
            raise BrokerAway(str(error)) from error

    def states(self) -> dict[str, str]:
        """Return the state of RabbitMQ."""
        return {"rabbitmq": self._state.value}

    def when_ready(self, wake: Callable[[], None]) -> None:
        """Have a function called when RabbitMQ is back."""
        self._state.when_ready(wake)

    async def close(self) -> None:
        """Close the connection; messages not yet acknowledged go back to their queues."""
        for lane in self._lanes:
            lane.arrived.put_nowait(None)
        await asyncio.gather(*self._renewing, return_exceptions=True)
        await self._connection.close()

    async def _send(self, channel: AbstractChannel, message: Outgoing) -> None:
        mirrored = message.destination.startswith(RABBITMQ_MIRROR)
        exchange = await channel.get_exchange(
            self._prefix + (MIRRORS if mirrored else TASKS), ensure=False
        )
        await exchange.publish(
            aio_pika.Message(
                message.envelope,
                headers=dict(message.headers),
                content_type="application/json",
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=message.headers.get("ce_id"),
                type=message.headers.get("ce_type"),
            ),
            message.destination.removeprefix(RABBITMQ_MIRROR),
            # Outside programs may or may not listen; a task must find its queue.
            mandatory=not mirrored,
            timeout=CONFIRM_SECONDS,
        )

    async def _made(self, connection: AbstractConnection) -> None:
        await self._declare(connection)
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.initialize()
        self._publishing = channel
        for lane in self._lanes:
            await self._attach(connection, lane)

    def _lost(self) -> None:
        self._publishing = None
        for lane in self._lanes:
            # What has arrived cannot be acknowledged any more, and comes again.
            _empty(lane.arrived)
            lane.channel = None
            if self._connection.refused is not None:
                lane.arrived.put_nowait(None)

    def _renew(self, reason: str) -> None:
        task = asyncio.create_task(self._connection.renew(reason))
        self._renewing.add(task)
        task.add_done_callback(self._renewing.discard)

    async def _declare(self, connection: AbstractConnection) -> None:
        channel = connection.channel(publisher_confirms=False)
        await channel.initialize()
        try:
            tasks = await channel.declare_exchange(self._prefix + TASKS, "topic", durable=True)
            dead = await channel.declare_exchange(self._prefix + DEAD, "topic", durable=True)
            await channel.declare_exchange(self._prefix + MIRRORS, "topic", durable=True)
            for task in self._queues.values():
                for name, arguments in queues_of(task, self._prefix).items():
                    queue = await channel.declare_queue(name, durable=True, arguments=arguments)
                    if name.endswith(task.name):
                        await queue.bind(tasks, task.name)
                    elif name.endswith(".dead"):
                        await queue.bind(dead, task.name)
        except ChannelPreconditionFailed as error:
            raise TopologyDiffers(
                f"RabbitMQ has it otherwise than Billplane declares it: {error}. Let its messages"
                " be worked off, delete it, and start again"
            ) from error
        finally:
            await _close(channel)

    async def _attach(self, connection: AbstractConnection, lane: _Lane) -> None:
        """Begin to consume, one message at a time until the first is acknowledged.

        A message that ends this process then counts as a failed delivery of itself alone, and
        not of all that was fetched with it.
        """
        channel = connection.channel(publisher_confirms=False)
        await channel.initialize()
        lane.channel, lane.consuming, lane.widened = channel, [], False
        under = await channel.get_underlay_channel()
        under.on_consumer_cancel_callbacks.add(
            lambda _frame: self._renew("RabbitMQ ended a consumer: its queue was deleted")
        )
        await self._consume(channel, lane, prefetch=1)

    async def _widen(self, consumer: str) -> None:
        """Fetch ahead from now on; what this channel has delivered stays good."""
        for lane in self._lanes:
            if lane.consumer != consumer or lane.widened or lane.channel is None:
                continue
            lane.widened = True
            try:
                async with asking():
                    for queue, tag in lane.consuming:
                        await queue.cancel(tag)
                    lane.consuming = []
                    await self._consume(lane.channel, lane, self._settings.rabbitmq_prefetch)
            except BROKEN as error:
                self._renew(str(error))

    async def _consume(self, channel: AbstractChannel, lane: _Lane, prefetch: int) -> None:
        # Holds for consumers that begin after it.
        await channel.set_qos(prefetch_count=prefetch)
        for name in lane.destinations:
            for ending in ("", ".dead"):
                queue = await channel.get_queue(f"{self._prefix}{name}{ending}", ensure=False)
                tag = await queue.consume(_taking(lane, channel, name, dead=bool(ending)))
                lane.consuming.append((queue, tag))


def _taking(lane: _Lane, channel: AbstractChannel, name: str, *, dead: bool) -> Any:
    async def take(message: AbstractIncomingMessage) -> None:
        if lane.channel is channel:
            lane.arrived.put_nowait(_delivery(name, message, dead=dead))

    return take


def _delivery(name: str, message: AbstractIncomingMessage, *, dead: bool) -> Delivery:
    tried: Any = message.headers.get(ATTEMPT, 1)
    # Counts the consumers that went away with the message in hand.
    dropped: Any = message.headers.get("x-delivery-count", 0)
    return Delivery(name, message.body, int(tried) + int(dropped), message, dead)


def _empty(arrived: "asyncio.Queue[Delivery | None]") -> None:
    while not arrived.empty():
        arrived.get_nowait()


def _none(messages: Sequence[Outgoing], reason: str) -> NotPublished:
    return NotPublished(dict.fromkeys(range(len(messages)), reason))


async def _close(channel: AbstractChannel | None) -> None:
    if channel is not None and not channel.is_closed:
        try:
            await channel.close()
        except (AMQPError, OSError, RuntimeError) as error:
            _log.debug("channel_close_failed", error=repr(error))
