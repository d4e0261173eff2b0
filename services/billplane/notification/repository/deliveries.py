"""Deliveries: added with their event, claimed some hundred at a time, finished set-wise."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.notification import domain
from billplane.notification.models import AttemptRow, DeliveryRow

_ADD: Final = text("""
    INSERT INTO notification.deliveries (tenant_id, id, livemode, endpoint_id, event_id,
      event_sequence, event_type, state, attempts, due_at, last_error, created_at, started_at)
    SELECT :tenant_id, r.id, :livemode, r.endpoint_id, :event_id, :event_sequence, :event_type,
      'pending', 0, :moment, '', :moment, :moment
    FROM unnest(CAST(:ids AS text[]), CAST(:endpoint_ids AS text[])) AS r (id, endpoint_id)
""")
_CLAIM: Final = text("""
    SELECT * FROM notification.claim_deliveries(:claimer, :moment, :lease_seconds, :row_limit,
      :per_endpoint, :busy, :with_failing, :after_tenant, :after_endpoint)
""")
_FINISH: Final = text("""
    SELECT * FROM notification.finish_deliveries(:claimer, :moment, :give_up_before, :tenant_ids,
      :ids, :endpoint_ids, :states, :statuses, :errors, :due_ats, :attempted_ats, :durations,
      :answers)
""")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attempt; the fields stand in the order of the function's arrays."""

    tenant_id: str
    id: str
    endpoint_id: str
    state: str
    status: int | None
    error: str
    due_at: datetime
    attempted_at: datetime
    milliseconds: int
    answer: str


_VALUES: Final = attrgetter(*(field.name for field in fields(Result)))
_ARRAYS: Final = (
    "tenant_ids", "ids", "endpoint_ids", "states", "statuses", "errors", "due_ats",
    "attempted_ats", "durations", "answers",
)  # fmt: skip


async def add_deliveries(
    tx: Transaction, event_id: str, sequence: int, event_type: str, endpoint_ids: Sequence[str]
) -> None:
    """Put an event on its way to some endpoints."""
    values = {
        "tenant_id": tx.tenant_id,
        "livemode": tx.livemode,
        "event_id": event_id,
        "event_sequence": sequence,
        "event_type": event_type,
        "moment": tx.now,
        "ids": [ids.new("whd") for _ in endpoint_ids],
        "endpoint_ids": list(endpoint_ids),
    }
    await tx.session.execute(_ADD, values)


async def claim(
    session: AsyncSession,
    claimer: str,
    moment: datetime,
    *,
    lease_seconds: float,
    row_limit: int,
    per_endpoint: int,
    busy: Sequence[str],
    with_failing: bool,
    after: tuple[str, str],
) -> Sequence[Row[Any]]:
    """Take due deliveries of any tenant in hand, endpoint by endpoint after a place."""
    values = {
        "claimer": claimer,
        "moment": moment,
        "lease_seconds": lease_seconds,
        "row_limit": row_limit,
        "per_endpoint": per_endpoint,
        "busy": list(busy),
        "with_failing": with_failing,
        "after_tenant": after[0],
        "after_endpoint": after[1],
    }
    return (await session.execute(_CLAIM, values)).all()


async def finish(
    session: AsyncSession, claimer: str, moment: datetime, results: Sequence[Result]
) -> Sequence[Row[Any]]:
    """Write what became of some attempts at once; return the endpoints to be disabled."""
    columns = zip(*map(_VALUES, results), strict=True)
    values: dict[str, Any] = {
        name: list(column) for name, column in zip(_ARRAYS, columns, strict=True)
    }
    values |= {
        "claimer": claimer,
        "moment": moment,
        "give_up_before": moment - domain.GIVE_UP_AFTER,
    }
    return (await session.execute(_FINISH, values)).all()


async def delivery(tx: ReadTransaction, delivery_id: str) -> DeliveryRow | None:
    """Return one delivery of the mode."""
    row = await tx.session.get(DeliveryRow, (tx.tenant_id, delivery_id))
    return row if row is not None and row.livemode == tx.livemode else None


async def delivery_of(tx: ReadTransaction, endpoint_id: str, event_id: str) -> DeliveryRow | None:
    """Return the delivery of an event to an endpoint."""
    query = select(DeliveryRow).where(
        DeliveryRow.endpoint_id == endpoint_id,
        DeliveryRow.event_id == event_id,
        DeliveryRow.livemode == tx.livemode,
    )
    return (await tx.session.scalars(query)).one_or_none()


async def page_of_deliveries(
    tx: ReadTransaction, endpoint_id: str, event_id: str, state: str, page: Page
) -> tuple[Sequence[DeliveryRow], str | None]:
    """Return a page of deliveries."""
    query = select(DeliveryRow).where(DeliveryRow.livemode == tx.livemode)
    for column, value in (
        (DeliveryRow.endpoint_id, endpoint_id),
        (DeliveryRow.event_id, event_id),
        (DeliveryRow.state, state),
    ):
        if value:
            query = query.where(column == value)
    return await fetch_page(tx, query, DeliveryRow.id, page)


async def attempts_of(tx: ReadTransaction, delivery_id: str) -> Sequence[AttemptRow]:
    """Return the attempts at a delivery, the first one first."""
    query = select(AttemptRow).where(AttemptRow.delivery_id == delivery_id)
    return (await tx.session.scalars(query.order_by(AttemptRow.number))).all()


async def start_again(tx: Transaction, row: DeliveryRow) -> None:
    """Put a finished delivery on its way again; its log goes on."""
    row.state, row.finished_at, row.claimed_by = domain.PENDING, None, None
    row.due_at = row.started_at = tx.now
    row.last_error = ""
    await tx.session.flush()


async def add_delivery(
    tx: Transaction, endpoint_id: str, event_id: str, sequence: int, event_type: str
) -> DeliveryRow:
    """Put an event on its way to one endpoint, or again where it was before."""
    statement = insert(DeliveryRow).values(
        tenant_id=tx.tenant_id,
        id=ids.new("whd"),
        livemode=tx.livemode,
        endpoint_id=endpoint_id,
        event_id=event_id,
        event_sequence=sequence,
        event_type=event_type,
        state=domain.PENDING,
        attempts=0,
        due_at=tx.now,
        last_error="",
        created_at=tx.now,
        started_at=tx.now,
    )
    await tx.session.execute(statement.on_conflict_do_nothing())
    row = await delivery_of(tx, endpoint_id, event_id)
    assert row is not None  # noqa: S101 - it was there, or is now
    return row
