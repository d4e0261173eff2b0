"""Running an operation: decided and stored, posted by one call of the ledger, completed.

A wallet is never promised more than its account has: what an operation takes counts here from the
decision on, before the ledger knows of it, and what it brings or frees counts here after the ledger
has it. So calls of several operations may reach the ledger in any order, from any process, and it
has a reason to refuse none of them. Only what befalls one reservation keeps its order: the next
operation on it is decided once the one before is completed.

Whoever dies between leaves a pending operation. The same request again takes it up, and so does
the janitor: the ledger is called under the operation's own id, and completing twice is completing
once.

Charges, reservations and what befalls these share transactions with others that are asked for at
the same time, both to be decided and to be completed. What cannot be done so is done alone.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError

from billplane.billing_core import domain, peers, repository
from billplane.billing_core.errors import OperationNotFound, WalletBusy
from billplane.billing_core.models import OperationRow
from billplane.billing_core.peers import Posted
from billplane.billing_core.repository import Held
from billplane.billing_core.service import books, effects, opening
from billplane.billing_core.service.gathering import Alone
from billplane.billing_core.service.together import Closing, Question
from billplane.billing_core.service.work import (
    ON_HOLDS,
    Decide,
    Owner,
    Waits,
    Whose,
    Work,
    work_of,
)
from billplane.chassis import logging
from billplane.chassis.call import Call
from billplane.chassis.errors import BillplaneError, IdempotencyKeyReused, Kind, PeerError
from billplane.chassis.faults import faultpoint, register

_log = logging.get("billing_core")
_TRIES_MAX = 20
# Beyond this age the ledger may have forgotten under which id it was called.
_REMEMBERED = timedelta(hours=12)
# The ledger has decided; anything else may have happened or not.
_REFUSALS = (Kind.FAILED_PRECONDITION, Kind.INVALID_ARGUMENT, Kind.NOT_FOUND)
_AWAY = (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED)
_LATER = timedelta(minutes=1)
# What many do at a time, and nothing but these.
_TOGETHER = (domain.CHARGE, domain.RESERVE, domain.COMMIT, domain.RELEASE)

register(
    "billing_core.after_decision",
    "billing_core.after_posting",
    "billing_core.before_completion_ends",
    "billing_core.before_refusal_ends",
)


@dataclass(frozen=True, slots=True)
class Done:
    """A completed operation, or none where there was nothing to do, and what is told of it."""

    operation: OperationRow | None
    result: dict[str, Any]


async def run(call: Call, whose: Whose, decide: Decide, *, together: bool = False) -> Done:
    """Decide on an operation under the wallet's lock, post it, complete it.

    `together`: what others ask at the same time may be decided in the same transaction.

    Raises: what `decide` raises, IdempotencyKeyReused, the ledger's errors.
    Idempotent by: the request id.
    """
    for left in reversed(range(_TRIES_MAX)):
        try:
            wallet_id, work = await _begun(call, whose, decide, together)
            break
        except Waits as waits:
            await complete(call, waits.operation_id)
        except opening.NotOpen as closed:
            await opening.open_account(call, closed.wallet_id)
        except IntegrityError as error:
            # The same request, or the same payment, was faster on another way.
            if not left or "uq_operations_" not in str(error.orig):
                raise
    else:
        raise WalletBusy("the wallet is changed too fast; try again", retry_after_seconds=1)
    faultpoint("billing_core.after_decision")
    if work is None:
        tx = await call.last()
        held = await books.lock(tx, wallet_id)
        return Done(None, {"balance": books.tell(tx, held)})
    row = await finish(call, work)
    return Done(row, row.result)


def _gathers(call: Call) -> bool:
    """True when the operation is all that is kept of the request: it tells the same answer again.

    What staff does is told with each change, and REST keeps what it answered.
    """
    return not call.keeps_answer and not call.principal.staff


async def _begun(
    call: Call, whose: Whose, decide: Decide, together: bool
) -> tuple[str, Work | None]:
    if together and _gathers(call):
        try:
            found: tuple[str, Work | None] = await call.runtime.state.deciding.ask(
                call, Question(call, whose, decide)
            )
        except Alone:
            return await _begin(call, whose, decide)
        return found
    return await _begin(call, whose, decide)


async def _begin(call: Call, whose: Whose, decide: Decide) -> tuple[str, Work | None]:
    async with call.writing() as tx:
        wallet_id = await whose.find(tx) if isinstance(whose, Owner) else whose
        held = await books.lock(tx, wallet_id)
        if held.wallet.state == "opening":
            raise opening.NotOpen(wallet_id)
        if call.key:
            found = await repository.operation_of_request(tx, call.key)
            if found is not None:
                if found.fingerprint != call.fingerprint:
                    raise IdempotencyKeyReused("this key was used for another request")
                return wallet_id, await work_of(tx, held, found)
        await books.retire(tx, held)
        row = await decide(tx, held)
        await books.look(tx, held)
        await tx.session.flush()
        return wallet_id, None if row is None else await work_of(tx, held, row)


async def complete(call: Call, operation_id: str) -> None:
    """Bring an operation to its end that somebody else has begun.

    Raises: OperationNotFound, the ledger's errors.
    """
    async with Call(call.runtime, call.principal, call.request_id) as own:
        async with own.reading() as tx:
            found = await repository.operation(tx, operation_id)
            if found is None:
                raise OperationNotFound(f"there is no operation {operation_id}")
            if found.state != books.PENDING:
                return
        # What a message began may be the first that befalls a wallet.
        await opening.open_account(own, found.wallet_id)
        async with own.reading() as tx:
            wallet = await repository.wallet(tx, found.wallet_id)
            assert wallet is not None  # noqa: S101 - wallets stay
            work = await work_of(tx, Held(wallet), found)
        await finish(own, work)


async def resume(call: Call, operation_id: str) -> None:
    """Complete an operation for the janitor; one that cannot be completed now lets others pass.

    Raises: what `complete` raises.
    """
    try:
        await complete(call, operation_id)
    except Exception as error:
        away = isinstance(error, BillplaneError) and error.kind in _AWAY
        if not away:
            async with call.writing() as tx:
                row = await repository.operation(tx, operation_id)
                if row is not None and row.state == books.PENDING:
                    row.due_at = tx.now + _LATER
        raise


def _is_paid(operation: OperationRow) -> bool:
    """Tell whether the money is there already, by a payment or left over of one."""
    return operation.payment_intent_id != "" or operation.credit_note_id != ""


async def finish(call: Call, work: Work) -> OperationRow:
    """Post an operation and complete it, unless somebody was faster.

    Raises: the ledger's errors; one that decides undoes the operation.
    """
    operation, posted = work.operation, Posted("", None)
    if operation.state == books.PENDING:
        try:
            posted = await _post(call, work)
        except BillplaneError as error:
            paid = _is_paid(operation)
            if error.kind not in _REFUSALS or paid or operation.kind in domain.KEPT:
                raise
            await _refuse(call, operation, error)
            raise
        faultpoint("billing_core.after_posting")
    if operation.kind in _TOGETHER and _gathers(call):
        try:
            done: OperationRow = await call.runtime.state.completing.ask(
                call, Closing(operation, posted)
            )
        except Alone:
            return await _end(call, operation, posted)
        return done
    return await _end(call, operation, posted)


async def _end(call: Call, operation: OperationRow, posted: Posted) -> OperationRow:
    tx = await call.last()
    held = await books.lock(tx, operation.wallet_id)
    row = await repository.operation(tx, operation.id)
    assert row is not None  # noqa: S101 - operations stay
    if row.state == books.REFUSED:
        raise books.refused(row)
    if row.state == books.PENDING:
        await effects.complete(tx, held, row, posted)
        await tx.session.flush()
        faultpoint("billing_core.before_completion_ends")
    return row


async def _refuse(call: Call, operation: OperationRow, error: BillplaneError) -> None:
    _log.warning("operation_refused", operation_id=operation.id, reason=error.reason)
    async with call.writing() as tx:
        held = await books.lock(tx, operation.wallet_id)
        row = await repository.operation(tx, operation.id)
        if row is not None and row.state == books.PENDING:
            await effects.undo(tx, held, row, error)
            await tx.session.flush()
            faultpoint("billing_core.before_refusal_ends")


async def _post(call: Call, work: Work) -> Posted:
    """Call the ledger under the operation's id."""
    operation = work.operation
    ids = {"operation_id": operation.id, "account_id": work.account_id}
    if operation.kind not in ON_HOLDS:
        return await peers.record(
            call,
            _legs(operation),
            **ids,
            description=operation.description or operation.kind,
            rate_id=operation.rate_id,
            hold=operation.kind == domain.RESERVE,
        )
    old = call.runtime.clock.now() - operation.created_at > _REMEMBERED
    if old and await _has_happened(call, work):
        return Posted(work.hold_id, None)
    try:
        if operation.kind == domain.COMMIT:
            amount = -operation.amount_minor
            return await peers.commit_hold(
                call, work.hold_id, amount_minor=amount, final=operation.final, **ids
            )
        return await peers.release_hold(call, work.hold_id, **ids)
    except PeerError as error:
        if error.kind not in _REFUSALS or not await _has_happened(call, work):
            raise
        return Posted(work.hold_id, None)


async def _has_happened(call: Call, work: Work) -> bool:
    """True when the hold is where the operation leads it: nothing else has befallen it since."""
    remaining, committed = await peers.held_and_posted(call, work.hold_id)
    if work.operation.kind == domain.COMMIT:
        return committed == work.committed_minor
    return remaining == 0


def _legs(operation: OperationRow) -> list[domain.Leg]:
    takes = operation.amount_minor < 0 or operation.kind == domain.RESERVE
    amount = operation.other_minor if operation.kind == domain.RESERVE else operation.amount_minor
    money = domain.Money(
        operation.wallet_id,
        operation.currency_code,
        abs(amount),
        operation.other_minor,
        operation.other_currency_code,
    )
    account = domain.source_of(
        operation.kind,
        paid=_is_paid(operation),
        credit_kind=operation.credit_kind,
    )
    if operation.invoice_id:
        account = "receivables"
    return domain.legs(money, account, takes=takes)
