"""gRPC of the listener."""

import json
from dataclasses import asdict

from billplane.chassis.database import ReadTransaction
from billplane.chassis.database.tables import DeadLetterRow
from billplane.chassis.events.envelope import decode
from billplane.chassis.rest import Page
from billplane.chassis.rpc import Call, Rpc, to_timestamp
from billplane.listener.models import AuditEntryRow
from billplane.listener.service import audit, reactions
from billplane.protos.listener.v1 import listener_pb2 as pb

rpc = Rpc(pb.DESCRIPTOR.services_by_name["ListenerService"])


@rpc.read
async def ListReactions(
    tx: ReadTransaction, _request: pb.ListReactionsRequest
) -> pb.ListReactionsResponse:
    """List every reaction."""
    found = await reactions.list_reactions(tx)
    return pb.ListReactionsResponse(reactions=[pb.Reaction(**asdict(item)) for item in found])


@rpc.read
async def ListDeadLetters(
    tx: ReadTransaction, request: pb.ListDeadLettersRequest
) -> pb.ListDeadLettersResponse:
    """List messages that a reaction failed on for good."""
    page = Page.of(request.page_size, request.page_token)
    rows, cursor = await reactions.list_dead_letters(tx, request.reaction or None, page)
    return pb.ListDeadLettersResponse(
        dead_letters=[to_proto_letter(row) for row in rows], next_page_token=cursor or ""
    )


@rpc.steps
async def ReplayDeadLetter(
    call: Call, request: pb.ReplayDeadLetterRequest
) -> pb.ReplayDeadLetterResponse:
    """Run a reaction on a dead letter again."""
    row = await reactions.replay_dead_letter(call, request.id)
    return pb.ReplayDeadLetterResponse(dead_letter=to_proto_letter(row))


@rpc.read
async def ListAuditEntries(
    tx: ReadTransaction, request: pb.ListAuditEntriesRequest
) -> pb.ListAuditEntriesResponse:
    """List the audit log."""
    page = Page.of(request.page_size, request.page_token)
    rows, cursor = await audit.list_entries(
        tx, request.message or None, request.aggregate_id or None, page
    )
    return pb.ListAuditEntriesResponse(
        audit_entries=[to_proto_entry(row) for row in rows], next_page_token=cursor or ""
    )


def to_proto_letter(row: DeadLetterRow) -> pb.DeadLetter:
    """Return a dead letter as a message."""
    metadata = decode(row.envelope)[0]
    return pb.DeadLetter(
        id=row.id,
        reaction=row.consumer,
        message=row.event_type,
        event_id=metadata.event_id,
        aggregate_id=metadata.aggregate_id,
        reason=row.reason,
        detail=row.detail,
        attempts=row.attempts,
        created_at=to_timestamp(row.created_at),
    )


def to_proto_entry(row: AuditEntryRow) -> pb.AuditEntry:
    """Return an entry of the audit log as a message."""
    return pb.AuditEntry(
        id=row.id,
        sequence=row.sequence,
        event_id=row.event_id,
        message=row.event_type,
        source=row.source,
        aggregate_type=row.aggregate_type,
        aggregate_id=row.aggregate_id,
        aggregate_version=row.aggregate_version,
        occurred_at=to_timestamp(row.occurred_at),
        created_at=to_timestamp(row.created_at),
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        payload_json=json.dumps(decode(row.envelope)[1]),
        previous_hash=row.previous_hash.hex(),
        hash=row.hash.hex(),
    )
