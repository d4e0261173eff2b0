"""gRPC of ledger."""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from billplane.chassis.rpc import to_timestamp
from billplane.protos.ledger.v1 import ledger_pb2 as pb
from billplane.protos.ledger.v1 import ledger_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

ASSET, DEBIT, CREDIT = pb.ACCOUNT_TYPE_ASSET, pb.DIRECTION_DEBIT, pb.DIRECTION_CREDIT


@pytest.fixture
async def stub(platform):
    address = f"127.0.0.1:{50052 + platform.port_offset}"
    async with grpc.aio.insecure_channel(address) as channel:
        yield ledger_pb2_grpc.LedgerServiceStub(channel)


async def _pair(stub, metadata):
    made = []
    for name in ("a", "b"):
        request = pb.CreateAccountRequest(
            name=name,
            type=ASSET,
            currency_code="EUR",
            allow_negative=True,
            request_id=f"open-{name}",
        )
        made.append((await stub.CreateAccount(request, metadata=metadata)).account.id)
    return made


def _legs(source, target, amount):
    return [
        pb.Posting(account_id=target, direction=DEBIT, amount_minor=amount),
        pb.Posting(account_id=source, direction=CREDIT, amount_minor=amount),
    ]


async def _reason(call):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    info = error_details_pb2.ErrorInfo()
    for detail in rpc_status.from_call(refused.value).details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    return refused.value.code(), info.reason


async def test_a_transaction_answers_with_its_id_and_the_balances_after_it(platform, stub):
    metadata = platform.metadata("ten_ledger_rpc")
    source, target = await _pair(stub, metadata)
    request = pb.RecordTransactionRequest(
        postings=_legs(source, target, 7), currency_code="EUR", request_id="r1", external_id="x"
    )
    made = await stub.RecordTransaction(request, metadata=metadata)
    assert made.transaction.state == pb.TRANSACTION_STATE_POSTED
    assert {item.account_id: item.balance_minor for item in made.balances} == {
        target: 7,
        source: -7,
    }
    again = await asyncio.gather(
        *(stub.RecordTransaction(request, metadata=metadata) for _ in range(20))
    )
    assert all(item == made for item in again)
    asked = pb.GetBalanceRequest(account_id=target)
    balance = (await stub.GetBalance(asked, metadata=metadata)).balance
    assert (balance.balance_minor, balance.available_minor, balance.entry_count) == (7, 7, 1)
    asked.at.CopyFrom(to_timestamp(datetime(2020, 1, 1, tzinfo=UTC)))
    assert (await stub.GetBalance(asked, metadata=metadata)).balance.balance_minor == 0
    found = await stub.GetTransaction(pb.GetTransactionRequest(id="x"), metadata=metadata)
    assert found.transaction == made.transaction


async def test_many_transactions_have_a_result_each(platform, stub):
    metadata = platform.metadata("ten_ledger_many")
    source, target = await _pair(stub, metadata)
    good = pb.NewTransaction(postings=_legs(source, target, 1), currency_code="EUR")
    uneven = pb.NewTransaction(postings=_legs(source, target, 1), currency_code="EUR")
    uneven.postings[0].amount_minor = 2
    short = pb.NewTransaction(postings=_legs(source, "none", 1), currency_code="EUR")
    empty = pb.NewTransaction(currency_code="EUR")
    named = pb.NewTransaction(
        postings=_legs(source, target, 1), currency_code="EUR", external_id="one"
    )
    request = pb.PostTransactionsRequest(
        request_id="batch",
        transactions=[good, uneven, good, short, empty, named, named],
    )
    answer = await stub.PostTransactions(request, metadata=metadata)
    assert [result.reason for result in answer.results] == [
        "",
        "TRANSACTION_UNBALANCED",
        "",
        "ACCOUNT_UNKNOWN",
        "FIELD_INVALID",
        "",
        "EXTERNAL_ID_REUSED",
    ]
    assert await stub.PostTransactions(request, metadata=metadata) == answer
    listed = await stub.ListTransactions(pb.ListTransactionsRequest(), metadata=metadata)
    assert [item.id for item in reversed(listed.transactions)] == [
        result.transaction_id for result in answer.results if not result.reason
    ]


async def test_a_hold_is_committed_released_and_reversed(platform, stub):
    metadata = platform.metadata("ten_ledger_rpc_hold")
    source, target = await _pair(stub, metadata)
    request = pb.HoldTransactionRequest(
        postings=_legs(source, target, 10),
        currency_code="EUR",
        expires_at=to_timestamp(datetime.now(UTC) + timedelta(hours=1)),
    )
    hold = (await stub.HoldTransaction(request, metadata=metadata)).transaction
    assert (hold.state, hold.remaining_minor) == (pb.TRANSACTION_STATE_PENDING, 10)
    commit = pb.CommitHoldRequest(id=hold.id, amount_minor=4, request_id="c1")
    done = await stub.CommitHold(commit, metadata=metadata)
    assert await stub.CommitHold(commit, metadata=metadata) == done
    assert (done.hold.committed_minor, done.hold.remaining_minor) == (4, 6)
    over = pb.CommitHoldRequest(id=hold.id, amount_minor=7)
    code, reason = await _reason(stub.CommitHold(over, metadata=metadata))
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HOLD_EXCEEDED")
    released = await stub.ReleaseHold(pb.ReleaseHoldRequest(id=hold.id), metadata=metadata)
    assert released.hold.state == pb.TRANSACTION_STATE_VOIDED
    undo = pb.ReverseRequest(id=done.transaction.id)
    undone = await stub.Reverse(undo, metadata=metadata)
    assert [item.balance_minor for item in undone.balances] == [0, 0]
    assert await _reason(stub.Reverse(undo, metadata=metadata)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ALREADY_REVERSED",
    )
    entries = await stub.ListEntries(pb.ListEntriesRequest(account_id=source), metadata=metadata)
    assert [entry.phase for entry in entries.entries] == [
        pb.PHASE_POSTED,
        pb.PHASE_RELEASED,
        pb.PHASE_RELEASED,
        pb.PHASE_POSTED,
        pb.PHASE_PENDING,
    ]


async def test_what_is_missing_or_wrong_is_told_by_its_reason(platform, stub):
    metadata = platform.metadata("ten_ledger_rpc_bad")
    source, target = await _pair(stub, metadata)
    cases = [
        (stub.GetAccount(pb.GetAccountRequest(id="x"), metadata=metadata), "ACCOUNT_NOT_FOUND"),
        (stub.CommitHold(pb.CommitHoldRequest(id="x"), metadata=metadata), "TRANSACTION_NOT_FOUND"),
        (stub.CreateAccount(pb.CreateAccountRequest(name="x"), metadata=metadata), "FIELD_INVALID"),
        (
            stub.HoldTransaction(
                pb.HoldTransactionRequest(
                    postings=_legs(source, target, 1),
                    currency_code="EUR",
                    expires_at=to_timestamp(datetime(2020, 1, 1, tzinfo=UTC)),
                ),
                metadata=metadata,
            ),
            "TIME_OUT_OF_RANGE",
        ),
    ]
    for call, reason in cases:
        assert (await _reason(call))[1] == reason
    reading = platform.metadata("ten_ledger_rpc_bad", scopes=("ledger:read",))
    request = pb.RecordTransactionRequest(postings=_legs(source, target, 1), currency_code="EUR")
    code, reason = await _reason(stub.RecordTransaction(request, metadata=reading))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")
