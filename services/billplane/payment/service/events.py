"""What processors tell of their own accord: stored as it came, then applied once."""

import json
from collections.abc import Mapping
from typing import Any

from billplane.chassis.database import Transaction
from billplane.payment import repository
from billplane.payment.domain import ProcessorEvent
from billplane.protos.payment.v1.events_pb2 import ApplyProcessorEvent


async def store(tx: Transaction, processor: str, event: ProcessorEvent, body: bytes) -> bool:
    """Keep an event and ask for it to be applied; False when it came before.

    Idempotent by: the processor's id of the event.
    """
    new = await repository.add_processor_event(
        tx,
        {
            "processor": processor,
            "id": event.id,
            "kind": event.kind,
            "reference": event.reference,
            "event": dict(event.values),
            "body": body,
        },
    )
    if new:
        task = ApplyProcessorEvent(processor=processor, processor_event_id=event.id)
        await tx.enqueue(task, key=event.reference or event.id)
    return new


async def note(tx: Transaction, processor: str, values: Mapping[str, Any]) -> None:
    """Keep what the simulated processor would tell by a webhook."""
    rest = {name: value for name, value in values.items() if name not in ("id", "kind")}
    event = ProcessorEvent(str(values["id"]), str(values["kind"]), str(values["reference"]), rest)
    await store(tx, processor, event, json.dumps(dict(values)).encode())
