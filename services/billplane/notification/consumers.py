"""Facts that have events, and tasks to tell somebody."""

from typing import Any

from billplane.chassis.database import Transaction
from billplane.chassis.events import Consumers, Event, task
from billplane.notification.service import events, messages
from billplane.notification.service.facts import SOURCES
from billplane.protos.notification.v1.events_pb2 import NotifyTask

consumers = Consumers()

NOTIFY = task(NotifyTask)


async def tell_programs(tx: Transaction, event: Event[Any]) -> None:
    """Write the events that a fact says."""
    await events.record_fact(tx, event)


for _source in SOURCES:
    consumers.on(_source.message)(tell_programs)


@consumers.on(NOTIFY)
async def tell_person(tx: Transaction, event: Event[NotifyTask]) -> None:
    """Keep a message that is to be sent."""
    await messages.accept(tx, event.payload, event.metadata.event_id)
