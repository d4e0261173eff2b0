"""Meters, and the records that are made anew when one changes."""

from collections.abc import Collection, Sequence

from sqlalchemy import select, text

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.metering.models import MeterRow


async def meters(tx: ReadTransaction) -> Sequence[MeterRow]:
    """Return every meter in use."""
    return (await tx.session.scalars(select(MeterRow).where(MeterRow.removed_at.is_(None)))).all()


async def meters_by_name(tx: ReadTransaction, names: Collection[str]) -> Sequence[MeterRow]:
    """Return meters in use by id or name."""
    wanted = list(names)
    query = select(MeterRow).where(
        MeterRow.removed_at.is_(None), MeterRow.name.in_(wanted) | MeterRow.id.in_(wanted)
    )
    return (await tx.session.scalars(query)).all()


async def recount(tx: Transaction, meter_id: str) -> None:
    """Make a meter's records from stored events; none for a meter that is out of use."""
    await tx.session.execute(text("SELECT metering.recount(:meter)"), {"meter": meter_id})
