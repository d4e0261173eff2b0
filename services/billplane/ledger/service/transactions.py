"""Transactions: recording, holding, committing, releasing, reversing, reading."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import BillplaneError, FieldError, Invalid
from billplane.chassis.idempotency import StoredAnswer
from billplane.chassis.rest import Page
from billplane.ledger import repository
from billplane.ledger.domain import Balance, NewTransaction
from billplane.ledger.errors import ExternalIdReused, NotAHold, NotReversible, TransactionNotFound
from billplane.ledger.repository import Outcome, Stored, Transfer
from billplane.ledger.service.posting import (
    RECORDED,
    check,
    prepare,
    refusal,
    reversal_of,
    transfer_of,
)
from billplane.ledger.service.views import (
    View,
    balance_of,
    balances_after,
    postings_of,
    view_of,
    view_of_closing,
    view_of_hold_after,
    view_of_new,
)
from billplane.money import MINOR_MAX

BATCH_MAX = 1000


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was written, the hold that it changed, and the balances after it."""

    transaction: View
    balances: Sequence[Balance]
    hold: View | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one of many: a transaction, or why there is none."""

    transaction_id: str
    error: BillplaneError | None


# Makes the answer of a transport, and the form of it that is kept under the request's key.
Teller = Callable[[Any], tuple[Any, StoredAnswer]]


async def record_transaction(call: Call, new: NewTransaction, tell: Teller) -> Any:
    """Record a transaction, pending or posted; `tell` gets what was Recorded.

    Raises: TransactionUnbalanced, AccountUnknown, InsufficientFunds, ExternalIdReused, Invalid.
    Idempotent by: the request id, and external_id.
    """
    call.principal.require("ledger:write")
    transfer = await prepare(call, new)

    async def answer(tx: Transaction, outcomes: Sequence[Outcome]) -> tuple[Any, StoredAnswer]:
        return tell(await _recorded(tx, transfer, outcomes[0]))

    return await _write(call, [transfer], answer)


async def post_transactions(
    call: Call, news: Sequence[NewTransaction | BillplaneError], tell: Teller
) -> Any:
    """Record many transactions, each by itself; `tell` gets a Result for each.

    Raises: Invalid when there are too many.
    Idempotent by: the request id, and each by its external_id.
    """
    call.principal.require("ledger:write")
    if len(news) > BATCH_MAX:
        detail = f"at most {BATCH_MAX} transactions"
        raise Invalid([FieldError("transactions", "TOO_MANY_TRANSACTIONS", detail)])
    prepared = await _prepared(call, news)
    transfers = [item for item in prepared if isinstance(item, Transfer)]

    def results(outcomes: Sequence[Outcome]) -> list[Result]:
        left = iter(outcomes)
        found = []
        for item in prepared:
            if isinstance(item, BillplaneError):
                found.append(Result("", item))
                continue
            outcome = next(left)
            refused = refusal(outcome)
            found.append(Result("" if refused else outcome.id, refused))
        return found

    async def answer(_tx: Transaction, outcomes: Sequence[Outcome]) -> tuple[Any, StoredAnswer]:
        return tell(results(outcomes))

    if not transfers:
        return tell(results([]))[0]
    return await _write(call, transfers, answer)


async def commit_hold(call: Call, name: str, amount_minor: int, final: bool, tell: Teller) -> Any:
    """Post a hold or a part of it; `tell` gets what was Recorded, with the hold after it.

    Raises: TransactionNotFound, NotAHold, HoldClosed, HoldExpired, HoldExceeded, HoldIndivisible.
    Idempotent by: the request id.
    """
    call.principal.require("ledger:write")
    if not 0 <= amount_minor <= MINOR_MAX:
        detail = f"an amount is 0, for all that remains, to {MINOR_MAX} minor units"
        raise Invalid([FieldError("/amount_minor", "AMOUNT_OUT_OF_RANGE", detail)])
    hold = await _hold(call, name)
    return await _close(call, hold, "commit", tell, amount_minor, final)


async def release_hold(call: Call, name: str, tell: Teller) -> Any:
    """Give back what a hold still reserves; `tell` gets what was Recorded.

    Raises: TransactionNotFound, NotAHold, HoldClosed.
    Idempotent by: the request id.
    """
    call.principal.require("ledger:write")
    return await _close(call, await _hold(call, name), "release", tell)


async def expire_hold(call: Call, hold_id: str) -> None:
    """Give back what a hold reserves whose time is over.

    Raises: HoldClosed, HoldNotDue.
    """
    hold = await _hold(call, hold_id)
    await _close(call, hold, "expire", lambda _recorded: (None, StoredAnswer(200, {}, b"")))


async def reverse_transaction(call: Call, name: str, description: str, tell: Teller) -> Any:
    """Record the opposite of what was posted, once; `tell` gets what was Recorded.

    Raises: TransactionNotFound, NotReversible, AlreadyReversed, InsufficientFunds.
    Idempotent by: the request id.
    """
    call.principal.require("ledger:write")
    async with call.reading() as tx:
        found = await _find(tx, name)
    if found.row.kind not in ("record", "commit"):
        raise NotReversible(f"a transaction of the kind {found.row.kind} is not reversed")
    transfer = reversal_of(found, description)

    async def answer(tx: Transaction, outcomes: Sequence[Outcome]) -> tuple[Any, StoredAnswer]:
        return tell(await _recorded(tx, transfer, outcomes[0]))

    return await _write(call, [transfer], answer)


async def get_transaction(tx: ReadTransaction, name: str) -> View:
    """Return a transaction by id or external_id.

    Raises: TransactionNotFound.
    """
    tx.authorize("ledger:read")
    return view_of(await _find(tx, name))


async def list_transactions(
    tx: ReadTransaction, page: Page, parent_id: str | None = None
) -> tuple[list[View], str | None]:
    """Return a page of transactions in the order in which they were recorded."""
    tx.authorize("ledger:read")
    found, cursor = await repository.page_of_transactions(tx, page, parent_id)
    return [view_of(item) for item in found], cursor


async def _prepared(
    call: Call, news: Sequence[NewTransaction | BillplaneError]
) -> list[Transfer | BillplaneError]:
    """Return for each transaction what is to be written, or why it is refused."""
    checked: list[NewTransaction | BillplaneError] = []
    external_ids: set[str] = set()
    names: set[str] = set()
    for new in news:
        try:
            if isinstance(new, BillplaneError):
                raise new
            check(call, new)
            if new.external_id in external_ids:
                detail = f"the external_id {new.external_id} stands in the request twice"
                raise ExternalIdReused(detail, field="/external_id")
        except BillplaneError as error:
            checked.append(error)
            continue
        external_ids |= {new.external_id} - {""}
        names.update(posting.account for posting in new.postings)
        checked.append(new)
    accounts = await call.runtime.state.accounts.find(call, names)
    prepared: list[Transfer | BillplaneError] = []
    for item in checked:
        try:
            prepared.append(
                transfer_of(item, accounts) if isinstance(item, NewTransaction) else item
            )
        except BillplaneError as error:
            prepared.append(error)
    return prepared


async def _hold(call: Call, name: str) -> Stored:
    # A key that has its answer is found where the hold would be closed.
    asked: dict[str, Stored] = await call.runtime.state.transactions.ask(call, (name,))
    if name not in asked:
        raise TransactionNotFound(f"there is no transaction {name}")
    found = asked[name]
    if found.hold is None:
        raise NotAHold(f"the transaction {found.row.id} was never pending")
    return found


async def _close(
    call: Call, hold: Stored, kind: Any, tell: Teller, amount_minor: int = 0, final: bool = False
) -> Any:
    transfer = Transfer(
        id=ids.new("ltx"),
        kind=kind,
        postings=postings_of(hold, "pending"),
        currency_code=hold.row.currency_code,
        description=hold.row.description,
        parent_id=hold.row.id,
        rate_id=hold.row.rate_id,
        amount_minor=amount_minor,
        flag=final,
    )

    async def answer(_tx: Transaction, outcomes: Sequence[Outcome]) -> tuple[Any, StoredAnswer]:
        outcome = outcomes[0]
        refused = refusal(outcome)
        if refused is not None:
            raise refused
        return tell(
            Recorded(
                view_of_closing(hold, transfer, outcome),
                balances_after(transfer, outcome),
                view_of_hold_after(hold, transfer, outcome),
            )
        )

    return await _write(call, [transfer], answer)


async def _write(call: Call, transfers: Sequence[Transfer], answer: Any) -> Any:
    writer = call.runtime.state.writer
    return await writer.write(call.principal, transfers, answer, call.key, call.fingerprint)


async def _recorded(tx: Transaction, transfer: Transfer, outcome: Outcome) -> Recorded:
    """Tell what a transfer became, without asking the database where it was just written.

    Raises: what refused it.
    """
    refused = refusal(outcome)
    if refused is not None:
        raise refused
    if outcome.code == RECORDED:
        return Recorded(view_of_new(transfer, outcome), balances_after(transfer, outcome))
    view = view_of(await _find(tx, outcome.id))
    rows = await repository.accounts(tx, {posting.account for posting in transfer.postings})
    return Recorded(view, [balance_of(row) for row in rows.values()])


async def _find(tx: ReadTransaction, name: str) -> Stored:
    found = await repository.transaction(tx, name)
    if found is None:
        raise TransactionNotFound(f"there is no transaction {name}")
    return found
