"""Message types: what each is called, who orders it, how long it is kept."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from google.protobuf.message import Message

from billplane.chassis.events.transport import KAFKA_MIRROR, Destination

DAY = 86_400


@dataclass(frozen=True, slots=True)
class MessageType:
    """One row of the registry."""

    proto: type[Message]
    wire_type: str
    kind: Literal["fact", "task"]
    aggregate: str
    retention_seconds: int = 7 * DAY
    attempts_max: int = 10
    open: bool = False

    @property
    def service(self) -> str:
        """The producing service of a fact, the working service of a task."""
        return service_of(self.proto)

    @property
    def destination(self) -> str:
        """The stream that carries it."""
        if self.kind == "fact":
            return f"billplane.{self.service}.v1"
        return f"{self.service}.{task_name(self.proto)}"


def fact(
    proto: type[Message],
    aggregate: str,
    *,
    wire_type: str = "",
    retention_seconds: int = 7 * DAY,
    open: bool = False,  # noqa: A002 - the word of the contract
) -> MessageType:
    """Declare a fact: past tense, many readers."""
    name = wire_type or fact_name(proto)
    return MessageType(proto, name, "fact", aggregate, retention_seconds, open=open)


def task(proto: type[Message], *, attempts_max: int = 10) -> MessageType:
    """Declare a task: exactly one worker finishes it."""
    return MessageType(
        proto, f"{service_of(proto)}.{task_name(proto)}", "task", "task", attempts_max=attempts_max
    )


def destinations(messages: Iterable[MessageType]) -> list[Destination]:
    """Return the streams and queues of some messages; one keeps as long as its longest kept."""
    found: dict[str, Destination] = {}
    for message in messages:
        before = found.get(message.destination)
        found[message.destination] = Destination(
            message.destination,
            message.kind,
            max(message.retention_seconds, before.retention_seconds if before else 0),
            max(message.attempts_max, before.attempts_max if before else 0),
        )
    return [found[name] for name in sorted(found)]


def mirrored(places: Iterable[str]) -> list[Destination]:
    """Return the topics that copies go to; RabbitMQ's copies need no queue of ours."""
    return [
        Destination(place, "fact", 7 * DAY, 1) for place in places if place.startswith(KAFKA_MIRROR)
    ]


def service_of(proto: type[Message]) -> str:
    """Return the service of a proto's package, `billplane.<service>.v1`."""
    return str(proto.DESCRIPTOR.file.package).split(".")[1]


def fact_name(proto: type[Message]) -> str:
    """Return the wire type by the rule: lower case, a dot before the verb."""
    words = _words(proto)
    return "_".join(words[:-1]) + "." + words[-1]


def task_name(proto: type[Message]) -> str:
    """Return the task's name: its verb and, with it, what it acts on in lower case."""
    words = _words(proto)
    return words[0] if words[-1] != "task" else "_".join(words[:-1])


def _words(proto: type[Message]) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z][a-z0-9]*", str(proto.DESCRIPTOR.name))]
