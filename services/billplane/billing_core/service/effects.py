"""What an operation changes once the ledger has it, and what is undone when the ledger refuses."""

from typing import Any

from billplane.billing_core import domain, repository
from billplane.billing_core.models import CreditRow, OperationRow, ReservationRow
from billplane.billing_core.peers import Account, Posted
from billplane.billing_core.repository import Held
from billplane.billing_core.service import books
from billplane.chassis.database import Transaction
from billplane.chassis.errors import BillplaneError


async def complete(tx: Transaction, held: Held, operation: OperationRow, posted: Posted) -> None:
    """Note that the ledger has an operation, and let what it brings count."""
    result: dict[str, Any] = {}
    if operation.amount_minor > 0:
        result = await _bring(tx, held, operation)
    if operation.reservation_id:
        reservation = await repository.reservation_of(tx, held, operation.reservation_id)
        assert reservation is not None  # noqa: S101 - operations and reservations stay
        result |= await _move_on(tx, held, operation, reservation, posted)
    operation.state = books.DONE
    operation.transaction_id = posted.transaction_id
    operation.done_at = tx.now
    if posted.account is not None:
        note_account(held, posted.account)
    if operation.payment_intent_id:
        await _end_filling(tx, held, operation)
    await books.retire(tx, held)
    await books.look(tx, held)
    operation.result = {**result, "balance": books.tell(tx, held)}


async def _end_filling(tx: Transaction, held: Held, operation: OperationRow) -> None:
    """Let the wallet ask for money again once the payment that it asked for has filled it."""
    asked = await repository.auto_top_up_of_payment(tx, held.wallet.id, operation.payment_intent_id)
    if asked is not None:
        asked.state, held.wallet.is_filling = "paid", False


def note_account(held: Held, account: Account) -> None:
    """Keep what the ledger said last; answers may come out of order."""
    wallet = held.wallet
    if account.entries > wallet.account_entries:
        wallet.account_posted_minor = account.posted_minor
        wallet.account_reserved_minor = account.reserved_minor
        wallet.account_entries = account.entries


async def _bring(tx: Transaction, held: Held, operation: OperationRow) -> dict[str, Any]:
    """Add what came in: credits first settle what is owed."""
    held.wallet.posted_minor += operation.amount_minor
    moves, told = [], {}
    if operation.kind == domain.GRANT:
        credit = _credit(tx, held, operation)
        moves = [domain.Move(credit.id, operation.amount_minor)]
    elif operation.kind == domain.REFUND:
        moves = await _restored(tx, operation)
    await repository.move_credits(tx, held, operation.id, moves)
    settled = domain.settle(held.holdings, tx.now)
    await repository.move_credits(tx, held, operation.id, settled, len(moves))
    if operation.kind == domain.GRANT:
        told = {"credit": books.tell_credit(credit)}
    return told


def _credit(tx: Transaction, held: Held, operation: OperationRow) -> CreditRow:
    credit = CreditRow(
        tenant_id=tx.tenant_id,
        id=operation.credit_id,
        livemode=tx.livemode,
        wallet_id=held.wallet.id,
        kind=operation.credit_kind,
        granted_minor=operation.amount_minor,
        remaining_minor=0,
        priority=operation.credit_priority,
        expires_at=operation.credit_expires_at,
        created_at=operation.created_at,
    )
    tx.session.add(credit)
    held.credits.append(credit)
    return credit


async def _restored(tx: Transaction, operation: OperationRow) -> list[domain.Move]:
    """Return what a refund puts back into credits; refunds are completed in any order."""
    refunded = await repository.operation(tx, operation.refunded_id)
    assert refunded is not None  # noqa: S101 - operations stay
    took = await repository.moves_of(tx, refunded.id)
    in_credits = -sum(move.amount_minor for move in took)
    before = await repository.refunds_done(tx, refunded.id)
    taken = -refunded.amount_minor
    given_before = domain.refund_of_credits(taken, in_credits, before)
    after = before + operation.amount_minor
    given = domain.refund_of_credits(taken, in_credits, after) - given_before
    return domain.restore(took, given_before, given)


async def _move_on(
    tx: Transaction,
    held: Held,
    operation: OperationRow,
    reservation: ReservationRow,
    posted: Posted,
) -> dict[str, Any]:
    """Bring a reservation to where the operation leads it."""
    if operation.kind == domain.RESERVE:
        reservation.state, reservation.hold_id = "open", posted.transaction_id
        return {"reservation": books.tell_reservation(reservation)}
    freed = 0
    if operation.kind != domain.COMMIT or operation.final:
        freed = reservation.remaining_minor
        held.wallet.reserved_minor -= freed
        reservation.remaining_minor = 0
    if not reservation.remaining_minor:
        ends = {domain.COMMIT: "committed", domain.RELEASE: "released"}
        reservation.state = ends.get(operation.kind, "expired")
        reservation.closed_at = tx.now
    if operation.kind == domain.RUN_OUT:
        await books.publish_run_out(tx, held, reservation, freed)
    return {"reservation": books.tell_reservation(reservation), "released_minor": freed}


async def undo(tx: Transaction, held: Held, operation: OperationRow, error: BillplaneError) -> None:
    """Take back what was decided, for the ledger does not do it; the request's key is free."""
    if operation.amount_minor < 0:
        held.wallet.posted_minor -= operation.amount_minor
        took = await repository.moves_of(tx, operation.id)
        back = [domain.Move(move.credit_id, -move.amount_minor) for move in took]
        await repository.move_credits(tx, held, operation.id, back, len(took))
    if operation.kind == domain.REFUND:
        refunded = await repository.operation(tx, operation.refunded_id)
        assert refunded is not None  # noqa: S101 - operations stay
        refunded.refunded_minor -= operation.amount_minor
    reservation = await repository.reservation(tx, operation.reservation_id)
    if reservation is not None and operation.kind == domain.RESERVE:
        held.wallet.reserved_minor -= reservation.remaining_minor
        reservation.remaining_minor, reservation.state = 0, "refused"
        reservation.closed_at = tx.now
    elif reservation is not None and operation.kind == domain.COMMIT:
        reservation.committed_minor += operation.amount_minor
        reservation.remaining_minor -= operation.amount_minor
        held.wallet.reserved_minor -= operation.amount_minor
    operation.state, operation.request_key, operation.done_at = books.REFUSED, "", tx.now
    operation.result = {"reason": error.reason, "detail": error.detail}
    await books.retire(tx, held)
    await books.look(tx, held)
