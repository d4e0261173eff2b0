"""The table of reactions: message, condition, task; what became of them.

A reaction to add is a row here. Each runs in a transaction of its own, is tried again on its own
and has its own dead letters, so that none holds up another.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.database.tables import DeadLetterRow
from billplane.chassis.events import Event, MessageType, dead_letters
from billplane.chassis.rest import Page
from billplane.listener.service.audit import record_fact
from billplane.listener.service.facts import FACTS
from billplane.listener.service.mirrors import MIRRORS, copy_fact, enabled
from billplane.listener.settings import ListenerSettings

READ, WRITE = "reactions:read", "reactions:write"
MIRROR = "mirror"


def always(_event: Event[Any]) -> bool:
    """Every message of the type."""
    return True


def by_any_settings(_settings: ListenerSettings) -> bool:
    """Whatever the settings say."""
    return True


@dataclass(frozen=True, slots=True)
class Reaction:
    """When a message comes and the condition holds, the task is done.

    The condition's docstring says it in words; the task is idempotent by the event id. `wanted`
    tells by the settings whether there is the reaction at all.
    """

    name: str
    message: MessageType
    condition: Callable[[Event[Any]], bool]
    task: Callable[[Transaction, Event[Any]], Awaitable[None]]
    wanted: Callable[[ListenerSettings], bool] = by_any_settings


REACTIONS: Final[tuple[Reaction, ...]] = (
    *(Reaction("audit_log", message, always, record_fact) for message in FACTS),
    *(
        Reaction(MIRROR, message, always, copy_fact, wanted=enabled)
        for message in FACTS
        if message.wire_type in MIRRORS
    ),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A reaction, in words."""

    name: str
    message: str
    condition: str
    task: str
    enabled: bool


async def list_reactions(tx: ReadTransaction) -> list[Listed]:
    """Return the table of reactions.

    Raises: ScopeMissing.
    """
    tx.authorize(READ)
    settings = cast("ListenerSettings", tx.runtime.settings)
    return [
        Listed(
            name=reaction.name,
            message=reaction.message.wire_type,
            condition=_words(reaction.condition),
            task=_words(reaction.task),
            enabled=reaction.wanted(settings),
        )
        for reaction in REACTIONS
    ]


async def list_dead_letters(
    tx: ReadTransaction, reaction: str | None, page: Page
) -> tuple[Sequence[DeadLetterRow], str | None]:
    """Return a page of messages that a reaction failed on for good.

    Shape: newest first, as many as the page says, and the cursor of the next.
    Raises: ScopeMissing, CursorInvalid.
    """
    tx.authorize(READ)
    return await dead_letters.fetch(tx, page, reaction)


async def replay_dead_letter(call: Call, letter_id: str) -> DeadLetterRow:
    """Do a reaction again on a dead letter, which is gone when that succeeds.

    Raises: ScopeMissing, DeadLetterNotFound, ReplayFailed.
    Idempotent by: the event id, since the reaction is.
    """
    call.principal.require(WRITE)
    return await dead_letters.replay(call, letter_id)


def _words(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").partition("\n")[0]
