"""Every SQL statement of billing_core."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, text

from billplane.billing_core.domain import MOVEMENTS, Holdings, Lot, Move
from billplane.billing_core.models import (
    AutoTopUpRow,
    CreditMoveRow,
    CreditRow,
    OperationRow,
    ReservationRow,
    WalletRow,
)
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page

# Literals: with a bound parameter a generic plan no longer finds the partial indexes.
_LEFT = text("remaining_minor > 0")
_PENDING = text("state = 'pending'")
_WITH_KEY = text("request_key <> ''")
_OF_REFUND = text("refunded_id <> ''")
_OF_PAYMENT = text("payment_intent_id <> '' AND state <> 'refused'")
_OF_CREDIT_NOTE = text("credit_note_id <> '' AND state <> 'refused'")
_OF_RESERVATION = text("reservation_id <> '' AND state = 'pending'")


@dataclass(slots=True)
class Held:
    """A wallet with the credits that have something left."""

    wallet: WalletRow
    credits: list[CreditRow] = field(default_factory=list)

    @property
    def holdings(self) -> Holdings:
        """What the rules ask about."""
        lots = [
            Lot(row.id, row.remaining_minor, row.priority, row.expires_at, row.created_at)
            for row in self.credits
        ]
        return Holdings(self.wallet.posted_minor, self.wallet.reserved_minor, lots)


async def wallet(tx: ReadTransaction, wallet_id: str) -> WalletRow | None:
    """Return one wallet of the tenant and mode."""
    query = select(WalletRow).where(WalletRow.id == wallet_id, WalletRow.livemode == tx.livemode)
    return (await tx.session.scalars(query)).one_or_none()


async def locked(tx: Transaction, wallet_id: str) -> Held | None:
    """Return one wallet with what is left of its credits, as they are once it is locked."""
    query = (
        select(WalletRow)
        .where(WalletRow.id == wallet_id, WalletRow.livemode == tx.livemode)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    row = (await tx.session.scalars(query)).one_or_none()
    # By a statement of its own: what waited for the lock would see credits as they were before.
    return None if row is None else Held(row, await credits_left(tx, wallet_id))


async def wallets_of(tx: ReadTransaction, names: Sequence[str]) -> list[WalletRow]:
    """Return the wallets of a customer by any of its names, the oldest first."""
    found: dict[str, WalletRow] = {}
    for column in (WalletRow.customer_id, WalletRow.customer_external_id):
        query = select(WalletRow).where(
            WalletRow.livemode == tx.livemode,
            column.in_([name for name in names if name]),
            WalletRow.state != "closed",
        )
        found |= {row.id: row for row in await tx.session.scalars(query.order_by(WalletRow.id))}
        if found:
            break
    return list(found.values())


async def credits_left(tx: ReadTransaction, wallet_id: str) -> list[CreditRow]:
    """Return the credits of a wallet that have something left."""
    query = (
        select(CreditRow)
        .where(CreditRow.wallet_id == wallet_id, _LEFT)
        .execution_options(populate_existing=True)
    )
    return list(await tx.session.scalars(query))


async def page_of_wallets(
    tx: ReadTransaction, names: Sequence[str], page: Page
) -> tuple[Sequence[WalletRow], str | None]:
    """Return a page of wallets, of all customers or of one."""
    query = select(WalletRow).where(WalletRow.livemode == tx.livemode)
    if names:
        query = query.where(
            WalletRow.customer_id.in_(names) | WalletRow.customer_external_id.in_(names)
        )
    return await fetch_page(tx, query, WalletRow.id, page)


async def credit(tx: ReadTransaction, credit_id: str) -> CreditRow:
    """Return one credit."""
    query = select(CreditRow).where(CreditRow.id == credit_id)
    return (await tx.session.scalars(query)).one()


async def reservation(tx: ReadTransaction, reservation_id: str) -> ReservationRow | None:
    """Return one reservation of the tenant and mode as it is stored now."""
    query = (
        select(ReservationRow)
        .where(ReservationRow.id == reservation_id, ReservationRow.livemode == tx.livemode)
        .execution_options(populate_existing=True)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def known_reservation(tx: ReadTransaction, reservation_id: str) -> ReservationRow | None:
    """Return one reservation as this transaction has read it, or else as it is stored."""
    return await tx.session.get(ReservationRow, (tx.tenant_id, reservation_id))


async def operation(tx: ReadTransaction, operation_id: str) -> OperationRow | None:
    """Return one operation of the tenant and mode as it is stored now."""
    query = (
        select(OperationRow)
        .where(OperationRow.id == operation_id, OperationRow.livemode == tx.livemode)
        .execution_options(populate_existing=True)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def operation_of_request(tx: ReadTransaction, key: str) -> OperationRow | None:
    """Return the operation that a request key made."""
    query = select(OperationRow).where(
        OperationRow.livemode == tx.livemode, OperationRow.request_key == key, _WITH_KEY
    )
    return (await tx.session.scalars(query)).one_or_none()


async def operation_of_payment(tx: ReadTransaction, payment_intent_id: str) -> OperationRow | None:
    """Return the top-up that a payment made."""
    query = select(OperationRow).where(
        OperationRow.livemode == tx.livemode,
        OperationRow.payment_intent_id == payment_intent_id,
        _OF_PAYMENT,
    )
    return (await tx.session.scalars(query)).one_or_none()


async def operation_of_credit_note(tx: ReadTransaction, credit_note_id: str) -> OperationRow | None:
    """Return the top-up that a credit note made."""
    query = select(OperationRow).where(
        OperationRow.livemode == tx.livemode,
        OperationRow.credit_note_id == credit_note_id,
        _OF_CREDIT_NOTE,
    )
    return (await tx.session.scalars(query)).one_or_none()


async def pending_of_reservation(tx: ReadTransaction, reservation_id: str) -> OperationRow | None:
    """Return the operation on a reservation that is not completed."""
    query = select(OperationRow).where(
        OperationRow.reservation_id == reservation_id, _OF_RESERVATION
    )
    return (await tx.session.scalars(query)).one_or_none()


async def is_quiet(tx: ReadTransaction, wallet_id: str) -> bool:
    """True when no operation of a wallet waits to be completed."""
    query = select(OperationRow.id).where(OperationRow.wallet_id == wallet_id, _PENDING).limit(1)
    return (await tx.session.scalar(query)) is None


async def page_of_operations(
    tx: ReadTransaction, wallet_id: str, page: Page
) -> tuple[Sequence[OperationRow], str | None]:
    """Return a page of what moved a wallet's balance."""
    query = select(OperationRow).where(
        OperationRow.wallet_id == wallet_id,
        OperationRow.livemode == tx.livemode,
        OperationRow.kind.in_(MOVEMENTS),
        OperationRow.state != "refused",
    )
    return await fetch_page(tx, query, OperationRow.id, page)


async def moves_of(tx: ReadTransaction, operation_id: str) -> list[Move]:
    """Return what an operation did to credits, in order."""
    query = (
        select(CreditMoveRow)
        .where(CreditMoveRow.operation_id == operation_id)
        .order_by(CreditMoveRow.position)
    )
    return [Move(row.credit_id, row.amount_minor) for row in await tx.session.scalars(query)]


async def move_credits(
    tx: Transaction, held: Held, operation_id: str, moves: Sequence[Move], start: int = 0
) -> None:
    """Change credits and note it under the operation; `start` counts what it did before."""
    rows: dict[str, Any] = {row.id: row for row in held.credits}
    for position, move in enumerate(moves, start):
        row = rows.get(move.credit_id)
        if row is None:
            row = await credit(tx, move.credit_id)
            rows[row.id] = row
            held.credits.append(row)
        row.remaining_minor += move.amount_minor
        tx.session.add(
            CreditMoveRow(
                tenant_id=tx.tenant_id,
                operation_id=operation_id,
                position=position,
                livemode=tx.livemode,
                credit_id=move.credit_id,
                amount_minor=move.amount_minor,
            )
        )


async def auto_top_up(tx: ReadTransaction, top_up_id: str) -> AutoTopUpRow | None:
    """Return one payment that was to be asked for; locked."""
    query = select(AutoTopUpRow).where(AutoTopUpRow.id == top_up_id).with_for_update()
    return (await tx.session.scalars(query)).one_or_none()


async def refunds_done(tx: ReadTransaction, operation_id: str) -> int:
    """Return how much of an operation was given back already."""
    query = select(func.coalesce(func.sum(OperationRow.amount_minor), 0)).where(
        OperationRow.refunded_id == operation_id, OperationRow.state == "done", _OF_REFUND
    )
    return int(await tx.session.scalar(query) or 0)


async def auto_top_up_of_payment(
    tx: ReadTransaction, wallet_id: str, payment_intent_id: str
) -> AutoTopUpRow | None:
    """Return the payment of a wallet's own asking by its intent."""
    query = select(AutoTopUpRow).where(
        AutoTopUpRow.wallet_id == wallet_id, AutoTopUpRow.payment_intent_id == payment_intent_id
    )
    return (await tx.session.scalars(query)).one_or_none()
