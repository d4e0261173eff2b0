"""Messages that a service failed on for good: listed, and handled once more."""

from collections.abc import Sequence

from sqlalchemy import select

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction
from billplane.chassis.database.tables import DeadLetterRow
from billplane.chassis.errors import BillplaneError, Kind, StoreUnavailable
from billplane.chassis.events.consumer import HIDDEN
from billplane.chassis.rest import Page, fetch_page


class DeadLetterNotFound(BillplaneError):
    """No such dead letter."""

    kind = Kind.NOT_FOUND
    reason = "DEAD_LETTER_NOT_FOUND"


class ReplayFailed(BillplaneError):
    """The handler failed again; the letter stays."""

    kind = Kind.FAILED_PRECONDITION
    reason = "REPLAY_FAILED"


async def find(tx: ReadTransaction, letter_id: str) -> DeadLetterRow:
    """Return one dead letter of the tenant and mode.

    Raises: DeadLetterNotFound.
    """
    found = await tx.session.get(DeadLetterRow, letter_id)
    if found is None or found.livemode != tx.livemode:
        raise _not_found(letter_id)
    return found


async def fetch(
    tx: ReadTransaction, page: Page, consumer: str | None = None
) -> tuple[Sequence[DeadLetterRow], str | None]:
    """Return a page of dead letters, of one handler or of all."""
    query = select(DeadLetterRow).where(DeadLetterRow.livemode == tx.livemode)
    if consumer:
        query = query.where(DeadLetterRow.consumer == consumer)
    return await fetch_page(tx, query, DeadLetterRow.id, page)


async def replay(call: Call, letter_id: str) -> DeadLetterRow:
    """Handle a dead letter again, which is gone when that succeeds.

    Raises: DeadLetterNotFound, ReplayFailed.
    Idempotent by: the event id, since the handler is.
    """
    async with call.reading() as tx:
        letter = await find(tx, letter_id)
    dispatcher, caller = call.runtime.dispatcher, call.principal
    if dispatcher is None:
        raise _not_found(letter_id)
    try:
        await dispatcher.replay(caller.tenant_id, caller.livemode, letter_id)
    except KeyError:
        raise _not_found(letter_id) from None
    except StoreUnavailable:
        raise
    except Exception as error:
        said = str(error) if isinstance(error, BillplaneError) else HIDDEN
        raise ReplayFailed(f"{letter.consumer} failed again: {said}") from error
    await call.last()
    return letter


def _not_found(letter_id: str) -> DeadLetterNotFound:
    return DeadLetterNotFound(f"there is no dead letter {letter_id}")
