"""A wallet under its lock: what every operation does to it beside its own."""

from datetime import timedelta
from typing import Any

from billplane.billing_core import domain, repository
from billplane.billing_core.domain import Move
from billplane.billing_core.errors import WalletNotFound
from billplane.billing_core.models import (
    AutoTopUpRow,
    CreditRow,
    OperationRow,
    ReservationRow,
    WalletRow,
)
from billplane.billing_core.repository import Held
from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import Kind, PeerError
from billplane.chassis.rpc import to_timestamp
from billplane.protos.billing_core.v1.events_pb2 import BalanceLow, ReservationExpired

PENDING, DONE, REFUSED = "pending", "done", "refused"


async def lock(tx: Transaction, wallet_id: str) -> Held:
    """Return a wallet and its credits; nobody else changes them until the transaction ends.

    Raises: WalletNotFound.
    """
    held = await repository.locked(tx, wallet_id)
    if held is None:
        raise missing(wallet_id)
    return held


def missing(wallet_id: str) -> WalletNotFound:
    """Return how a wallet is refused that is not there."""
    return WalletNotFound(f"there is no wallet {wallet_id}")


def refused(operation: OperationRow) -> PeerError:
    """Return why the ledger refused an operation."""
    why = operation.result
    return PeerError(Kind.FAILED_PRECONDITION, why["reason"], why["detail"])


async def read(tx: ReadTransaction, wallet: WalletRow) -> Held:
    """Return a wallet and its credits as they are."""
    return Held(wallet, await repository.credits_left(tx, wallet.id))


def tell(tx: ReadTransaction, held: Held) -> dict[str, Any]:
    """Return a balance as it is told, and kept with an operation."""
    wallet, holdings = held.wallet, held.holdings
    available = holdings.available_minor(tx.now)
    lots = {lot.id: lot for lot in holdings.lots if lot.remaining_minor and not lot.over(tx.now)}
    rows = {row.id: row for row in held.credits}
    return {
        "wallet_id": wallet.id,
        "currency_code": wallet.currency_code,
        "posted_minor": available + wallet.reserved_minor,
        "reserved_minor": wallet.reserved_minor,
        "available_minor": available,
        "credits": [tell_credit(rows[lot.id]) for lot in domain.order(lots.values())],
        "as_of": tx.now.isoformat(),
    }


def tell_credit(row: CreditRow) -> dict[str, Any]:
    """Return a credit as it is told."""
    return {
        "id": row.id,
        "kind": row.kind,
        "granted_minor": row.granted_minor,
        "remaining_minor": row.remaining_minor,
        "priority": row.priority,
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
    }


def tell_reservation(row: ReservationRow) -> dict[str, Any]:
    """Return a reservation as it is told; one that is being opened is open to whoever asks."""
    return {
        "id": row.id,
        "wallet_id": row.wallet_id,
        "state": row.state,
        "amount_minor": row.amount_minor,
        "committed_minor": row.committed_minor,
        "remaining_minor": row.remaining_minor,
        "currency_code": row.currency_code,
        "reference": row.reference,
        "description": row.description,
        "rate_id": row.rate_id,
        "expires_at": row.expires_at.isoformat(),
        "created_at": row.created_at.isoformat(),
    }


def new_operation(
    tx: Transaction,
    held: Held,
    kind: str,
    amount_minor: int,
    *,
    call: Call | None = None,
    **values: Any,
) -> OperationRow:
    """Decide on an operation; `call` is the request that wants it and completes it.

    What no request waits for is completed by the janitor at once.
    """
    settings: Any = tx.runtime.settings
    wait = timedelta(seconds=settings.stale_operation_seconds if call else 0)
    given = {
        "other_minor": 0,
        "other_currency_code": "",
        "rate_id": "",
        "refunded_minor": 0,
        "reservation_id": "",
        "final": False,
        "credit_id": "",
        "credit_kind": "",
        "credit_priority": 0,
        "credit_expires_at": None,
        "refunded_id": "",
        "invoice_id": "",
        "payment_intent_id": "",
        "credit_note_id": "",
        "reference": "",
        "description": "",
        "request_key": call.key if call else "",
        "fingerprint": call.fingerprint if call else "",
        **values,
    }
    row = OperationRow(
        tenant_id=tx.tenant_id,
        id=ids.new("wop"),
        livemode=tx.livemode,
        wallet_id=held.wallet.id,
        kind=kind,
        state=PENDING,
        amount_minor=amount_minor,
        currency_code=held.wallet.currency_code,
        cause=(call or tx).principal.subject,
        transaction_id="",
        result={},
        due_at=tx.now + wait,
        created_at=tx.now,
        **given,
    )
    tx.session.add(row)
    if held.known is not None and row.reservation_id:
        held.known.pending[row.reservation_id] = row.id
    return row


async def retire(tx: Transaction, held: Held) -> None:
    """Take away what is left of credits that are over, as far as no reservation needs it."""
    rows = {row.id: row for row in held.credits}
    for move in domain.retire(held.holdings, tx.now):
        credit = rows[move.credit_id]
        operation = new_operation(
            *(tx, held, domain.EXPIRE, move.amount_minor),
            credit_id=credit.id,
            credit_kind=credit.kind,
            description=f"credit {credit.id} ended",
        )
        held.wallet.posted_minor += move.amount_minor
        await repository.move_credits(tx, held, operation.id, [move])


async def take(tx: Transaction, held: Held, operation: OperationRow, moves: list[Move]) -> None:
    """Let an operation take its amount, some of it from credits."""
    held.wallet.posted_minor += operation.amount_minor
    await repository.move_credits(tx, held, operation.id, moves)


async def look(tx: Transaction, held: Held) -> None:
    """Tell when a wallet runs low, and ask for money: once until it is full enough again."""
    wallet = held.wallet
    available = held.holdings.available_minor(tx.now)
    threshold = wallet.low_balance_minor
    low = threshold is not None and available < threshold
    if low and not wallet.is_low:
        fact = BalanceLow(
            wallet_id=wallet.id,
            customer_id=wallet.customer_id,
            currency_code=wallet.currency_code,
            available_minor=available,
            threshold_minor=threshold or 0,
        )
        await tx.publish(fact, aggregate_id=wallet.id)
    if low != wallet.is_low:
        wallet.is_low = low
    below = wallet.auto_below_minor
    empty = below is not None and available < below
    if empty and not wallet.is_filling:
        tx.session.add(
            AutoTopUpRow(
                tenant_id=tx.tenant_id,
                id=ids.new("atu"),
                livemode=tx.livemode,
                wallet_id=wallet.id,
                state=PENDING,
                amount_minor=wallet.auto_amount_minor,
                currency_code=wallet.currency_code,
                payment_intent_id="",
                reason="",
                created_at=tx.now,
            )
        )
    if empty != wallet.is_filling:
        wallet.is_filling = empty


async def publish_run_out(
    tx: Transaction, held: Held, reservation: ReservationRow, freed_minor: int
) -> None:
    """Announce that a reservation ran out of time."""
    fact = ReservationExpired(
        reservation_id=reservation.id,
        wallet_id=held.wallet.id,
        customer_id=held.wallet.customer_id,
        currency_code=held.wallet.currency_code,
        released_minor=freed_minor,
        expired_at=to_timestamp(reservation.expires_at),
    )
    await tx.publish(fact, aggregate_id=reservation.id)
