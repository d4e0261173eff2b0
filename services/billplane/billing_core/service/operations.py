"""Operations that move a balance at once: top up, grant, adjust, charge, refund."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billplane.billing_core import domain, peers, repository
from billplane.billing_core.errors import (
    BalanceOutOfRange,
    CurrencyMismatch,
    InsufficientBalance,
    OperationNotFound,
    OperationNotRefundable,
    PaymentMismatch,
    PaymentNotSucceeded,
    RefundExceedsOperation,
    WalletNotFound,
)
from billplane.billing_core.models import OperationRow
from billplane.billing_core.repository import Held
from billplane.billing_core.service import amounts, books, running, wallets
from billplane.billing_core.service.amounts import Due, Wanted
from billplane.billing_core.service.running import Done
from billplane.billing_core.service.wallets import Target
from billplane.billing_core.service.work import Waits
from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.money import MINOR_MAX


@dataclass(frozen=True, slots=True)
class NewCredit:
    """Credit to give."""

    amount_minor: int
    kind: str
    priority: int
    expires_at: datetime | None


async def top_up_wallet(
    call: Call,
    target: Target,
    *,
    amount_minor: int,
    payment_intent_id: str,
    manual_reason: str,
    reference: str,
) -> Done:
    """Add money that was paid; a payment tops up once, whoever says so and how often.

    Raises: PaymentNotSucceeded, PaymentMismatch, WalletNotFound, CurrencyMismatch, Invalid.
    Idempotent by: the request id, and the payment.
    """
    call.principal.require("wallets:write")
    if bool(payment_intent_id) == bool(manual_reason.strip()):
        detail = "name either the payment or the reason why it is added by hand"
        raise Invalid([FieldError("/payment_intent_id", "PAYMENT_OR_REASON", detail)])
    found = await wallets.find(call, target, open_missing=True)
    if payment_intent_id:
        await _check_payment(call, found.id, payment_intent_id, amount_minor, found.currency_code)

    async def decide(tx: Transaction, held: Held) -> OperationRow:
        if payment_intent_id:
            before = await repository.operation_of_payment(tx, payment_intent_id)
            if before is not None:
                _check_same_wallet(before, held)
                return before
        _check_room(held, amount_minor)
        return books.new_operation(
            *(tx, held, domain.TOP_UP, amount_minor),
            call=call,
            payment_intent_id=payment_intent_id,
            reference=reference,
            description=manual_reason,
        )

    return await running.run(call, found.id, decide)


async def top_up_by_payment(
    tx: Transaction, wallet_id: str, payment_intent_id: str, amount_minor: int, currency_code: str
) -> None:
    """Decide to add what a payment brought; the janitor posts and completes it.

    Raises: WalletNotFound, CurrencyMismatch.
    Idempotent by: the payment.
    """
    held = await books.lock(tx, wallet_id)
    if held.wallet.currency_code != currency_code:
        raise CurrencyMismatch(f"the wallet {wallet_id} is kept in {held.wallet.currency_code}")
    if await repository.operation_of_payment(tx, payment_intent_id) is None:
        books.new_operation(
            *(tx, held, domain.TOP_UP, amount_minor), payment_intent_id=payment_intent_id
        )


async def top_up_by_credit_note(
    tx: Transaction, target: Target, *, amount_minor: int, credit_note_id: str, number: str
) -> None:
    """Decide to add what a credit note left over; the janitor posts and completes it.

    A wallet is opened where the customer has none in the currency.

    Raises: the peers' errors.
    Idempotent by: the credit note.
    """
    tx.require_internal()
    if await repository.operation_of_credit_note(tx, credit_note_id) is not None:
        return
    held = await books.lock(tx, await wallets.open_for(tx, target))
    books.new_operation(
        *(tx, held, domain.TOP_UP, amount_minor),
        credit_note_id=credit_note_id,
        reference=credit_note_id,
        description=f"credit note {number}",
    )


def _check_same_wallet(before: OperationRow, held: Held) -> None:
    if before.wallet_id != held.wallet.id:
        raise PaymentMismatch("the payment filled another wallet")


async def _check_payment(
    call: Call, wallet_id: str, intent_id: str, amount_minor: int, currency_code: str
) -> None:
    """Raise PaymentNotSucceeded or PaymentMismatch unless the payment brought that money."""
    intent = await peers.intent(call, intent_id)
    if intent.state != "succeeded":
        raise PaymentNotSucceeded(f"the payment {intent_id} is {intent.state}")
    async with call.reading() as tx:
        shown = await wallets.get_wallet(tx, wallet_id)
    names = {shown.wallet.customer_id, shown.wallet.customer_external_id}
    if (
        (intent.received_minor, intent.currency_code) != (amount_minor, currency_code)
        or intent.customer_id not in names
        or intent.invoice_id
    ):
        raise PaymentMismatch(
            f"the payment {intent_id} brought {intent.received_minor} {intent.currency_code}"
            f" of {intent.customer_id or 'nobody'}"
            + (f" for {intent.invoice_id}" if intent.invoice_id else ""),
            field="/payment_intent_id",
        )


async def grant_credit(
    call: Call, target: Target, new: NewCredit, *, reference: str, description: str
) -> Done:
    """Add credit that is used before plain money, by its priority, until its end.

    Raises: CurrencyMismatch, WalletNotFound, Invalid.
    Idempotent by: the request id.
    """
    call.principal.require("wallets:write")
    if new.expires_at is not None and new.expires_at <= call.runtime.clock.now():
        detail = "credit ends in the future"
        raise Invalid([FieldError("/expires_at", "TIME_OUT_OF_RANGE", detail)])
    found = await wallets.find(call, target, open_missing=True)

    async def decide(tx: Transaction, held: Held) -> OperationRow:
        _check_room(held, new.amount_minor)
        return books.new_operation(
            *(tx, held, domain.GRANT, new.amount_minor),
            call=call,
            credit_id=ids.new("crd"),
            credit_kind=new.kind,
            credit_priority=new.priority,
            credit_expires_at=new.expires_at,
            reference=reference,
            description=description,
        )

    return await running.run(call, found.id, decide)


async def adjust_balance(
    call: Call, target: Target, *, amount_minor: int, reason: str, reference: str
) -> Done:
    """Correct a balance by hand, up or down to the overdraft; for staff.

    Raises: InsufficientBalance, WalletNotFound, CurrencyMismatch, StaffOnly, ScopeMissing.
    Idempotent by: the request id.
    """
    call.principal.require("wallets:write")
    found = await wallets.find(call, target)
    call.principal.require_staff("wallets:write")

    async def decide(tx: Transaction, held: Held) -> OperationRow:
        if amount_minor > 0:
            _check_room(held, amount_minor)
        else:
            check_available(tx, held, -amount_minor, held.wallet.overdraft_minor)
        row = books.new_operation(
            *(tx, held, domain.ADJUST, amount_minor),
            call=call,
            reference=reference,
            description=reason,
        )
        if amount_minor < 0:
            await books.take(tx, held, row, domain.take(held.holdings, -amount_minor, tx.now))
        return row

    return await running.run(call, found.id, decide)


@dataclass(frozen=True, slots=True)
class Charged:
    """What a charge took, in the currency that was asked in."""

    done: Done
    charged_minor: int
    rate_id: str


async def charge_wallet(
    call: Call,
    target: Target,
    wanted: Wanted,
    *,
    reference: str,
    description: str,
    invoice_id: str = "",
    partial: bool = False,
) -> Charged:
    """Take an amount or a price, down to the overdraft; partial: what there is without it.

    Raises: InsufficientBalance, NothingToCharge, WalletNotFound, CurrencyMismatch, InternalOnly,
        Invalid, the peers' errors.
    Idempotent by: the request id.
    """
    call.principal.require("wallets:write")
    if invoice_id:
        call.principal.require_internal()
    try:
        # What is there for an invoice is there in its currency, unless somebody names the wallet.
        convertible = not partial or bool(target.wallet_id)
        due = await amounts.due(call, target, wanted, convertible=convertible)
    except (WalletNotFound, CurrencyMismatch):
        if not partial:
            raise
        await call.last()
        return Charged(Done(None, {}), 0, "")

    async def decide(tx: Transaction, held: Held) -> OperationRow | None:
        part = _part(due, held, tx.now) if partial else due
        if part is None:
            return None
        if not partial:
            check_available(tx, held, part.amount_minor, held.wallet.overdraft_minor)
        row = books.new_operation(
            *(tx, held, domain.CHARGE, -part.amount_minor),
            call=call,
            other_minor=part.asked_minor,
            other_currency_code=part.asked_currency_code,
            rate_id=part.rate_id,
            invoice_id=invoice_id,
            reference=reference,
            description=description,
        )
        await books.take(tx, held, row, domain.take(held.holdings, part.amount_minor, tx.now))
        return row

    done = await running.run(call, due.wallet.id, decide, together=True)
    row = done.operation
    return Charged(done, row.other_minor if row else 0, row.rate_id if row else "")


def _part(due: Due, held: Held, now: datetime) -> Due | None:
    """Return what of a due amount there is; none where that is nothing in either currency."""
    amount = min(due.amount_minor, held.holdings.available_minor(now))
    if amount == due.amount_minor:
        return due
    asked = domain.share(due.asked_minor, max(amount, 0), due.amount_minor)
    if asked <= 0:
        return None
    return Due(due.wallet, amount, asked, due.asked_currency_code, due.rate_id)


async def refund_operation(
    call: Call,
    operation_id: str,
    *,
    amount_minor: int,
    reason: str,
    reference: str,
    wallet_id: str = "",
) -> Done:
    """Give back what an operation took, all that is left of it or a part.

    Raises: OperationNotFound, OperationNotRefundable, RefundExceedsOperation, ScopeMissing.
    Idempotent by: the request id.
    """
    call.principal.require("wallets:write")
    async with call.reading() as reading:
        refunded = await repository.operation(reading, operation_id)
    elsewhere = refunded is not None and wallet_id not in ("", refunded.wallet_id)
    if refunded is None or elsewhere or refunded.state == books.REFUSED:
        raise OperationNotFound(f"there is no operation {operation_id}")
    if refunded.kind not in domain.REFUNDABLE:
        raise OperationNotRefundable(f"an operation of the kind {refunded.kind} took nothing")
    if refunded.invoice_id and not call.principal.internal:
        raise OperationNotRefundable(f"the operation settled the invoice {refunded.invoice_id}")

    async def decide(tx: Transaction, held: Held) -> OperationRow:
        row = await repository.operation(tx, operation_id)
        assert row is not None  # noqa: S101 - operations stay
        if row.state == books.PENDING:
            raise Waits(row.id)
        taken = -row.amount_minor
        left = taken - row.refunded_minor
        amount = amount_minor or left
        if not 0 < amount <= left:
            raise RefundExceedsOperation(
                f"{left} of the operation is left to give back", metadata={"left_minor": left}
            )
        before = domain.share(row.other_minor, row.refunded_minor, taken)
        row.refunded_minor += amount
        other = domain.share(row.other_minor, row.refunded_minor, taken) - before
        return books.new_operation(
            *(tx, held, domain.REFUND, amount),
            call=call,
            refunded_id=row.id,
            other_minor=other,
            other_currency_code=row.other_currency_code,
            rate_id=row.rate_id,
            invoice_id=row.invoice_id,
            reference=reference,
            description=reason,
        )

    return await running.run(call, refunded.wallet_id, decide)


def check_available(tx: Transaction, held: Held, amount_minor: int, overdraft_minor: int) -> None:
    """Raise InsufficientBalance unless so much can be taken now."""
    available = held.holdings.available_minor(tx.now)
    if amount_minor > available + overdraft_minor:
        metadata: dict[str, Any] = {
            "available_minor": available,
            "currency_code": held.wallet.currency_code,
        }
        raise InsufficientBalance(
            f"{available} minor units of {held.wallet.currency_code} are available",
            metadata=metadata,
        )


def _check_room(held: Held, amount_minor: int) -> None:
    if held.wallet.posted_minor + amount_minor > MINOR_MAX:
        raise BalanceOutOfRange(f"the wallet would hold more than {MINOR_MAX} minor units")
