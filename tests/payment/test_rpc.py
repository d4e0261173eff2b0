"""Payments over gRPC, as billing_core and programs in the cluster use them."""

import json

import grpc
import pytest
from billplane.payment.providers.signatures import sign
from billplane.protos.payment.v1 import payment_pb2 as pb
from billplane.protos.payment.v1 import payment_pb2_grpc


@pytest.fixture
async def stub(shop):
    """Give a stub and the metadata of the shop's own calls."""
    async with shop.platform.channel() as channel:
        yield payment_pb2_grpc.PaymentServiceStub(channel)


def new(**more):
    values = {"amount_minor": 1000, "currency_code": "EUR", "payment_method_id": "pm_card_visa"}
    return pb.CreatePaymentIntentRequest(**{**values, "confirm": True, **more})


async def test_an_intent_is_paid_captured_and_refunded(shop, stub):
    mine = shop.platform.metadata(shop.tenant)
    made = (await stub.CreatePaymentIntent(new(request_id="a"), metadata=mine)).payment_intent
    assert (made.state, made.amount_received_minor) == ("succeeded", 1000)
    again = (await stub.CreatePaymentIntent(new(request_id="a"), metadata=mine)).payment_intent
    assert again.id == made.id
    part = await stub.RefundPayment(
        pb.RefundPaymentRequest(request_id="r", payment_intent_id=made.id, amount_minor=300),
        metadata=mine,
    )
    rest = await stub.RefundPayment(
        pb.RefundPaymentRequest(payment_intent_id=made.id), metadata=mine
    )
    assert (part.amount_minor, rest.amount_minor, rest.state) == (300, 700, "succeeded")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.RefundPayment(pb.RefundPaymentRequest(payment_intent_id=made.id), metadata=mine)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_decline_is_an_answer_and_not_an_error(shop, stub):
    mine = shop.platform.metadata(shop.tenant)
    card = "pm_card_visa_chargeDeclinedStolenCard"
    made = (
        await stub.CreatePaymentIntent(new(payment_method_id=card), metadata=mine)
    ).payment_intent
    assert (made.state, made.failure_code, made.decline_code) == (
        "requires_payment_method",
        "card_declined",
        "stolen_card",
    )
    request = pb.ConfirmPaymentIntentRequest(id=made.id, payment_method_id="pm_card_visa")
    done = (await stub.ConfirmPaymentIntent(request, metadata=mine)).payment_intent
    assert done.state == "succeeded"


async def test_a_top_up_says_which_wallet_it_fills(shop, stub):
    mine = shop.platform.metadata(shop.tenant)
    await stub.CreatePaymentIntent(new(top_up_wallet_id="wal_1"), metadata=mine)
    (fact,) = await shop.facts("payment.succeeded", 1)
    assert fact["top_up_wallet_id"] == "wal_1"


async def test_an_intent_is_found_and_given_up(shop, stub):
    mine = shop.platform.metadata(shop.tenant)
    made = (await stub.CreatePaymentIntent(new(confirm=False), metadata=mine)).payment_intent
    assert made.state == "requires_confirmation"
    gone = await stub.CancelPaymentIntent(
        pb.CancelPaymentIntentRequest(id=made.id, reason="abandoned"), metadata=mine
    )
    assert gone.payment_intent.state == "canceled"
    found = await stub.GetPaymentIntent(pb.GetPaymentIntentRequest(id=made.id), metadata=mine)
    assert found.payment_intent.state == "canceled"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (new(amount_minor=0), "amount_minor"),
        (new(amount_minor=-1), "amount_minor"),
        (new(amount_minor=2**62), "amount_minor"),
        (new(currency_code="XXZ"), "/currency"),
        (new(capture_method="later"), "capture_method"),
    ],
)
async def test_bad_fields_are_named(shop, stub, request_, field):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreatePaymentIntent(request_, metadata=shop.platform.metadata(shop.tenant))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field.encode() in dict(refused.value.trailing_metadata())["grpc-status-details-bin"]


async def test_a_forwarded_webhook_is_taken_from_services_only(shop, stub):
    runtime = shop.platform.platform.runtimes["payment"]
    runtime.state.processors["simulated"]._secret = "bank-secret,older-secret"
    await shop.paid()
    (row,) = await shop.query("SELECT reference FROM payment.charges WHERE tenant_id = $1")
    body = json.dumps({"id": "evt_rpc", "kind": "noise", "reference": row["reference"]}).encode()
    request = pb.ReceiveProcessorEventRequest(
        processor="simulated",
        body=body,
        signature=sign(body, "bank-secret", runtime.clock.now()),
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ReceiveProcessorEvent(request, metadata=shop.platform.metadata(shop.tenant))
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    service = shop.platform.metadata("ten_staff", subject="service:admin")
    first = await stub.ReceiveProcessorEvent(request, metadata=service)
    second = await stub.ReceiveProcessorEvent(request, metadata=service)
    assert (first.duplicate, second.duplicate) == (False, True)
