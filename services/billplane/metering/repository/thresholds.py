"""Thresholds: usage that is to be compared with them, and those that were reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import delete, select, text, update

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.metering.models import MeterRow, ThresholdCheckRow


async def check_of(tx: ReadTransaction, subject: str, event_type: str) -> ThresholdCheckRow | None:
    """Return what is to be looked at of a name and a type of events."""
    key = (tx.tenant_id, tx.livemode, subject, event_type)
    return await tx.session.get(ThresholdCheckRow, key)


async def watched_meters(tx: ReadTransaction, event_type: str) -> Sequence[MeterRow]:
    """Return the meters in use that count a type of events."""
    query = select(MeterRow).where(
        MeterRow.removed_at.is_(None), MeterRow.spec["eventType"].astext == event_type
    )
    return (await tx.session.scalars(query)).all()


async def ask_for_check(tx: Transaction, subject: str, event_type: str, at: datetime) -> None:
    """Have a name's usage compared with the thresholds of its meters, where there are any."""
    await tx.session.execute(
        text(
            "INSERT INTO metering.threshold_checks"
            " (tenant_id, livemode, subject, event_type, from_at, until_at)"
            " SELECT :tenant, :livemode, :subject, :type, :at, :at"
            " WHERE EXISTS (SELECT FROM metering.meters WHERE spec ->> 'eventType' = :type"
            " AND removed_at IS NULL"
            " AND jsonb_array_length(coalesce(spec -> 'thresholds', '[]')) > 0)"
            " ON CONFLICT (tenant_id, livemode, subject, event_type) DO UPDATE SET"
            " from_at = least(threshold_checks.from_at, EXCLUDED.from_at),"
            " until_at = greatest(threshold_checks.until_at, EXCLUDED.until_at),"
            " changes = threshold_checks.changes + 1"
        ),
        {
            "tenant": tx.tenant_id,
            "livemode": tx.livemode,
            "subject": subject,
            "type": event_type,
            "at": at,
        },
    )


async def end_check(tx: Transaction, check: ThresholdCheckRow) -> None:
    """Drop what was looked at, unless usage came meanwhile."""
    row = ThresholdCheckRow
    await tx.session.execute(
        delete(row).where(
            row.livemode == check.livemode,
            row.subject == check.subject,
            row.event_type == check.event_type,
            row.changes == check.changes,
        )
    )


async def put_off_check(tx: Transaction, subject: str, event_type: str) -> None:
    """Let others go before what could not be looked at."""
    row = ThresholdCheckRow
    await tx.session.execute(
        update(row)
        .where(row.livemode == tx.livemode, row.subject == subject, row.event_type == event_type)
        .values(tried_at=tx.now)
    )


@dataclass(frozen=True, slots=True)
class Reached:
    """A threshold that a customer's usage has reached within a period or a day."""

    meter_id: str
    meter: str
    threshold: str
    per: str
    limit: Decimal
    quantity: Decimal
    starts_at: datetime
    ends_at: datetime


async def note_reached(tx: Transaction, names: Sequence[str], reached: Reached) -> str | None:
    """Note a threshold as reached by whoever has these names; return None when it was before.

    The first name is the one that is kept.
    """
    found = await tx.session.scalar(
        text(
            "INSERT INTO metering.thresholds_reached (tenant_id, livemode, customer_id, meter_id,"
            " threshold, starts_at, ends_at, id, quantity, reached_at)"
            " SELECT :tenant, :livemode, :customer, :meter, :threshold, :starts_at, :ends_at, :id,"
            " :quantity, :now"
            " WHERE NOT EXISTS (SELECT FROM metering.thresholds_reached"
            " WHERE livemode = :livemode AND customer_id = ANY (:names) AND meter_id = :meter"
            " AND threshold = :threshold AND starts_at = :starts_at)"
            " ON CONFLICT DO NOTHING RETURNING id"
        ),
        {
            "tenant": tx.tenant_id,
            "livemode": tx.livemode,
            "customer": names[0],
            "names": list(names),
            "meter": reached.meter_id,
            "threshold": reached.threshold,
            "starts_at": reached.starts_at,
            "ends_at": reached.ends_at,
            "id": ids.new("uth"),
            "quantity": reached.quantity,
            "now": tx.now,
        },
    )
    return None if found is None else str(found)
