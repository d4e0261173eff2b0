"""Wallets: opening, finding, reading, changing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import IntegrityError

from billplane.billing_core import peers, repository
from billplane.billing_core.domain import MOVEMENTS
from billplane.billing_core.errors import CurrencyMismatch, OperationNotFound, WalletNotFound
from billplane.billing_core.models import OperationRow, WalletRow
from billplane.billing_core.service import books, opening
from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page

KNOWN_MAX = 200_000


@dataclass(frozen=True, slots=True)
class NewWallet:
    """What a wallet is made of."""

    customer_id: str
    currency_code: str
    overdraft_minor: int = 0
    low_balance_minor: int | None = None
    auto_below_minor: int | None = None
    auto_amount_minor: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """Which wallet is meant: by id, or by customer and currency."""

    customer_id: str = ""
    currency_code: str = ""
    wallet_id: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What never changes of a wallet."""

    id: str
    currency_code: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A wallet and its balance."""

    wallet: WalletRow
    balance: dict[str, Any]


class WalletIndex:
    """What never changes of wallets, remembered by what they were called."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool, Target], Found] = {}

    def get(self, call: Call, target: Target) -> Found | None:
        """Return a wallet that was found before."""
        return self._known.get((call.principal.tenant_id, call.principal.livemode, target))

    def add(self, call: Call, target: Target, found: Found) -> Found:
        """Remember a wallet."""
        if len(self._known) >= KNOWN_MAX:
            del self._known[next(iter(self._known))]
        self._known[(call.principal.tenant_id, call.principal.livemode, target)] = found
        return found


async def create_wallet(call: Call, new: NewWallet) -> Shown:
    """Open a wallet, or return the one that the customer has in the currency as it is.

    Raises: the peers' errors, ScopeMissing.
    Idempotent by: the customer and the currency.
    """
    call.principal.require("wallets:write")
    wallet_id = await _store(call, new)
    await opening.open_account(call, wallet_id)
    tx = await call.last()
    held = await books.lock(tx, wallet_id)
    return Shown(held.wallet, books.tell(tx, held))


async def _store(call: Call, new: NewWallet) -> str:
    async with call.reading() as tx:
        rows = await repository.wallets_of(tx, [new.customer_id])
    if not any(row.currency_code == new.currency_code for row in rows):
        customer = await peers.find_customer(call, new.customer_id)
        names = [customer.id, customer.external_id] if customer else [new.customer_id]
        try:
            async with call.writing() as tx:
                rows = await repository.wallets_of(tx, names)
                if not any(row.currency_code == new.currency_code for row in rows):
                    rows = [_row(tx, new, customer)]
                    tx.session.add(rows[0])
        except IntegrityError:
            # Somebody else opened it at the same moment.
            async with call.reading() as reading:
                rows = await repository.wallets_of(reading, names)
    return next(row.id for row in rows if row.currency_code == new.currency_code)


async def open_for(tx: Transaction, target: Target) -> str:
    """Return the wallet of a customer in a currency; one that is new is opened by its first use.

    Raises: the peers' errors.
    """
    rows = await repository.wallets_of(tx, [target.customer_id])
    if not any(row.currency_code == target.currency_code for row in rows):
        customer = await peers.find_customer(tx, target.customer_id)
        if customer is not None:
            rows = await repository.wallets_of(tx, [customer.id, customer.external_id])
        if not any(row.currency_code == target.currency_code for row in rows):
            new = NewWallet(target.customer_id, target.currency_code)
            rows = [_row(tx, new, customer)]
            tx.session.add(rows[0])
            await tx.session.flush()
    return next(row.id for row in rows if row.currency_code == target.currency_code)


def _row(tx: Transaction, new: NewWallet, customer: peers.Customer | None) -> WalletRow:
    return WalletRow(
        tenant_id=tx.tenant_id,
        id=ids.new("wal"),
        livemode=tx.livemode,
        customer_id=customer.id if customer else new.customer_id,
        customer_external_id=customer.external_id if customer else "",
        currency_code=new.currency_code,
        state="opening",
        overdraft_minor=new.overdraft_minor,
        low_balance_minor=new.low_balance_minor,
        auto_below_minor=new.auto_below_minor,
        auto_amount_minor=new.auto_amount_minor,
        tags=new.metadata,
        posted_minor=0,
        reserved_minor=0,
        # A wallet begins empty: it runs low when it falls below, not before it was filled.
        is_low=True,
        is_filling=True,
        account_id="",
        account_posted_minor=0,
        account_reserved_minor=0,
        account_entries=0,
        compared_at=tx.now,
        created_at=tx.now,
    )


async def find(
    call: Call, target: Target, *, convertible: bool = False, open_missing: bool = False
) -> Found:
    """Return the wallet that is meant; of another currency only where it may be converted.

    Raises: WalletNotFound, CurrencyMismatch, the peers' errors.
    """
    known: WalletIndex = call.runtime.state.wallets
    found = known.get(call, target)
    if found is not None:
        return found
    rows = await _candidates(call, target)
    exact = [row for row in rows if row.currency_code == target.currency_code]
    if not rows or (open_missing and not exact and not target.wallet_id):
        if not open_missing or target.wallet_id:
            raise WalletNotFound(
                f"there is no wallet {target.wallet_id}"
                if target.wallet_id
                else f"the customer {target.customer_id} has no wallet",
                field="/wallet_id" if target.wallet_id else "/customer_id",
            )
        new = NewWallet(target.customer_id, target.currency_code)
        return Found(await _store(call, new), target.currency_code)
    if exact or not target.currency_code:
        rows = exact or rows
    elif not convertible:
        raise CurrencyMismatch(
            f"the wallet is kept in {rows[0].currency_code}",
            field="/currency_code",
            metadata={"currency_code": rows[0].currency_code},
        )
    if len(rows) > 1:
        kept = ", ".join(row.currency_code for row in rows)
        raise CurrencyMismatch(
            f"the customer has wallets in {kept}: name one by its id", field="/currency_code"
        )
    found = Found(rows[0].id, rows[0].currency_code)
    named = bool(target.wallet_id) and not target.currency_code
    # Only what no wallet that is opened later can change.
    return known.add(call, target, found) if exact or named else found


async def _candidates(call: Call, target: Target) -> list[WalletRow]:
    async with call.reading() as tx:
        if target.wallet_id:
            row = await repository.wallet(tx, target.wallet_id)
            return [row] if row else []
        rows = await repository.wallets_of(tx, [target.customer_id])
    if rows or not target.customer_id:
        return rows
    customer = await peers.find_customer(call, target.customer_id)
    if customer is None:
        return []
    async with call.reading() as tx:
        return await repository.wallets_of(tx, [customer.id, customer.external_id])


async def get_wallet(tx: ReadTransaction, wallet_id: str) -> Shown:
    """Return a wallet with its balance.

    Raises: WalletNotFound, ScopeMissing.
    """
    tx.authorize("wallets:read")
    row = await repository.wallet(tx, wallet_id)
    if row is None:
        raise WalletNotFound(f"there is no wallet {wallet_id}")
    return Shown(row, books.tell(tx, await books.read(tx, row)))


async def list_wallets(
    tx: ReadTransaction, customer_id: str, page: Page
) -> tuple[list[Shown], str | None]:
    """Return a page of wallets, of all customers or of one."""
    tx.authorize("wallets:read")
    names = [customer_id] if customer_id else []
    rows, cursor = await repository.page_of_wallets(tx, names, page)
    return [Shown(row, books.tell(tx, await books.read(tx, row))) for row in rows], cursor


async def get_balance(call: Call, target: Target) -> dict[str, Any]:
    """Return what a wallet holds.

    Raises: WalletNotFound, CurrencyMismatch, ScopeMissing.
    """
    call.principal.require("wallets:read")
    found = await find(call, target)
    async with call.reading() as tx:
        return (await get_wallet(tx, found.id)).balance


async def update_wallet(tx: Transaction, wallet_id: str, changes: dict[str, Any]) -> Shown:
    """Change when a wallet is low, how it is filled, and its metadata.

    Raises: WalletNotFound, ScopeMissing.
    """
    tx.authorize("wallets:write")
    held = await books.lock(tx, wallet_id)
    for name, value in changes.items():
        setattr(held.wallet, name, value)
    await books.look(tx, held)
    return Shown(held.wallet, books.tell(tx, held))


async def get_operation(
    tx: ReadTransaction, operation_id: str, wallet_id: str = ""
) -> OperationRow:
    """Return one operation that moved a balance, or is about to.

    Raises: OperationNotFound, ScopeMissing.
    """
    tx.authorize("wallets:read")
    row = await repository.operation(tx, operation_id)
    elsewhere = row is not None and wallet_id not in ("", row.wallet_id)
    if row is None or elsewhere or row.kind not in MOVEMENTS or row.state == books.REFUSED:
        raise OperationNotFound(f"there is no operation {operation_id}")
    return row


async def list_operations(
    tx: ReadTransaction, wallet_id: str, page: Page
) -> tuple[Sequence[OperationRow], str | None]:
    """Return a page of what moved a wallet's balance.

    Raises: WalletNotFound, ScopeMissing.
    """
    tx.authorize("wallets:read")
    if await repository.wallet(tx, wallet_id) is None:
        raise WalletNotFound(f"there is no wallet {wallet_id}")
    return await repository.page_of_operations(tx, wallet_id, page)
