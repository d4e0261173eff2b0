"""Voids and corrections of stored events, and which periods they or late events changed."""

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import select, text

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.metering.domain import ReadPeriod
from billplane.metering.models import UsageAdjustmentRow, UsageEventRow


async def lock_event(tx: Transaction, source: str, event_id: str) -> UsageEventRow | None:
    """Return a stored event that nobody else adjusts now; what is counted waits meanwhile."""
    await tx.session.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('metering.count'), hashtext(:tenant) & 63)"),
        {"tenant": tx.tenant_id},
    )
    query = (
        select(UsageEventRow)
        .where(
            UsageEventRow.tenant_id == tx.tenant_id,
            UsageEventRow.livemode == tx.livemode,
            UsageEventRow.source == source,
            UsageEventRow.id == event_id,
        )
        .with_for_update()
    )
    return (await tx.session.scalars(query)).one_or_none()


async def adjust(
    tx: Transaction,
    event: UsageEventRow,
    *,
    kind: str,
    data: bytes | None,
    quantity: Decimal | None,
    reason: str,
) -> UsageAdjustmentRow:
    """Change what an event counts for, note what it was, and count its hour anew.

    A correction's data or quantity stands instead of the event's; what is None stays.
    """
    adjustment_id = ids.new("adj")
    bound = {
        "id": adjustment_id,
        "tenant": tx.tenant_id,
        "livemode": tx.livemode,
        "source": event.source,
        "event": event.id,
        "kind": kind,
        "data": None if data is None else data.decode(),
        "quantity": quantity,
        "reason": reason,
        "actor": tx.principal.subject,
        "now": tx.now,
    }
    session = tx.session
    of_event = "tenant_id = :tenant AND livemode = :livemode AND source = :source AND id = :event"
    await session.execute(
        text(
            "INSERT INTO metering.usage_adjustments (tenant_id, id, livemode, kind, source,"  # noqa: S608 - fixed words
            " event_id, event_type, subject, event_at, data_before, quantity_before, data,"
            " quantity, reason, actor, created_at)"
            " SELECT tenant_id, :id, livemode, :kind, source, id, event_type, subject, event_at,"
            " data, quantity, CAST(:data AS jsonb), :quantity, :reason, :actor, :now"
            f" FROM metering.usage_events WHERE {of_event}"
        ),
        bound,
    )
    changed = (
        "voided_at = :now"
        if kind == "void"
        else "data = coalesce(CAST(:data AS jsonb), data), quantity = coalesce(:quantity, quantity)"
    )
    await session.execute(
        text(
            f"UPDATE metering.usage_events SET adjusted_at = :now, {changed} WHERE {of_event}"  # noqa: S608 - fixed words
        ),
        bound,
    )
    await session.execute(
        text("SELECT metering.recount_hour(:livemode, :subject, :type, :at)"),
        {
            "livemode": tx.livemode,
            "subject": event.subject,
            "type": event.event_type,
            "at": event.event_at,
        },
    )
    await session.execute(
        text(
            "UPDATE metering.usage_subjects SET changes = changes + 1"
            " WHERE livemode = :livemode AND subject = :subject"
        ),
        {"livemode": tx.livemode, "subject": event.subject},
    )
    return await session.get_one(UsageAdjustmentRow, (tx.tenant_id, adjustment_id))


async def page_of_adjustments(
    tx: ReadTransaction,
    page: Page,
    *,
    source: str | None,
    event_id: str | None,
    subject: str | None,
) -> tuple[Sequence[UsageAdjustmentRow], str | None]:
    """Return a page of voids and corrections."""
    query = select(UsageAdjustmentRow).where(UsageAdjustmentRow.livemode == tx.livemode)
    for column, value in (
        (UsageAdjustmentRow.source, source),
        (UsageAdjustmentRow.event_id, event_id),
        (UsageAdjustmentRow.subject, subject),
    ):
        if value is not None:
            query = query.where(column == value)
    return await fetch_page(tx, query, UsageAdjustmentRow.id, page)


async def changed_periods(
    tx: ReadTransaction, subjects: Sequence[str], periods: Sequence[ReadPeriod]
) -> list[int]:
    """Return the numbers of the periods whose usage has changed since it was read."""
    found = await tx.session.scalars(
        text(
            "SELECT p.number FROM unnest(CAST(:starts AS timestamptz[]),"
            " CAST(:ends AS timestamptz[]), CAST(:reads AS timestamptz[]))"
            " WITH ORDINALITY AS p(starts_at, ends_at, read_at, number)"
            " WHERE EXISTS (SELECT FROM metering.usage_records r"
            " WHERE r.livemode = :livemode AND r.customer_id = ANY (:subjects)"
            " AND r.starts_at > p.starts_at - interval '1 hour' AND r.starts_at < p.ends_at"
            " AND r.updated_at >= p.read_at)"
            " OR EXISTS (SELECT FROM metering.usage_adjustments a"
            " WHERE a.livemode = :livemode AND a.subject = ANY (:subjects)"
            " AND a.event_at >= p.starts_at AND a.event_at < p.ends_at"
            " AND a.created_at >= p.read_at)"
            " ORDER BY p.number"
        ),
        {
            "livemode": tx.livemode,
            "subjects": list(subjects),
            "starts": [period.starts_at for period in periods],
            "ends": [period.ends_at for period in periods],
            "reads": [period.read_at for period in periods],
        },
    )
    return [int(number) - 1 for number in found.all()]
