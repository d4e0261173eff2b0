"""Feeds the table of reactions: one handler a row."""

from typing import Any

from billplane.chassis.database import Transaction
from billplane.chassis.events import Consumers, Event
from billplane.listener.service.reactions import REACTIONS, Reaction

consumers = Consumers()


def _add(reaction: Reaction) -> None:
    async def react(tx: Transaction, event: Event[Any]) -> None:
        if reaction.condition(event):
            await reaction.task(tx, event)

    # The inbox and the dead letters know a handler by its name.
    react.__name__ = reaction.name
    consumers.on(reaction.message, wanted=reaction.wanted)(react)


for _reaction in REACTIONS:
    _add(_reaction)
