"""gRPC of payment."""

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rpc import Rpc, to_timestamp
from billplane.payment.models import PaymentIntentRow
from billplane.payment.service import (
    captures,
    collections,
    intents,
    processor_events,
    refunds,
    requests,
)
from billplane.payment.service.facts import CREDIT_NOTE_TAG
from billplane.payment.service.intents import Confirmation, NewIntent
from billplane.payment.service.methods import NewMethod
from billplane.payment.service.outcomes import Done
from billplane.protos.payment.v1 import payment_pb2 as pb

rpc = Rpc(pb.DESCRIPTOR.services_by_name["PaymentService"])
AMOUNT_MAX = 999_999_999_999
_CAPTURE_METHODS = ("", "automatic", "manual")


@rpc.steps
async def CreatePaymentIntent(
    call: Call, request: pb.CreatePaymentIntentRequest
) -> pb.CreatePaymentIntentResponse:
    """Make an intent."""
    if not 0 < request.amount_minor <= AMOUNT_MAX:
        raise _invalid("amount_minor", f"must be 1 to {AMOUNT_MAX}")
    if request.capture_method not in _CAPTURE_METHODS:
        raise _invalid("capture_method", "must be automatic or manual")
    new = NewIntent(
        amount_minor=request.amount_minor,
        currency_code=request.currency_code,
        customer=request.customer_id,
        method=_method(request.payment_method_id),
        capture_method=request.capture_method,
        metadata=dict(request.metadata),
        top_up_wallet_id=request.top_up_wallet_id,
        confirmation=Confirmation(off_session=request.off_session) if request.confirm else None,
    )
    done = await intents.create_intent(call, new)
    return pb.CreatePaymentIntentResponse(payment_intent=_intent(done))


@rpc.steps
async def ConfirmPaymentIntent(
    call: Call, request: pb.ConfirmPaymentIntentRequest
) -> pb.ConfirmPaymentIntentResponse:
    """Try to collect an intent."""
    how = Confirmation(_method(request.payment_method_id), off_session=request.off_session)
    done = await intents.confirm_intent(call, request.id, how)
    return pb.ConfirmPaymentIntentResponse(payment_intent=_intent(done))


@rpc.read
async def GetPaymentIntent(
    tx: ReadTransaction, request: pb.GetPaymentIntentRequest
) -> pb.GetPaymentIntentResponse:
    """Return one intent."""
    row = await intents.get_intent(tx, request.id)
    return pb.GetPaymentIntentResponse(payment_intent=_intent(row))


@rpc.steps
async def CancelPaymentIntent(
    call: Call, request: pb.CancelPaymentIntentRequest
) -> pb.CancelPaymentIntentResponse:
    """Give an intent up."""
    done = await captures.cancel_intent(call, request.id, request.reason[:100])
    return pb.CancelPaymentIntentResponse(payment_intent=_intent(done))


@rpc.steps
async def RefundPayment(call: Call, request: pb.RefundPaymentRequest) -> pb.RefundPaymentResponse:
    """Give money back."""
    if not 0 <= request.amount_minor <= AMOUNT_MAX:
        raise _invalid("amount_minor", f"must be 0 to {AMOUNT_MAX}")
    intent_id, tags = request.payment_intent_id, dict(request.metadata)
    if request.invoice_id:
        async with call.reading() as tx:
            intent_id = (await requests.collection_of(tx, request.invoice_id)).row.payment_intent_id
    if request.credit_note_id:
        call.principal.require_internal()
        tags[CREDIT_NOTE_TAG] = request.credit_note_id
    done = await refunds.create_refund(
        call,
        intent_id=intent_id,
        amount_minor=request.amount_minor or None,
        reason=request.reason[:100],
        metadata=tags,
    )
    refund = done.refund
    if refund is None:
        return pb.RefundPaymentResponse()
    return pb.RefundPaymentResponse(
        refund_id=refund.id,
        state=refund.status,
        amount_minor=refund.amount_minor,
        currency_code=refund.currency_code,
    )


@rpc.steps
async def CollectInvoice(
    call: Call, request: pb.CollectInvoiceRequest
) -> pb.CollectInvoiceResponse:
    """Collect an issued invoice now."""
    done = await requests.collect_now(call, request.invoice_id)
    intent = _intent(done.intent) if done.intent is not None else pb.PaymentIntent()
    return pb.CollectInvoiceResponse(
        state=done.state,
        payment_intent_id=intent.id,
        left_minor=collections.left(done.row),
        failure_code=intent.failure_code,
        decline_code=intent.decline_code,
        next_action_url=intent.next_action_url,
    )


@rpc.read
async def GetCollection(
    tx: ReadTransaction, request: pb.GetCollectionRequest
) -> pb.GetCollectionResponse:
    """Return what was collected of an invoice, and what of it can go back."""
    found = await requests.collection_of(tx, request.invoice_id)
    return pb.GetCollectionResponse(
        state=found.row.state,
        payment_intent_id=found.row.payment_intent_id,
        collected_minor=found.row.collected_minor,
        credit_minor=found.row.credit_minor,
        refundable_minor=found.refundable_minor,
    )


@rpc.steps
async def ReceiveProcessorEvent(
    call: Call, request: pb.ReceiveProcessorEventRequest
) -> pb.ReceiveProcessorEventResponse:
    """Take in what a processor's webhook sent, for those who forward it."""
    call.principal.require_internal()
    received = await processor_events.receive(
        call.runtime, request.processor, request.body, request.signature
    )
    return pb.ReceiveProcessorEventResponse(
        processor_event_id=received.event_id, duplicate=received.duplicate
    )


def _method(method_id: str) -> NewMethod | None:
    return NewMethod(method_id) if method_id else None


def _invalid(field: str, detail: str) -> Invalid:
    return Invalid([FieldError(field, "FIELD_INVALID", detail)])


def _intent(done: Done | PaymentIntentRow) -> pb.PaymentIntent:
    row = done if isinstance(done, PaymentIntentRow) else done.intent
    error = row.last_error or {}
    action = (row.next_action or {}).get("redirect_to_url") or {}
    return pb.PaymentIntent(
        id=row.id,
        state=row.state,
        amount_minor=row.amount_minor,
        amount_capturable_minor=row.amount_capturable_minor,
        amount_received_minor=row.amount_received_minor,
        currency_code=row.currency_code,
        customer_id=row.customer_id,
        payment_method_id=row.payment_method_id,
        capture_method=row.capture_method,
        invoice_id=row.invoice_id,
        processor=row.processor,
        latest_charge_id=row.latest_charge_id,
        failure_code=str(error.get("code") or ""),
        decline_code=str(error.get("decline_code") or ""),
        client_secret=row.client_secret,
        next_action_url=str(action.get("url") or ""),
        metadata=row.tags,
        created_at=to_timestamp(row.created_at),
    )
