"""The audit log: every fact of every service, chained per tenant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from billplane.chassis import ids, logging
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.events import Event
from billplane.chassis.rest import Page
from billplane.listener import repository
from billplane.listener.domain import chain
from billplane.listener.errors import AuditEntryNotFound
from billplane.listener.models import AuditEntryRow

SCOPE = "audit_entries:read"
_log = logging.get("listener")


async def record_fact(tx: Transaction, event: Event[Any]) -> None:
    """Append a fact to the tenant's audit log, and say it in one line of the log.

    Idempotent by: the event id, which the inbox remembers.
    """
    tx.require_internal()
    metadata = event.metadata
    last, previous = await repository.take_head(tx)
    await repository.append(
        tx,
        AuditEntryRow(
            tenant_id=tx.tenant_id,
            sequence=last + 1,
            id=ids.new("aud"),
            livemode=tx.livemode,
            event_id=metadata.event_id,
            event_type=metadata.event_type,
            source=metadata.source,
            aggregate_type=metadata.aggregate_type,
            aggregate_id=metadata.aggregate_id,
            aggregate_version=metadata.aggregate_version,
            occurred_at=datetime.fromisoformat(metadata.occurred_at),
            created_at=tx.now,
            correlation_id=metadata.correlation_id,
            causation_id=metadata.causation_id,
            envelope=event.envelope,
            previous_hash=previous,
            hash=chain(previous, tx.tenant_id, last + 1, event.envelope),
        ),
    )
    _log.info(
        "fact_received",
        tenant_id=tx.tenant_id,
        event_id=metadata.event_id,
        type=metadata.event_type,
        aggregate_id=metadata.aggregate_id,
    )


async def get_entry(tx: ReadTransaction, entry_id: str) -> AuditEntryRow:
    """Return one entry.

    Raises: ScopeMissing, AuditEntryNotFound.
    """
    tx.authorize(SCOPE)
    row = await repository.entry(tx, entry_id)
    if row is None:
        raise AuditEntryNotFound(f"there is no audit entry {entry_id}")
    return row


async def list_entries(
    tx: ReadTransaction, event_type: str | None, aggregate_id: str | None, page: Page
) -> tuple[Sequence[AuditEntryRow], str | None]:
    """Return a page of entries of the caller's mode.

    Shape: newest first, as many as the page says, and the cursor of the next.
    Raises: ScopeMissing, CursorInvalid.
    """
    tx.authorize(SCOPE)
    return await repository.page_of_entries(tx, event_type, aggregate_id, page)
