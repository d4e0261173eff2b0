"""Filling a wallet that ran low, and telling its customer."""

from billplane.billing_core import peers, repository
from billplane.billing_core.service import books
from billplane.chassis import logging
from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.chassis.errors import BillplaneError, Kind
from billplane.chassis.faults import faultpoint, register
from billplane.money import CurrencyCode, Money
from billplane.protos.billing_core.v1.events_pb2 import BalanceLow
from billplane.protos.notification.v1.events_pb2 import NotifyTask

_log = logging.get("billing_core")
# Payment has decided; anything else may have happened or not.
_REFUSALS = (
    Kind.FAILED_PRECONDITION,
    Kind.INVALID_ARGUMENT,
    Kind.NOT_FOUND,
    Kind.PERMISSION_DENIED,
)
# What comes of these by itself, or by the payer, is a payment that succeeded.
_ON_ITS_WAY = ("succeeded", "processing", "requires_action", "requires_capture")

register("billing_core.after_asking_payment")


async def collect(call: Call, top_up_id: str) -> None:
    """Ask payment for what a wallet wanted when it ran low; it tops up when it has succeeded.

    Raises: the peer's errors while it is not known whether it was asked.
    Idempotent by: the row that stands for the asking.
    """
    call.principal.require_internal()
    async with call.writing() as tx:
        row = await repository.auto_top_up(tx, top_up_id)
        wallet = None if row is None else await repository.wallet(tx, row.wallet_id)
    if row is None or wallet is None or row.state != books.PENDING:
        return
    intent_id, reason = "", ""
    try:
        intent = await peers.collect_top_up(
            call,
            wallet_id=wallet.id,
            customer_id=wallet.customer_id,
            amount_minor=row.amount_minor,
            currency_code=row.currency_code,
            request_id=row.id,
        )
        intent_id = intent.id
        if intent.state not in _ON_ITS_WAY:
            reason = intent.failure or intent.state
    except BillplaneError as error:
        if error.kind not in _REFUSALS:
            raise
        reason = error.reason
    faultpoint("billing_core.after_asking_payment")
    await _note(call, wallet.id, top_up_id, intent_id, reason)


async def _note(call: Call, wallet_id: str, top_up_id: str, intent_id: str, reason: str) -> None:
    async with call.writing() as tx:
        held = await books.lock(tx, wallet_id)
        row = await repository.auto_top_up(tx, top_up_id)
        if row is None or row.state != books.PENDING:
            return
        row.payment_intent_id, row.reason = intent_id, reason
        row.state = "failed" if reason else "asked"
        done = await repository.operation_of_payment(tx, intent_id)
        if done is not None and done.state == books.DONE:
            # The money was here before the answer.
            row.state, held.wallet.is_filling = "paid", False
            await books.look(tx, held)
    if reason:
        _log.warning("auto_top_up_failed", wallet_id=wallet_id, reason=reason)


async def tell_customer(tx: Transaction, low: BalanceLow, event_id: str) -> None:
    """Ask for an e-mail to the customer, when its address is known."""
    customer = await peers.find_customer(tx, low.customer_id)
    if customer is None or not customer.email:
        return
    variables = {
        "customer_name": customer.name,
        "available": _text(low.available_minor, low.currency_code),
        "threshold": _text(low.threshold_minor, low.currency_code),
        "wallet_id": low.wallet_id,
    }
    task = NotifyTask(
        channel="email",
        to=customer.email,
        template="balance_low",
        locale=customer.locale,
        variables=variables,
        dedupe_key=f"balance_low:{event_id}",
    )
    await tx.enqueue(task, key=low.wallet_id)


def _text(minor: int, currency_code: str) -> str:
    return str(Money(minor, CurrencyCode(currency_code)))
