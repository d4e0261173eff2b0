"""Refunds: never more than was captured, whoever asks at the same moment."""

from collections.abc import Sequence
from typing import Any

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.stripe_dialect import StripePage
from billplane.chassis.stripe_dialect.bodies import merged
from billplane.payment import repository
from billplane.payment.errors import (
    ChargeAlreadyRefunded,
    ChargeDisputed,
    ChargeNotCaptured,
    ChargeNotFound,
    RefundExceedsCharge,
    RefundNotCancelable,
    RefundNotFound,
)
from billplane.payment.models import ChargeRow, PaymentIntentRow, RefundRow
from billplane.payment.service import attempts, intents
from billplane.payment.service.outcomes import Done


async def create_refund(
    call: Call,
    *,
    intent_id: str = "",
    charge_id: str = "",
    amount_minor: int | None = None,
    reason: str = "",
    metadata: dict[str, str] | None = None,
) -> Done:
    """Give back what was captured, all that is left of it or a part.

    Raises: PaymentIntentNotFound, ChargeNotFound, ChargeNotCaptured, ChargeDisputed,
        ChargeAlreadyRefunded, RefundExceedsCharge, Invalid, ScopeMissing.
    Idempotent by: the request's key.
    """
    call.principal.require("refunds:write")
    async with call.writing() as tx:
        begun = await attempts.begun_by(tx, call)
        if begun is None:
            intent, charge = await _charge(tx, intent_id, charge_id)
            # Whoever was first with the same key has ended its transaction by now.
            begun = await attempts.begun_by(tx, call)
        if begun is None:
            amount = _amount(charge, amount_minor)
            if not await repository.take_from_charge(tx, charge.id, amount):
                raise _exceeds(charge)
            row = _add(tx, call, charge, amount, reason, metadata or {})
            await tx.session.flush()
            task = attempts.Task(
                "refund",
                amount,
                subject_id=row.id,
                reason=reason,
                request_key=attempts.request_key(call),
            )
            begun = await attempts.begin(tx, intent, task)
    return await attempts.drive(call, begun)


async def _charge(
    tx: Transaction, intent_id: str, charge_id: str
) -> tuple[PaymentIntentRow, ChargeRow]:
    """Return the charge that is to be refunded, its intent locked."""
    if not intent_id and not charge_id:
        raise Invalid(
            [
                FieldError(
                    "/payment_intent",
                    "FIELD_REQUIRED",
                    "One of the following params should be provided: payment_intent or charge.",
                )
            ]
        )
    if charge_id:
        known = await repository.charge(tx, charge_id)
        if known is None:
            raise ChargeNotFound(f"No such charge: '{charge_id}'", field="/charge")
        if intent_id and intent_id != known.payment_intent_id:
            raise Invalid(
                [FieldError("/charge", "PARAMETER_INVALID", "the charge is another intent's")]
            )
        intent_id = known.payment_intent_id
    intent = await intents.held_intent(tx, intent_id, lock=True)
    charge = await repository.charge(tx, charge_id or intent.latest_charge_id, lock=True)
    if charge is None or charge.status != "succeeded" or not charge.captured:
        raise ChargeNotCaptured(
            "This payment has no captured charge to refund.", field="/payment_intent"
        )
    if charge.disputed:
        raise ChargeDisputed("The charge is disputed; answer the dispute instead.")
    return intent, charge


def _amount(charge: ChargeRow, amount_minor: int | None) -> int:
    left = charge.amount_captured_minor - charge.amount_refunded_minor
    if left == 0:
        raise ChargeAlreadyRefunded(f"Charge {charge.id} has already been refunded.")
    if amount_minor is not None and amount_minor > left:
        raise _exceeds(charge)
    return amount_minor or left


def _exceeds(charge: ChargeRow) -> RefundExceedsCharge:
    left = charge.amount_captured_minor - charge.amount_refunded_minor
    return RefundExceedsCharge(
        f"Refund amount is greater than unrefunded amount on charge ({left}).", field="/amount"
    )


def _add(
    tx: Transaction,
    call: Call,
    charge: ChargeRow,
    amount_minor: int,
    reason: str,
    metadata: dict[str, str],
) -> RefundRow:
    row = RefundRow(
        tenant_id=tx.tenant_id,
        id=ids.new("re"),
        livemode=tx.livemode,
        charge_id=charge.id,
        payment_intent_id=charge.payment_intent_id,
        status="pending",
        amount_minor=amount_minor,
        currency_code=charge.currency_code,
        reason=reason,
        reference="",
        failure_reason="",
        tags={key: value for key, value in metadata.items() if value},
        request_key=attempts.request_key(call),
        created_at=tx.now,
    )
    tx.session.add(row)
    return row


async def get_refund(tx: ReadTransaction, refund_id: str) -> RefundRow:
    """Return a refund.

    Raises: RefundNotFound, ScopeMissing.
    """
    tx.authorize("refunds:read")
    row = await repository.refund(tx, refund_id)
    if row is None:
        raise RefundNotFound(f"No such refund: '{refund_id}'", field="/id")
    return row


async def list_refunds(
    tx: ReadTransaction, page: StripePage, intent_id: str, charge_id: str
) -> tuple[Sequence[RefundRow], bool]:
    """Return a page of refunds.

    Raises: ScopeMissing.
    """
    tx.authorize("refunds:read")
    return await repository.list_refunds(tx, page, intent_id, charge_id)


async def update_refund(tx: Transaction, refund_id: str, changes: dict[str, Any]) -> RefundRow:
    """Change a refund's metadata.

    Raises: RefundNotFound, ScopeMissing.
    """
    tx.authorize("refunds:write")
    row = await repository.refund(tx, refund_id, lock=True)
    if row is None:
        raise RefundNotFound(f"No such refund: '{refund_id}'", field="/id")
    if "metadata" in changes:
        row.tags = merged(row.tags, changes["metadata"])
    return row


async def cancel_refund(tx: Transaction, refund_id: str) -> RefundRow:
    """Refuse: a refund of a card is on its way as soon as it is asked for.

    Raises: RefundNotFound, RefundNotCancelable, ScopeMissing.
    """
    tx.authorize("refunds:write")
    await get_refund(tx, refund_id)
    raise RefundNotCancelable("A refund of a card cannot be canceled.")


async def get_charge(tx: ReadTransaction, charge_id: str) -> ChargeRow:
    """Return a charge.

    Raises: ChargeNotFound, ScopeMissing.
    """
    tx.authorize("charges:read")
    row = await repository.charge(tx, charge_id)
    if row is None:
        raise ChargeNotFound(f"No such charge: '{charge_id}'", field="/id")
    return row


async def list_charges(
    tx: ReadTransaction, page: StripePage, intent_id: str, customer_id: str
) -> tuple[Sequence[ChargeRow], bool]:
    """Return a page of charges.

    Raises: ScopeMissing.
    """
    tx.authorize("charges:read")
    return await repository.list_charges(tx, page, intent_id, customer_id)
