"""Consumers: each message has its effect once, in its order where the handler asks for it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from google.protobuf.message import Message
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis import ids, logging, metrics
from billplane.chassis.auth import service_principal
from billplane.chassis.database.tables import AggregateVersionRow, DeadLetterRow, InboxRow
from billplane.chassis.errors import BillplaneError, Kind, StoreUnavailable
from billplane.chassis.events.envelope import Metadata, decode, parse_payload
from billplane.chassis.events.registry import MessageType, destinations
from billplane.chassis.events.transport import BrokerAway, ConsumerGone, Delivery, is_task
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.finishing import finish

if TYPE_CHECKING:
    from billplane.chassis.database.transaction import Transaction
    from billplane.chassis.runtime import Runtime

_log = logging.get("events")
Payload = TypeVar("Payload", bound=Message)
GAP_SECONDS = 60
DELIVERY_LIMIT = "DELIVERY_LIMIT"
# What a tenant is told of an error that no use case decided.
HIDDEN = "an internal error; the log has it under the event id"

register("inbox.after_handler_before_end", "inbox.after_end_before_acknowledge")


@dataclass(frozen=True, slots=True)
class Event(Generic[Payload]):
    """A message as its handler sees it."""

    metadata: Metadata
    payload: Payload
    envelope: bytes


Handler = Callable[["Transaction", Event[Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Interest:
    """One handler of one message type."""

    message: MessageType
    handler: Handler
    ordered: bool
    wanted: Callable[[Any], bool]

    @property
    def name(self) -> str:
        """The handler's name, part of the inbox key."""
        return str(getattr(self.handler, "__name__", "handler"))


class Consumers:
    """The handlers of a service."""

    def __init__(self) -> None:
        self.interests: list[Interest] = []

    def on(
        self,
        message: MessageType,
        *,
        ordered: bool = False,
        wanted: Callable[[Any], bool] = lambda _settings: True,
    ) -> Callable[[Handler], Handler]:
        """Register a handler: `async def handle(tx, event)`; it may run more than once.

        `wanted` tells by the service's settings whether it runs at all.
        """

        def register_handler(handler: Handler) -> Handler:
            self.interests.append(Interest(message, handler, ordered, wanted))
            return handler

        return register_handler


class Parked(Exception):
    """An ordered message whose predecessor has not come yet."""


class HandlerGone(BillplaneError):
    """The handler of a dead letter is switched off, or is no more."""

    kind = Kind.FAILED_PRECONDITION
    reason = "HANDLER_GONE"


class Dispatcher:
    """Feeds a service's handlers from the transport."""

    def __init__(self, runtime: "Runtime", consumers: Consumers) -> None:
        self._runtime = runtime
        self._by_type: dict[str, list[Interest]] = {}
        interests = [item for item in consumers.interests if item.wanted(runtime.settings)]
        for interest in interests:
            self._by_type.setdefault(interest.message.wire_type, []).append(interest)
        self.destinations = destinations(item.message for item in interests)
        # By handler too: what parks for one may be done for another.
        self._parked_at: dict[tuple[str, str], float] = {}

    async def run(self) -> None:
        """Handle messages until cancelled; the one in hand is finished first.

        Raises: whatever ends a consumer, so that the process ends with it.
        """
        names = [item.name for item in self.destinations]
        lanes = (
            [name for name in names if not is_task(name)],
            [name for name in names if is_task(name)],
        )
        async with asyncio.TaskGroup() as group:
            for lane in filter(None, lanes):
                group.create_task(self._run(lane))

    async def _run(self, names: Sequence[str]) -> None:
        deliveries = self._runtime.transport.deliveries(self._runtime.name, names)
        try:
            async with aclosing(deliveries):
                async for delivery in deliveries:
                    await finish(self._deliver(delivery))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        # Also where something beneath was cancelled that nobody here asked to stop.
        raise ConsumerGone(f"nothing is delivered any more from {', '.join(names)}")

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            metadata, payload = decode(delivery.envelope)
        except (ValueError, KeyError, TypeError) as error:
            # Nobody can say whose it is, so it has no place among a tenant's dead letters.
            metrics.HANDLED.labels(self._runtime.name, "", "unreadable").inc()
            _log.error(
                "message_unreadable", destination=delivery.destination, error=type(error).__name__
            )
            await self._acknowledge(delivery)
            return
        interests = self._by_type.get(metadata.event_type, [])
        done = True
        for interest in interests:
            done &= await self._try(interest, metadata, payload, delivery)
        if done:
            faultpoint("inbox.after_end_before_acknowledge")
            await self._acknowledge(delivery)
        else:
            await self._tell(self._runtime.transport.retry(self._runtime.name, delivery))

    async def _acknowledge(self, delivery: Delivery) -> None:
        await self._tell(self._runtime.transport.acknowledge(self._runtime.name, delivery))

    async def _tell(self, word: Awaitable[None]) -> None:
        try:
            await word
        except BrokerAway as error:
            _log.warning("broker_not_told", service=self._runtime.name, error=str(error))

    async def _try(
        self, interest: Interest, metadata: Metadata, payload: Any, delivery: Delivery
    ) -> bool:
        """Return True when the message needs no further delivery."""
        labels = (self._runtime.name, metadata.event_type)
        place = (interest.name, metadata.event_id)
        if delivery.dead:
            detail = f"{interest.message.attempts_max} processes ended with it in hand"
            return await self._set_aside(interest, metadata, delivery, DELIVERY_LIMIT, detail)
        try:
            await self.handle(interest, metadata, payload, delivery.envelope)
        except StoreUnavailable:
            return False
        except Parked as gap:
            parked = self._parked_at.setdefault(place, time.monotonic())
            if time.monotonic() - parked < GAP_SECONDS:
                return False
            if not await self._set_aside(interest, metadata, delivery, "GAP", str(gap)):
                return False
        except Exception as error:
            metrics.HANDLED.labels(*labels, "failed").inc()
            reason = error.reason if isinstance(error, BillplaneError) else type(error).__name__
            _log.warning(
                "message_failed",
                consumer=interest.name,
                event_id=metadata.event_id,
                attempt=delivery.attempt,
                reason=reason,
                error=str(error),
            )
            if delivery.attempt < interest.message.attempts_max:
                return False
            detail = str(error) if isinstance(error, BillplaneError) else HIDDEN
            if not await self._set_aside(interest, metadata, delivery, reason, detail):
                return False
        else:
            metrics.HANDLED.labels(*labels, "handled").inc()
        self._parked_at.pop(place, None)
        return True

    async def handle(
        self, interest: Interest, metadata: Metadata, payload: dict[str, Any], envelope: bytes
    ) -> None:
        """Run one handler in one transaction of the message's tenant, at most once in effect."""
        runtime = self._runtime
        principal = service_principal(runtime.name, metadata.tenant_id, metadata.livemode)
        async with runtime.database.write(runtime, principal, metadata.correlation_id) as tx:
            tx.caused_by(metadata.event_id, metadata.correlation_id)
            if await self._seen(tx, interest, metadata):
                return
            message = parse_payload(interest.message.proto, payload)
            await interest.handler(tx, Event(metadata, message, envelope))
            await self._note(tx, interest, metadata)
            faultpoint("inbox.after_handler_before_end")

    async def _seen(self, tx: "Transaction", interest: Interest, metadata: Metadata) -> bool:
        seen = await tx.session.get(
            InboxRow, (metadata.tenant_id, interest.name, metadata.event_id)
        )
        if seen is not None:
            return True
        if interest.ordered:
            last = (
                await tx.session.execute(
                    select(AggregateVersionRow.version).where(
                        AggregateVersionRow.tenant_id == metadata.tenant_id,
                        AggregateVersionRow.consumer == interest.name,
                        AggregateVersionRow.aggregate_id == metadata.aggregate_id,
                    )
                )
            ).scalar_one_or_none() or 0
            if metadata.aggregate_version <= last:
                return True
            if metadata.aggregate_version > last + 1:
                raise Parked(f"version {metadata.aggregate_version} came after {last}")
        return False

    async def _note(self, tx: "Transaction", interest: Interest, metadata: Metadata) -> None:
        # Last, since a handler may ask peers before its first write. A race ends in a duplicate
        # key here, which undoes the second run.
        if interest.ordered:
            statement = insert(AggregateVersionRow).values(
                tenant_id=metadata.tenant_id,
                consumer=interest.name,
                aggregate_id=metadata.aggregate_id,
                version=metadata.aggregate_version,
            )
            await tx.session.execute(
                statement.on_conflict_do_update(
                    index_elements=["tenant_id", "consumer", "aggregate_id"],
                    set_={"version": statement.excluded.version},
                )
            )
        await tx.session.execute(
            insert(InboxRow).values(
                tenant_id=metadata.tenant_id,
                consumer=interest.name,
                event_id=metadata.event_id,
                handled_at=tx.now,
            )
        )

    async def _set_aside(
        self,
        interest: Interest,
        metadata: Metadata,
        delivery: Delivery,
        reason: str,
        detail: str,
    ) -> bool:
        """Keep a message as a dead letter; False when the database is away and it must wait."""
        runtime = self._runtime
        principal = service_principal(runtime.name, metadata.tenant_id, metadata.livemode)
        try:
            async with runtime.database.write(runtime, principal) as tx:
                tx.session.add(
                    DeadLetterRow(
                        id=ids.new("dlq"),
                        tenant_id=metadata.tenant_id,
                        livemode=metadata.livemode,
                        consumer=interest.name,
                        event_type=metadata.event_type,
                        reason=reason,
                        detail=detail[:2000],
                        attempts=delivery.attempt,
                        envelope=delivery.envelope,
                        created_at=tx.now,
                    )
                )
        except StoreUnavailable:
            return False
        metrics.DEAD_LETTERS.labels(runtime.name, metadata.event_type, reason).inc()
        _log.error("message_set_aside", event_id=metadata.event_id, reason=reason)
        return True

    async def replay(self, tenant_id: str, livemode: bool, dead_letter_id: str) -> None:
        """Handle a dead letter again and forget it when that succeeds.

        Raises: KeyError when there is no such letter; HandlerGone; whatever the handler raises.
        """
        runtime = self._runtime
        principal = service_principal(runtime.name, tenant_id, livemode)
        async with runtime.database.read(runtime, principal) as reading:
            letter = await reading.session.get(DeadLetterRow, dead_letter_id)
            if letter is None:
                raise KeyError(dead_letter_id)
        metadata, payload = decode(letter.envelope)
        interests = self._by_type.get(metadata.event_type, [])
        mine = [interest for interest in interests if interest.name == letter.consumer]
        if not mine:
            raise HandlerGone(f"nothing called {letter.consumer} handles {metadata.event_type} now")
        for interest in mine:
            await self.handle(interest, metadata, payload, letter.envelope)
        async with runtime.database.write(runtime, principal) as tx:
            held = await tx.session.get(DeadLetterRow, dead_letter_id)
            if held is not None:
                await tx.session.delete(held)
