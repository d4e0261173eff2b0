"""Deciding and completing for many at a time: what each would do alone, by common statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from billplane.billing_core import repository
from billplane.billing_core.errors import ReservationNotFound
from billplane.billing_core.models import OperationRow
from billplane.billing_core.peers import Posted
from billplane.billing_core.service import books, effects, opening
from billplane.billing_core.service.gathering import Alone
from billplane.billing_core.service.work import Decide, Owner, Waits, Whose, work_of
from billplane.chassis import idempotency
from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.chassis.errors import BillplaneError, IdempotencyKeyReused
from billplane.chassis.faults import faultpoint


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be decided on, and by whom."""

    call: Call
    whose: Whose
    decide: Decide


@dataclass(frozen=True, slots=True)
class Closing:
    """An operation that the ledger has."""

    operation: OperationRow
    posted: Posted


async def decide_all(tx: Transaction, asked: Sequence[Question]) -> list[Any]:
    """Return for each its wallet and the work that it takes, or why there is none."""
    ids = {one.whose.reservation_id for one in asked if isinstance(one.whose, Owner)}
    owners = {row.id: row.wallet_id for row in await repository.reservations(tx, ids)}
    wallets = [
        owners.get(one.whose.reservation_id, "") if isinstance(one.whose, Owner) else one.whose
        for one in asked
    ]
    helds = await repository.locked_together(tx, {str(name) for name in wallets if name}, ids)
    keys = {one.call.key for one in asked if one.call.key}
    operations = await repository.operations_of_requests(tx, keys)
    prints = await idempotency.fingerprints(tx, keys)
    for each in helds.values():
        await books.retire(tx, each)
    found: list[Any] = []
    begun: dict[str, str] = {}
    for one, wallet_id in zip(asked, wallets, strict=True):
        call = one.call
        held = helds.get(str(wallet_id))
        try:
            known = operations.get(call.key) if call.key else None
            _check_key(call, known, prints)
            if held is None:
                raise _missing(one)
            if held.wallet.state == "opening":
                raise opening.NotOpen(held.wallet.id)
            if known is None:
                known = await one.decide(tx, held)
                if known is not None and call.key:
                    operations[call.key] = known
                    begun[call.key] = call.fingerprint
            work = None if known is None else await work_of(tx, held, known)
            found.append((held.wallet.id, work))
        except (BillplaneError, Waits, opening.NotOpen, Alone) as error:
            found.append(error)
    for each in helds.values():
        await books.look(tx, each)
    await tx.session.flush()
    await idempotency.begin_all(tx, {key: begun[key] for key in begun if key not in prints})
    return found


def _check_key(call: Call, known: OperationRow | None, prints: dict[str, tuple[str, bool]]) -> None:
    """Refuse a key of another request; one that has its answer is told it Alone."""
    if not call.key:
        return
    print_, is_answered = prints.get(call.key, (call.fingerprint, False))
    if print_ != call.fingerprint or (known and known.fingerprint != call.fingerprint):
        raise IdempotencyKeyReused("this key was used for another request")
    if is_answered:
        raise Alone


def _missing(one: Question) -> BillplaneError:
    if isinstance(one.whose, Owner):
        return ReservationNotFound(f"there is no reservation {one.whose.reservation_id}")
    return books.missing(str(one.whose))


async def complete_all(tx: Transaction, closings: Sequence[Closing]) -> list[Any]:
    """Complete operations; return each as it is then, or why it was refused."""
    reservations = {one.operation.reservation_id for one in closings} - {""}
    wallets = {one.operation.wallet_id for one in closings}
    helds = await repository.locked_together(tx, wallets, reservations)
    rows = await repository.operations_by_id(tx, {one.operation.id for one in closings})
    found: list[Any] = []
    for one in closings:
        row = rows[one.operation.id]
        if row.state == books.REFUSED:
            found.append(books.refused(row))
            continue
        if row.state == books.PENDING:
            await effects.complete(tx, helds[row.wallet_id], row, one.posted)
        found.append(row)
    await tx.session.flush()
    faultpoint("billing_core.before_completion_ends")
    return found
