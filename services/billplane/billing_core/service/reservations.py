"""Reservations: set aside, committed in parts, released, run out of time."""

from datetime import timedelta
from typing import Any

from billplane.billing_core import domain, repository
from billplane.billing_core.errors import (
    CommitExceedsReservation,
    ReservationCommitted,
    ReservationExpired,
    ReservationNotFound,
    ReservationReleased,
)
from billplane.billing_core.models import OperationRow, ReservationRow
from billplane.billing_core.repository import Held
from billplane.billing_core.service import amounts, books, operations, running
from billplane.billing_core.service.amounts import Wanted
from billplane.billing_core.service.running import Done
from billplane.billing_core.service.wallets import Target
from billplane.billing_core.service.work import Owner, Waits
from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction

_CLOSED = {
    "committed": ReservationCommitted,
    "released": ReservationReleased,
    "expired": ReservationExpired,
}
# A reservation that never came to be is none.
_NONE = ("opening", "refused")


async def reserve_amount(
    call: Call,
    target: Target,
    wanted: Wanted,
    *,
    ttl_seconds: int,
    reference: str,
    description: str,
) -> Done:
    """Set an amount or a price aside, of what is there without overdraft.

    Raises: InsufficientBalance, NothingToCharge, WalletNotFound, CurrencyMismatch, Invalid.
    Idempotent by: the request id.
    """
    call.principal.require("wallets:write")
    due = await amounts.due(call, target, wanted)
    settings: Any = call.runtime.settings

    async def decide(tx: Transaction, held: Held) -> OperationRow:
        operations.check_available(tx, held, due.amount_minor, 0)
        reservation = ReservationRow(
            tenant_id=tx.tenant_id,
            id=ids.new("wrs"),
            livemode=tx.livemode,
            wallet_id=held.wallet.id,
            state="opening",
            amount_minor=due.amount_minor,
            committed_minor=0,
            remaining_minor=due.amount_minor,
            currency_code=held.wallet.currency_code,
            reference=reference,
            description=description,
            rate_id=due.rate_id,
            hold_id="",
            expires_at=tx.now + timedelta(seconds=ttl_seconds or settings.reservation_seconds),
            created_at=tx.now,
            closed_at=None,
        )
        tx.session.add(reservation)
        held.wallet.reserved_minor += due.amount_minor
        return books.new_operation(
            *(tx, held, domain.RESERVE, 0),
            call=call,
            other_minor=due.amount_minor,
            reservation_id=reservation.id,
            reference=reference,
            description=description,
        )

    return await running.run(call, due.wallet.id, decide, together=True)


async def commit_reservation(
    call: Call, reservation_id: str, *, amount_minor: int | None, final: bool, reference: str
) -> Done:
    """Take all or a part of what is set aside; final: free what remains after it.

    Raises: ReservationNotFound, ReservationExpired, ReservationReleased, ReservationCommitted,
        CommitExceedsReservation, ScopeMissing.
    Idempotent by: the request id.
    """
    call.principal.require("wallets:write")

    async def decide(tx: Transaction, held: Held) -> OperationRow:
        reservation = await _open(tx, held, reservation_id)
        if reservation.expires_at <= tx.now:
            raise ReservationExpired("the reservation's time is over")
        left = reservation.remaining_minor
        amount = left if amount_minor is None else amount_minor
        if amount > left:
            raise CommitExceedsReservation(
                f"{left} minor units are still set aside", metadata={"remaining_minor": left}
            )
        row = books.new_operation(
            *(tx, held, domain.COMMIT, -amount),
            call=call,
            other_minor=amount,
            other_currency_code=held.wallet.currency_code,
            rate_id=reservation.rate_id,
            reservation_id=reservation.id,
            final=final,
            reference=reference or reservation.reference,
            description=reservation.description,
        )
        moves = domain.take_reserved(held.holdings, amount, tx.now)
        reservation.committed_minor += amount
        reservation.remaining_minor -= amount
        held.wallet.reserved_minor -= amount
        await books.take(tx, held, row, moves)
        return row

    return await running.run(call, Owner(reservation_id), decide, together=True)


async def release_reservation(call: Call, reservation_id: str) -> Done:
    """Free what is still set aside.

    Raises: ReservationNotFound, ReservationExpired, ReservationReleased, ReservationCommitted.
    Idempotent by: the request id.
    """
    call.principal.require("wallets:write")

    async def decide(tx: Transaction, held: Held) -> OperationRow:
        reservation = await _open(tx, held, reservation_id)
        if reservation.expires_at <= tx.now:
            raise ReservationExpired("the reservation's time is over")
        return books.new_operation(
            *(tx, held, domain.RELEASE, 0), call=call, reservation_id=reservation.id
        )

    return await running.run(call, Owner(reservation_id), decide, together=True)


async def run_out_reservation(call: Call, reservation_id: str) -> None:
    """Free what a reservation holds whose time is over, unless somebody was faster."""
    call.principal.require_internal()

    async def decide(tx: Transaction, held: Held) -> OperationRow | None:
        try:
            reservation = await _open(tx, held, reservation_id)
        except (ReservationCommitted, ReservationReleased, ReservationExpired):
            return None
        if reservation.expires_at > tx.now:
            return None
        return books.new_operation(
            *(tx, held, domain.RUN_OUT, 0), call=call, reservation_id=reservation.id
        )

    await running.run(call, Owner(reservation_id), decide)


async def get_reservation(tx: ReadTransaction, reservation_id: str) -> ReservationRow:
    """Return one reservation.

    Raises: ReservationNotFound, ScopeMissing.
    """
    tx.authorize("wallets:read")
    row = await repository.reservation(tx, reservation_id)
    if row is None or row.state in _NONE:
        raise ReservationNotFound(f"there is no reservation {reservation_id}")
    return row


async def _open(tx: Transaction, held: Held, reservation_id: str) -> ReservationRow:
    """Return a reservation under its wallet's lock, if anything may still befall it.

    Raises: Waits while something befalls it, and why nothing may.
    """
    pending = await repository.pending_of(tx, held, reservation_id)
    if pending is not None:
        raise Waits(pending)
    row = await repository.reservation_of(tx, held, reservation_id)
    if row is None or row.state in _NONE:
        raise ReservationNotFound(f"there is no reservation {reservation_id}")
    if row.state in _CLOSED:
        raise _CLOSED[row.state](f"the reservation is {row.state}")
    return row
