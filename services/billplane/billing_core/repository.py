"""Every SQL statement of billing_core."""

from collections.abc import Collection, Sequence
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
class Known:
    """Reservations read under their wallets' locks, and the operations that befall them, by id."""

    reservations: dict[str, ReservationRow]
    pending: dict[str, str]


@dataclass(slots=True)
class Held:
    """A wallet with the credits that have something left, and what else was read with it."""

    wallet: WalletRow
    credits: list[CreditRow] = field(default_factory=list)
    known: Known | None = None

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


async def locked_together(
    tx: Transaction, wallet_ids: Collection[str], reservation_ids: Collection[str]
) -> dict[str, Held]:
    """Return wallets by id as they are once all are locked, with some of their reservations.

    Locked in the order of their ids, so that two who lock several do not wait for each other.
    """
    if not wallet_ids:
        return {}
    query = (
        select(WalletRow)
        .where(WalletRow.id.in_(wallet_ids), WalletRow.livemode == tx.livemode)
        .order_by(WalletRow.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    wallets = list(await tx.session.scalars(query))
    known = Known({row.id: row for row in await reservations(tx, reservation_ids)}, {})
    if reservation_ids:
        columns = (OperationRow.reservation_id, OperationRow.id)
        pending = select(*columns).where(
            OperationRow.reservation_id.in_(reservation_ids), _OF_RESERVATION
        )
        known.pending.update({row[0]: row[1] for row in await tx.session.execute(pending)})
    helds = {row.id: Held(row, [], known) for row in wallets}
    left = (
        select(CreditRow)
        .where(CreditRow.wallet_id.in_(helds), _LEFT)
        .execution_options(populate_existing=True)
    )
    for credit_ in await tx.session.scalars(left):
        helds[credit_.wallet_id].credits.append(credit_)
    return helds


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


async def reservations(
    tx: ReadTransaction, reservation_ids: Collection[str]
) -> list[ReservationRow]:
    """Return reservations of the tenant and mode as they are stored now."""
    if not reservation_ids:
        return []
    query = (
        select(ReservationRow)
        .where(ReservationRow.id.in_(reservation_ids), ReservationRow.livemode == tx.livemode)
        .execution_options(populate_existing=True)
    )
    return list(await tx.session.scalars(query))


async def reservation_of(
    tx: ReadTransaction, held: Held, reservation_id: str
) -> ReservationRow | None:
    """Return one reservation as it was read with its wallet, or else as it is stored now."""
    if held.known is not None:
        return held.known.reservations.get(reservation_id)
    return await reservation(tx, reservation_id)


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


async def operations_by_id(
    tx: ReadTransaction, operation_ids: Collection[str]
) -> dict[str, OperationRow]:
    """Return operations of the tenant and mode by id as they are stored now."""
    query = (
        select(OperationRow)
        .where(OperationRow.id.in_(operation_ids), OperationRow.livemode == tx.livemode)
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in await tx.session.scalars(query)}


async def operations_of_requests(
    tx: ReadTransaction, keys: Collection[str]
) -> dict[str, OperationRow]:
    """Return by request key the operations that requests made."""
    if not keys:
        return {}
    query = select(OperationRow).where(
        OperationRow.livemode == tx.livemode, OperationRow.request_key.in_(keys), _WITH_KEY
    )
    return {row.request_key: row for row in await tx.session.scalars(query)}


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


async def pending_of(tx: ReadTransaction, held: Held, reservation_id: str) -> str | None:
    """Return the operation on a reservation that is not completed, by its id."""
    if held.known is not None:
        return held.known.pending.get(reservation_id)
    row = await pending_of_reservation(tx, reservation_id)
    return None if row is None else row.id


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
