"""gRPC of billing_core, on the port that its clients know."""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from billplane.chassis.rpc import to_timestamp
from billplane.protos.billing_core.v1 import billing_core_pb2 as pb
from billplane.protos.billing_core.v1 import billing_core_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@pytest.fixture
async def stub(platform):
    address = f"127.0.0.1:{50052 + platform.port_offset}"
    async with grpc.aio.insecure_channel(address) as channel:
        yield billing_core_pb2_grpc.BillingServiceStub(channel)


async def _refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    info = error_details_pb2.ErrorInfo()
    for detail in rpc_status.from_call(refused.value).details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    return refused.value.code(), info.reason, dict(info.metadata)


def _of(customer, **fields):
    return {"customer_id": customer, "currency_code": "EUR", **fields}


async def test_reserve_commit_and_balance_by_customer_and_currency(platform, stub):
    metadata = platform.metadata("ten_bc_rpc")
    top_up = pb.TopUpRequest(**_of("c-1", amount_minor=500, manual_reason="cash", request_id="t"))
    topped = await stub.TopUp(top_up, metadata=metadata)
    assert topped.balance.posted_minor == 500
    ask = pb.ReserveRequest(
        **_of("c-1", amount_minor=300, ttl_seconds=60, reference="job-1", request_id="r")
    )
    held = await stub.Reserve(ask, metadata=metadata)
    assert (held.balance.posted_minor, held.balance.available_minor) == (500, 200)
    left = held.expires_at.ToDatetime(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(seconds=50) < left < timedelta(seconds=61)
    part = pb.CommitRequest(reservation_id=held.reservation_id, amount_minor=100, request_id="c1")
    took = await stub.Commit(part, metadata=metadata)
    assert took.remaining_minor == 200
    rest = pb.CommitRequest(reservation_id=held.reservation_id, request_id="c2")
    assert (await stub.Commit(rest, metadata=metadata)).remaining_minor == 0
    balance = (await stub.GetBalance(pb.GetBalanceRequest(**_of("c-1")), metadata=metadata)).balance
    assert (balance.posted_minor, balance.reserved_minor, balance.available_minor) == (200, 0, 200)
    asked = pb.GetReservationRequest(id=held.reservation_id)
    reservation = (await stub.GetReservation(asked, metadata=metadata)).reservation
    assert (reservation.state, reservation.committed_minor) == ("committed", 300)
    operation = await stub.GetOperation(
        pb.GetOperationRequest(id=took.operation_id), metadata=metadata
    )
    assert (operation.operation.kind, operation.operation.amount_minor) == ("commit", -100)
    assert operation.operation.reference == "job-1"
    # The same requests again have no second effect, and the same answers.
    assert await stub.TopUp(top_up, metadata=metadata) == topped
    assert await stub.Reserve(ask, metadata=metadata) == held
    assert await stub.Commit(part, metadata=metadata) == took
    listed = await stub.ListOperations(
        pb.ListOperationsRequest(wallet_id=balance.wallet_id), metadata=metadata
    )
    assert [item.kind for item in listed.operations] == ["commit", "commit", "top_up"]


async def test_refusals_have_their_code_and_reason(platform, stub):
    metadata = platform.metadata("ten_bc_rpc_refused")
    failed, missing = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    charge = pb.ChargeRequest(**_of("c-1", amount_minor=5))
    assert (await _refused(stub.Charge(charge, metadata=metadata)))[:2] == (
        missing,
        "WALLET_NOT_FOUND",
    )
    await stub.CreateWallet(pb.CreateWalletRequest(**_of("c-1")), metadata=metadata)
    code, reason, told = await _refused(stub.Charge(charge, metadata=metadata))
    assert (code, reason, told["available_minor"]) == (failed, "INSUFFICIENT_BALANCE", "0")
    commit = pb.CommitRequest(reservation_id="wrs_none")
    assert (await _refused(stub.Commit(commit, metadata=metadata)))[:2] == (
        missing,
        "RESERVATION_NOT_FOUND",
    )
    await stub.CreateWallet(
        pb.CreateWalletRequest(**_of("c-1") | {"currency_code": "USD"}), metadata=metadata
    )
    yen = pb.ReserveRequest(**_of("c-1", amount_minor=5) | {"currency_code": "JPY"})
    assert (await _refused(stub.Reserve(yen, metadata=metadata)))[:2] == (
        failed,
        "CURRENCY_MISMATCH",
    )
    for request in (
        pb.ChargeRequest(**_of("c-1")),
        pb.ChargeRequest(**_of("c-1", amount_minor=-5)),
        pb.ChargeRequest(customer_id="c-1", amount_minor=5),
        pb.ChargeRequest(currency_code="EUR", amount_minor=5),
        pb.ChargeRequest(**_of("c-1", amount_minor=5) | {"currency_code": "EURO"}),
    ):
        assert (await _refused(stub.Charge(request, metadata=metadata)))[0] == invalid
    for request in (
        pb.TopUpRequest(**_of("c-1", amount_minor=5)),
        pb.TopUpRequest(**_of("c-1", amount_minor=5, manual_reason="a", payment_intent_id="b")),
        pb.TopUpRequest(**_of("c-1", manual_reason="a")),
    ):
        assert (await _refused(stub.TopUp(request, metadata=metadata)))[0] == invalid
    ended = pb.GrantCreditRequest(
        **_of("c-1", amount_minor=5, kind="promotional"),
        expires_at=to_timestamp(datetime(2020, 1, 1, tzinfo=UTC)),
    )
    assert (await _refused(stub.GrantCredit(ended, metadata=metadata)))[1] == "TIME_OUT_OF_RANGE"


async def test_a_partial_charge_takes_what_there_is_and_settles_an_invoice(platform, stub):
    tenant = "ten_bc_rpc_partial"
    metadata = platform.metadata(tenant, subject="service:payment")
    charge = pb.ChargeRequest(
        **_of("c-1", amount_minor=500, partial=True, invoice_id="inv_1", request_id="a")
    )
    none = await stub.Charge(charge, metadata=metadata)
    assert (none.operation_id, none.charged_minor) == ("", 0)
    grant = pb.GrantCreditRequest(**_of("c-1", amount_minor=120, kind="promotional"))
    await stub.GrantCredit(grant, metadata=metadata)
    assert await stub.Charge(charge, metadata=metadata) == none
    charge.request_id = "b"
    took = await stub.Charge(charge, metadata=metadata)
    assert (took.charged_minor, took.balance.available_minor) == (120, 0)
    assert await stub.Charge(charge, metadata=metadata) == took
    charge.request_id = "c"
    assert (await stub.Charge(charge, metadata=metadata)).operation_id == ""
    account = await platform.request(
        "GET", "/v1/ledger/accounts/receivables:EUR", headers=platform.headers(tenant), expect=200
    )
    assert account["balance_minor"] == -120
    charge.request_id = "d"
    key = platform.metadata(tenant, subject="key:k")
    assert (await _refused(stub.Charge(charge, metadata=key)))[1] == "INTERNAL_ONLY"
    refund = pb.RefundOperationRequest(operation_id=took.operation_id)
    refused = await _refused(stub.RefundOperation(refund, metadata=key))
    assert refused[1] == "OPERATION_NOT_REFUNDABLE"
    back = await stub.RefundOperation(refund, metadata=metadata)
    assert back.balance.available_minor == 120
    assert [item.remaining_minor for item in back.balance.credits] == [120]


async def test_fifty_equal_calls_have_one_effect(platform, stub):
    metadata = platform.metadata("ten_bc_rpc_fifty")
    top_up = pb.TopUpRequest(**_of("c-1", amount_minor=100, manual_reason="cash", request_id="t"))
    answers = await asyncio.gather(
        *(stub.TopUp(top_up, metadata=metadata) for _ in range(50)), return_exceptions=True
    )
    done = [item for item in answers if isinstance(item, pb.TopUpResponse)]
    assert done
    assert all(item == done[0] for item in done)
    others = {item.code() for item in answers if not isinstance(item, pb.TopUpResponse)}
    assert others <= {grpc.StatusCode.ABORTED}
    assert (await stub.TopUp(top_up, metadata=metadata)).balance.posted_minor == 100
    balance = await stub.GetBalance(pb.GetBalanceRequest(**_of("c-1")), metadata=metadata)
    assert balance.balance.posted_minor == 100


async def test_prices_and_other_currencies_are_charged_and_given_back_exactly(platform, stub):
    tenant = "ten_bc_rpc_prices"
    headers, metadata = platform.headers(tenant), platform.metadata(tenant)

    async def make(path, body, expect=201):
        return await platform.request("POST", path, json=body, headers=headers, expect=expect)

    meter = {"eventType": "call", "aggregation": "Sum", "valueProperty": "$.n"}
    await make("/v1/meters", {"name": "calls", "spec": meter})
    model = {"perUnit": {"unitAmount": "0.05"}}
    spec = {
        "displayName": "Pro",
        "currency": "EUR",
        "interval": {"unit": "Month", "anchor": "Calendar"},
        "charges": [{"name": "calls", "usage": {"meter": "calls", "model": model}}],
    }
    await make("/v1/plans", {"name": "pro", "spec": spec})
    rates = [{"quote": "USD", "rate": "1.25", "asOf": f"{datetime.now(UTC):%Y-%m-%d}"}]
    feed = {"base": "EUR", "currencies": ["USD"], "source": {"static": {"rates": rates}}}
    await make("/v1/exchange_rate_feeds", {"name": "manual", "spec": feed})
    await make("/v1/exchange_rate_feeds/manual:refresh", {}, 200)
    top_up = pb.TopUpRequest(
        customer_id="c-1", currency_code="USD", amount_minor=1000, manual_reason="cash"
    )
    await stub.TopUp(top_up, metadata=metadata)
    price = pb.Price(plan="pro", meter="calls", quantity="101")
    charge = pb.ChargeRequest(customer_id="c-1", price=price, request_id="x")
    took = await stub.Charge(charge, metadata=metadata)
    # 101 × 0.05 EUR = 5.05 EUR, × 1.25 = 6.3125 USD
    assert (took.charged_minor, took.balance.available_minor) == (505, 1000 - 631)
    assert took.rate_id
    found = (
        await stub.GetOperation(pb.GetOperationRequest(id=took.operation_id), metadata=metadata)
    ).operation
    assert (found.amount_minor, found.currency_code) == (-631, "USD")
    assert (found.charged_minor, found.charged_currency_code) == (505, "EUR")
    assert found.rate_id == took.rate_id

    async def account(name):
        path = f"/v1/ledger/accounts/{name}"
        return (await platform.request("GET", path, headers=headers, expect=200))["balance_minor"]

    assert await account("revenue:EUR") == 505
    assert await account("fx_clearing:USD") == -631
    assert await account("fx_clearing:EUR") == 505
    for part in (1, 300, 0):
        refund = pb.RefundOperationRequest(operation_id=took.operation_id, amount_minor=part)
        await stub.RefundOperation(refund, metadata=metadata)
    for name in ("revenue:EUR", "fx_clearing:USD", "fx_clearing:EUR"):
        assert await account(name) == 0
    hold = pb.ReserveRequest(customer_id="c-1", price=price)
    held = await stub.Reserve(hold, metadata=metadata)
    assert held.balance.reserved_minor == 631
    final = pb.CommitRequest(reservation_id=held.reservation_id, amount_minor=31, final=True)
    assert (await stub.Commit(final, metadata=metadata)).balance.available_minor == 969
