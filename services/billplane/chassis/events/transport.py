"""The port that brokers fill: publish with a confirm, deliver until acknowledged."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

# How long after a failure a message is delivered again.
RETRY_SECONDS = 5.0

# Where copies for programs outside go; what follows is the routing key, or the topic.
RABBITMQ_MIRROR = "mirror.rabbitmq/"
KAFKA_MIRROR = "mirror.kafka/"


class NotPublished(Exception):
    """Some messages did not reach their broker; those that are not named are held durably."""

    def __init__(self, reasons: dict[int, str]) -> None:
        self.reasons = reasons
        super().__init__("; ".join(sorted(set(reasons.values()))))


class BrokerAway(Exception):
    """The broker cannot be told now; it will deliver the message again."""


class TopologyDiffers(Exception):
    """What the broker already has under a name promises less than what was declared."""


class ConsumerGone(Exception):
    """A broker stopped delivering for good."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A stream of facts, or a queue of tasks, as the registry wants it.

    Units: retention in seconds; `attempts_max` deliveries before a task is a dead letter.
    """

    name: str
    kind: Literal["fact", "task"]
    retention_seconds: int
    attempts_max: int


def is_task(destination: str) -> bool:
    """Tell a queue of tasks by its name: facts are in `billplane.<service>.v1`."""
    return not destination.startswith(("billplane.", RABBITMQ_MIRROR, KAFKA_MIRROR))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way to a broker."""

    destination: str
    key: str
    envelope: bytes
    headers: dict[str, str]
    retention_seconds: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as a broker handed it over; `token` acknowledges it.

    `dead` marks one that the broker itself gave up, because its consumers died of it.
    """

    destination: str
    envelope: bytes
    attempt: int
    token: Any
    dead: bool = False


class Transport(Protocol):
    """A broker."""

    async def declare(
        self, consumer: str, produced: Sequence[Destination], consumed: Sequence[Destination]
    ) -> None:
        """Make what a service needs on the broker, now and again whenever the broker lost it.

        A broker that is away is no error: it is told when it is back.
        Raises: TopologyDiffers.
        """
        ...

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return once the broker holds every message durably.

        Raises: NotPublished naming each that it does not hold.
        """
        ...

    def deliveries(
        self, consumer: str, destinations: Sequence[str]
    ) -> AsyncGenerator[Delivery, None]:
        """Yield messages for a consumer until it is closed, unacknowledged ones again later."""
        ...

    async def acknowledge(self, consumer: str, delivery: Delivery) -> None:
        """Tell the broker that the message is done with.

        Raises: BrokerAway.
        """
        ...

    async def retry(self, consumer: str, delivery: Delivery) -> None:
        """Have the message delivered again after a while, as its next attempt.

        Raises: BrokerAway.
        """
        ...

    def states(self) -> dict[str, str]:
        """Return connected, reconnecting or open for each broker by name."""
        ...

    def when_ready(self, wake: Callable[[], None]) -> None:
        """Have a function called whenever a broker has become reachable again."""
        ...

    async def close(self) -> None:
        """Let go of the broker; what was not acknowledged is delivered again."""
        ...
