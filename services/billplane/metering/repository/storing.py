"""Events on their way into Postgres, in batches of many tenants."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from asyncpg import InterfaceError, PostgresError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.errors import StoreUnavailable


async def lock_flush(session: AsyncSession, lane: int) -> None:
    """Wait until no other process empties a lane; one that hangs loses its turn after 30 s."""
    await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = '30s'"))
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('metering.flush'), :lane)"), {"lane": lane}
    )


class RowsRefused(Exception):
    """Postgres refused what it was given: bad data, or a limit of its own."""


class LanesMet(Exception):
    """Some ids came for customers of two lanes at once, and each lane waited for the other."""


async def store_rows(session: AsyncSession, rows: Sequence[bytes]) -> int:
    """Store events that are new and count them; return how many were new.

    Raises: RowsRefused, LanesMet, StoreUnavailable; the transaction is lost then.
    """
    if not rows:
        return 0
    await session.execute(text("SELECT metering.prepare_incoming()"))
    connection = await (await session.connection()).get_raw_connection()
    driver: Any = connection.driver_connection
    source = BytesIO(b"\n".join(rows))
    try:
        await driver.copy_to_table("incoming_usage", source=source, format="text")
        stored = int(await session.scalar(text("SELECT metering.store_incoming()")) or 0)
        await session.execute(text("SELECT metering.note_changes()"))
        return stored
    except (PostgresError, DBAPIError) as error:
        cause: Any = getattr(error, "orig", error)
        state = str(getattr(cause, "sqlstate", "") or "")
        if state.startswith(("22", "54")):
            raise RowsRefused(str(cause)) from error
        if state.startswith(("08", "57P")):
            raise _away() from error
        if state.startswith("40"):
            raise LanesMet from error
        raise
    except InterfaceError as error:
        raise _away() from error


def _away() -> StoreUnavailable:
    return StoreUnavailable("the database cannot be reached; usage waits for it")
