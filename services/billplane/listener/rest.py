"""REST of the listener."""

from dataclasses import asdict

from billplane.chassis.database.tables import DeadLetterRow
from billplane.chassis.events.envelope import decode
from billplane.chassis.rest import PageQuery, Reader, Steps, listing, router
from billplane.listener import schemas
from billplane.listener.models import AuditEntryRow
from billplane.listener.service import audit, reactions

rest = router(tags=["listener"])


@rest.get("/v1/reactions")
async def list_reactions(tx: Reader) -> schemas.ReactionList:
    """List every reaction with the message that it reacts to."""
    found = await reactions.list_reactions(tx)
    data = [schemas.Reaction(**asdict(reaction)) for reaction in found]
    return schemas.ReactionList(data=data, next_cursor=None)


@rest.get("/v1/dead_letters")
async def list_dead_letters(
    tx: Reader, page: PageQuery, reaction: str | None = None
) -> schemas.DeadLetterList:
    """List messages that a reaction failed on for good."""
    rows, cursor = await reactions.list_dead_letters(tx, reaction, page)
    return schemas.DeadLetterList(**listing([_letter(row) for row in rows], cursor))


@rest.post("/v1/dead_letters/{dead_letter_id}:replay")
async def replay_dead_letter(dead_letter_id: str, call: Steps) -> schemas.DeadLetter:
    """Run a reaction on a dead letter again; it is gone when that succeeds."""
    return _letter(await reactions.replay_dead_letter(call, dead_letter_id))


@rest.get("/v1/audit_entries")
async def list_audit_entries(
    tx: Reader, page: PageQuery, message: str | None = None, aggregate_id: str | None = None
) -> schemas.AuditEntryList:
    """List the audit log: every fact of every service."""
    rows, cursor = await audit.list_entries(tx, message, aggregate_id, page)
    return schemas.AuditEntryList(**listing([_entry(row) for row in rows], cursor))


@rest.get("/v1/audit_entries/{audit_entry_id}")
async def get_audit_entry(audit_entry_id: str, tx: Reader) -> schemas.AuditEntry:
    """Return one entry of the audit log."""
    return _entry(await audit.get_entry(tx, audit_entry_id))


def _letter(row: DeadLetterRow) -> schemas.DeadLetter:
    metadata = decode(row.envelope)[0]
    return schemas.DeadLetter(
        id=row.id,
        reaction=row.consumer,
        message=row.event_type,
        event_id=metadata.event_id,
        aggregate_id=metadata.aggregate_id,
        reason=row.reason,
        detail=row.detail,
        attempts=row.attempts,
        created_at=row.created_at,
    )


def _entry(row: AuditEntryRow) -> schemas.AuditEntry:
    return schemas.AuditEntry(
        id=row.id,
        sequence=row.sequence,
        event_id=row.event_id,
        message=row.event_type,
        source=row.source,
        aggregate_type=row.aggregate_type,
        aggregate_id=row.aggregate_id,
        aggregate_version=row.aggregate_version,
        occurred_at=row.occurred_at,
        created_at=row.created_at,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        payload=decode(row.envelope)[1],
        previous_hash=row.previous_hash.hex(),
        hash=row.hash.hex(),
    )
