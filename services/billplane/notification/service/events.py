"""Events: one a fact, numbered, put on its way to every endpoint that wants it."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.events import Event
from billplane.chassis.events.consumer import Parked
from billplane.chassis.events.envelope import Metadata, decode
from billplane.chassis.events.wakeups import SILENCE_SECONDS, woken
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.stripe_dialect import StripePage
from billplane.notification import domain
from billplane.notification.errors import CursorExpired, EventNotFound
from billplane.notification.models import EventRow
from billplane.notification.repository import deliveries, endpoints, events
from billplane.notification.service.facts import BY_WIRE_TYPE, Said
from billplane.notification.service.state import State

SCOPE: Final = "events:read"
PAGE_MAX: Final = 200
WAIT_SECONDS_MAX: Final = 20.0
# An event that overtook the one before it waits for it so long, and is told then all the same:
# out of order is better than not at all. What is old already does not wait: its predecessors may
# be older than facts are kept.
_OVERTAKING_SECONDS: Final = 30.0
_OLD: Final = timedelta(hours=1)
_ENCODER: Final = msgspec.json.Encoder()

register("notification.after_numbers_before_events", "notification.after_events_before_end")


async def record_fact(tx: Transaction, event: Event[Any]) -> None:
    """Write the events that a fact says, and their deliveries.

    Raises: Parked when the fact of the same object before it has not come yet.
    Idempotent by: the fact's event id, which the inbox remembers.
    """
    tx.require_internal()
    metadata = event.metadata
    state: State = tx.runtime.state
    source = BY_WIRE_TYPE[metadata.event_type]
    # Two services may tell of one object, each with numbers of its own.
    told = f"{source.message.service}/{metadata.aggregate_id}"
    await _in_order(tx, state, told, metadata)
    said = source.build(decode(event.envelope)[1])
    await events.note_version(tx, told, metadata.aggregate_version)
    await tell(
        tx,
        said,
        first_id=metadata.event_id,
        object_id=metadata.aggregate_id,
        happened_at=datetime.fromisoformat(metadata.occurred_at),
        request_id=metadata.correlation_id,
    )


async def _in_order(tx: Transaction, state: State, told: str, metadata: Metadata) -> None:
    version = metadata.aggregate_version
    last = await events.last_version(tx, told)
    if version <= last + 1 or tx.now - datetime.fromisoformat(metadata.occurred_at) > _OLD:
        return
    since = state.overtaking.setdefault(metadata.event_id, time.monotonic())
    if time.monotonic() - since < _OVERTAKING_SECONDS:
        raise Parked(f"version {version} of {told} came after {last}")
    del state.overtaking[metadata.event_id]


async def tell(
    tx: Transaction,
    said: Sequence[Said],
    *,
    first_id: str = "",
    object_id: str,
    happened_at: datetime,
    request_id: str = "",
) -> None:
    """Number and store events, and put them on their way."""
    if not said:
        return
    state: State = tx.runtime.state
    wanting = {
        event_type: await endpoints.wanting(tx, event_type)
        for event_type in sorted({item.type for item in said})
    }
    first = await events.take_numbers(tx, len(said))
    faultpoint("notification.after_numbers_before_events")
    rows: list[dict[str, Any]] = []
    for place, item in enumerate(said):
        event_id = first_id if place == 0 and first_id else ids.new("evt")
        body = {
            "id": event_id,
            "object": "event",
            "api_version": domain.API_VERSION,
            "created": int(happened_at.timestamp()),
            "data": {"object": item.object},
            "livemode": tx.livemode,
            "pending_webhooks": len(wanting[item.type]),
            "request": {"id": request_id or None, "idempotency_key": None},
            "type": item.type,
        }
        rows.append(
            {
                "tenant_id": tx.tenant_id,
                "livemode": tx.livemode,
                "sequence": first + place,
                "id": event_id,
                "type": item.type,
                "object_id": str(item.object.get("id") or object_id),
                "body": _ENCODER.encode(body).decode(),
                "created_at": tx.now,
            }
        )
    await events.add_events(tx, rows)
    for row in rows:
        if wanting[row["type"]]:
            await deliveries.add_deliveries(
                tx, row["id"], row["sequence"], row["type"], wanting[row["type"]]
            )
    faultpoint("notification.after_events_before_end")
    topic = topic_of(tx.tenant_id, tx.livemode)
    tx.after_end(lambda: state.told(topic))


def topic_of(tenant_id: str, livemode: bool) -> str:
    """Name what readers of a mode's events are woken by."""
    return f"{tenant_id}:{'live' if livemode else 'test'}"


async def get_event(tx: ReadTransaction, event_id: str) -> EventRow:
    """Return one event.

    Raises: ScopeMissing, EventNotFound.
    """
    tx.authorize(SCOPE)
    row = await events.event(tx, event_id)
    if row is None:
        raise EventNotFound(f"No such event: '{event_id}'", field="id")
    return row


async def list_events(
    tx: ReadTransaction, types: Sequence[str], page: StripePage
) -> tuple[Sequence[EventRow], bool]:
    """Return a page of events, newest first, and whether there are more.

    Raises: ScopeMissing, NotFound when the page goes on from an event that is not there.
    """
    tx.authorize(SCOPE)
    return await events.list_events(tx, types, page)


async def still_pending(tx: ReadTransaction, rows: Sequence[EventRow]) -> dict[str, int]:
    """Count the deliveries of some events that are under way."""
    tx.authorize(SCOPE)
    return await events.undelivered(tx, [row.id for row in rows])


async def follow(
    call: Call,
    *,
    after: int,
    after_event_id: str,
    types: Sequence[str],
    page_size: int,
    wait_seconds: float,
    latest: bool,
) -> tuple[Sequence[EventRow], int]:
    """Return the events after a cursor, the oldest first, and the cursor to go on from.

    With nothing there it waits for the first one, as long as asked.
    Shape: at most 200 events; the cursor also passes over events of other types.
    Raises: ScopeMissing, EventNotFound, CursorExpired, Invalid.
    """
    call.principal.require(SCOPE)
    limit = min(page_size, PAGE_MAX) if page_size > 0 else PAGE_MAX
    if after < 0:
        raise Invalid([FieldError("after", "CURSOR_INVALID", "a cursor is 0 or more")])
    state: State = call.runtime.state
    deadline = time.monotonic() + min(wait_seconds, WAIT_SECONDS_MAX)
    if latest or after_event_id:
        async with call.reading() as tx:
            if latest:
                return [], await events.newest_number(tx)
            after = (await get_event(tx, after_event_id)).sequence
    caller = call.principal
    async with state.wakeups.waiting(topic_of(caller.tenant_id, caller.livemode)) as event:
        while True:
            async with call.reading() as tx:
                newest = await events.newest_number(tx)
                rows = await events.events_after(tx, after, types, limit)
                await _require_kept(tx, after, newest, rows)
            if rows:
                last = rows[-1].sequence
                return rows, last if len(rows) == limit else max(last, newest)
            left = deadline - time.monotonic()
            if left <= 0 or call.runtime.draining:
                return [], max(after, newest)
            await woken(event, min(left, SILENCE_SECONDS))


async def _require_kept(
    tx: ReadTransaction, after: int, newest: int, rows: Sequence[EventRow]
) -> None:
    """Refuse to go on from a cursor when what came next was forgotten.

    Raises: CursorExpired.
    """
    if not after or after >= newest or (rows and rows[0].sequence == after + 1):
        return
    oldest = await events.oldest_number(tx) or newest + 1
    if after < oldest - 1:
        raise CursorExpired(
            f"events up to {oldest - 1} are no longer kept: go on from 0 or {oldest - 1}",
            metadata={"oldest": oldest},
        )
