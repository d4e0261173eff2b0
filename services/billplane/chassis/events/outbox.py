"""The outbox: a message is a row of the transaction that causes it."""

from typing import TYPE_CHECKING
from zlib import crc32

from google.protobuf.message import Message
from opentelemetry.propagate import inject
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis import ids
from billplane.chassis.database.tables import AggregateVersionRow, OutboxRow
from billplane.chassis.events.envelope import Metadata, encode, instant_text

if TYPE_CHECKING:
    from billplane.chassis.database.transaction import Transaction

SHARDS = 8
# The producer's own counter of an aggregate's facts; a consumer's name stands here for handled
# versions. Tasks have a counter a queue, so that they leave no gap among the facts.
PRODUCER = ""


async def store(tx: "Transaction", message: Message, aggregate_id: str) -> str:
    """Write one message to the outbox and return its event id.

    Raises: KeyError when the service does not declare the message.
    """
    declared = tx.runtime.message_types[type(message)]
    counter = PRODUCER if declared.kind == "fact" else f"queue:{declared.destination}"
    version = await _next_version(tx, counter, aggregate_id)
    carrier: dict[str, str] = {}
    inject(carrier)
    metadata = Metadata(
        event_id=ids.new("evt"),
        event_type=declared.wire_type,
        event_version=1,
        source=f"billplane/{tx.runtime.name}",
        tenant_id=tx.tenant_id,
        livemode=tx.livemode,
        occurred_at=instant_text(tx.now),
        correlation_id=tx.correlation_id or tx.request_id,
        causation_id=tx.causation_id or tx.request_id,
        traceparent=carrier.get("traceparent", ""),
        aggregate_type=declared.aggregate,
        aggregate_id=aggregate_id,
        aggregate_version=version,
    )
    tx.session.add(
        OutboxRow(
            tenant_id=tx.tenant_id,
            livemode=tx.livemode,
            event_id=metadata.event_id,
            event_type=metadata.event_type,
            destination=declared.destination,
            aggregate_id=aggregate_id,
            aggregate_version=version,
            shard=crc32(aggregate_id.encode()) % SHARDS,
            envelope=encode(metadata, message),
            created_at=tx.now,
        )
    )
    return metadata.event_id


async def forward(tx: "Transaction", envelope: bytes, metadata: Metadata, destination: str) -> None:
    """Write a message that was received to the outbox once more, as it is, for another place."""
    statement = insert(OutboxRow).values(
        tenant_id=tx.tenant_id,
        livemode=tx.livemode,
        # The envelope keeps the event's own id; here the pair of it and the place is one message.
        event_id=f"{metadata.event_id}@{destination}",
        event_type=metadata.event_type,
        destination=destination,
        aggregate_id=metadata.aggregate_id,
        aggregate_version=metadata.aggregate_version,
        shard=crc32(metadata.aggregate_id.encode()) % SHARDS,
        envelope=envelope,
        created_at=tx.now,
    )
    await tx.session.execute(statement.on_conflict_do_nothing())


async def _next_version(tx: "Transaction", counter: str, aggregate_id: str) -> int:
    """Take the aggregate's next version; the row lock makes versions of one aggregate follow."""
    statement = (
        insert(AggregateVersionRow)
        .values(tenant_id=tx.tenant_id, consumer=counter, aggregate_id=aggregate_id, version=1)
        .on_conflict_do_update(
            index_elements=["tenant_id", "consumer", "aggregate_id"],
            set_={"version": AggregateVersionRow.version + 1},
        )
        .returning(AggregateVersionRow.version)
    )
    version = (await tx.session.execute(statement)).scalar_one()
    return int(version)
