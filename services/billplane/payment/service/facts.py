"""What payment tells the others, in the transaction in which it happens."""

from datetime import datetime

from billplane.chassis.database import Transaction
from billplane.chassis.rpc import to_timestamp
from billplane.payment.domain import Failure
from billplane.payment.models import ChargeRow, DisputeRow, PaymentIntentRow, RefundRow
from billplane.payment.service.objects import (
    as_json,
    charge_object,
    dispute_object,
    intent_object,
    refund_object,
)
from billplane.protos.payment.v1 import events_pb2

CREDIT_NOTE_TAG = "billplane_credit_note_id"

_OF_INTENT = {
    "created": events_pb2.PaymentIntentCreated,
    "action_required": events_pb2.PaymentIntentActionRequired,
    "canceled": events_pb2.PaymentIntentCanceled,
}


async def tell_intent(tx: Transaction, what: str, row: PaymentIntentRow) -> None:
    """Tell that an intent was created, waits for its payer, or was given up."""
    fact = _OF_INTENT[what](
        payment_intent_id=row.id,
        customer_id=row.customer_id,
        invoice_id=row.invoice_id,
        currency_code=row.currency_code,
        amount_minor=row.amount_minor,
        object_json=as_json(intent_object(row)),
    )
    await tx.publish(fact, aggregate_id=row.id)


async def tell_success(
    tx: Transaction, row: PaymentIntentRow, charge: ChargeRow, at: datetime
) -> None:
    """Tell that money came in."""
    fact = events_pb2.PaymentSucceeded(
        payment_intent_id=row.id,
        charge_id=charge.id,
        customer_id=row.customer_id,
        invoice_id=row.invoice_id,
        processor=row.processor,
        currency_code=row.currency_code,
        amount_minor=charge.amount_captured_minor,
        fee_minor=charge.fee_minor,
        object_json=as_json(intent_object(row)),
        charge_json=as_json(charge_object(charge)),
        succeeded_at=to_timestamp(at),
        top_up_wallet_id=row.top_up_wallet_id,
    )
    await tx.publish(fact, aggregate_id=row.id)


async def tell_failure(
    tx: Transaction,
    row: PaymentIntentRow,
    charge_id: str,
    failure: Failure,
    next_attempt_at: datetime | None,
) -> None:
    """Tell that an attempt was declined."""
    fact = events_pb2.PaymentFailed(
        payment_intent_id=row.id,
        charge_id=charge_id,
        customer_id=row.customer_id,
        invoice_id=row.invoice_id,
        processor=row.processor,
        currency_code=row.currency_code,
        amount_minor=row.amount_minor,
        failure_code=failure.code,
        decline_code=failure.decline_code,
        failure_message=failure.message,
        object_json=as_json(intent_object(row)),
        next_attempt_at=to_timestamp(next_attempt_at),
    )
    await tx.publish(fact, aggregate_id=row.id)


async def tell_refund(
    tx: Transaction, refund: RefundRow, charge: ChargeRow, intent: PaymentIntentRow
) -> None:
    """Tell that money went back."""
    fact = events_pb2.RefundSucceeded(
        refund_id=refund.id,
        payment_intent_id=intent.id,
        charge_id=charge.id,
        customer_id=intent.customer_id,
        invoice_id=intent.invoice_id,
        processor=charge.processor,
        currency_code=refund.currency_code,
        amount_minor=refund.amount_minor,
        reason=refund.reason,
        object_json=as_json(refund_object(refund)),
        charge_json=as_json(charge_object(charge)),
        credit_note_id=refund.tags.get(CREDIT_NOTE_TAG, ""),
    )
    await tx.publish(fact, aggregate_id=intent.id)


async def tell_dispute_opened(
    tx: Transaction, dispute: DisputeRow, charge: ChargeRow, intent: PaymentIntentRow
) -> None:
    """Tell that a payer's bank took the money until it decides."""
    fact = events_pb2.DisputeOpened(
        dispute_id=dispute.id,
        payment_intent_id=intent.id,
        charge_id=charge.id,
        customer_id=intent.customer_id,
        invoice_id=intent.invoice_id,
        processor=charge.processor,
        currency_code=dispute.currency_code,
        amount_minor=dispute.amount_minor,
        fee_minor=dispute.fee_minor,
        reason=dispute.reason,
        object_json=as_json(dispute_object(dispute)),
    )
    await tx.publish(fact, aggregate_id=intent.id)


async def tell_dispute_closed(
    tx: Transaction, dispute: DisputeRow, charge: ChargeRow, intent: PaymentIntentRow
) -> None:
    """Tell how a dispute was decided."""
    fact = events_pb2.DisputeClosed(
        dispute_id=dispute.id,
        payment_intent_id=intent.id,
        charge_id=charge.id,
        customer_id=intent.customer_id,
        invoice_id=intent.invoice_id,
        processor=charge.processor,
        currency_code=dispute.currency_code,
        amount_minor=dispute.amount_minor,
        outcome=dispute.status,
        object_json=as_json(dispute_object(dispute)),
    )
    await tx.publish(fact, aggregate_id=intent.id)
