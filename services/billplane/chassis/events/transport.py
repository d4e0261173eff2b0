"""The port that brokers fill: publish with a confirm, deliver until acknowledged."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


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
    """A message as a broker handed it over; `token` acknowledges it."""

    destination: str
    envelope: bytes
    attempt: int
    token: Any


class Transport(Protocol):
    """A broker."""

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """Return once the broker holds every message durably; raise otherwise."""
        ...

    def deliveries(self, consumer: str, destinations: Sequence[str]) -> AsyncIterator[Delivery]:
        """Yield messages for a consumer until it is closed, unacknowledged ones again later."""
        ...

    async def acknowledge(self, consumer: str, delivery: Delivery) -> None:
        """Tell the broker that the message is done with."""
        ...
