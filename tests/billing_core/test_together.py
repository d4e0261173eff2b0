"""Many who reserve and commit at the same time share transactions, and nothing else."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
import grpc
import pytest
from billplane.protos.billing_core.v1 import billing_core_pb2 as pb
from billplane.protos.billing_core.v1 import billing_core_pb2_grpc

from tests.billing_core.purse import Purse
from tests.billing_core.test_kills import SERVICES, _until_it_dies
from tests.fixtures.platform import running

PORT = 50052
KILLED = "ten_bc_together_kills"


@pytest.fixture
async def stub(platform):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{PORT + platform.port_offset}") as channel:
        yield billing_core_pb2_grpc.BillingServiceStub(channel)


async def _opened(platform, tenant, amount):
    purse = Purse(platform, tenant)
    await purse.open()
    await purse.top_up(amount)
    return purse


def _reserve(wallet, amount, key=""):
    return pb.ReserveRequest(
        wallet_id=wallet, currency_code="EUR", amount_minor=amount, request_id=key
    )


async def _all(calls):
    """Return what was answered, and the code where something was refused."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    return [item.code() if isinstance(item, grpc.aio.AioRpcError) else item for item in found]


async def test_one_that_is_refused_leaves_the_others_as_they_are(platform, stub):
    tenant = "ten_bc_together_refused"
    rich, poor = [await _opened(platform, tenant, amount) for amount in (1000, 25)]
    metadata = platform.metadata(tenant)
    answers = await _all(
        stub.Reserve(_reserve(wallet, 10, f"{wallet}-{number}"), metadata=metadata)
        for number in range(8)
        for wallet in (rich.id, poor.id, "wal_nobody")
    )
    failed, missing = grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND
    held = [item for item in answers if isinstance(item, pb.ReserveResponse)]
    assert (len(held), answers.count(failed), answers.count(missing)) == (10, 6, 8)
    assert await rich.balance() == (1000, 80, 920)
    assert await poor.balance() == (25, 20, 5)
    commits = [
        pb.CommitRequest(reservation_id=item.reservation_id, request_id=f"c-{item.reservation_id}")
        for item in held
    ]
    # Each twice under its key, and once more under another: that one finds nothing to take.
    others = [pb.CommitRequest(reservation_id=item.reservation_id) for item in held]
    taken = await _all(stub.Commit(item, metadata=metadata) for item in commits * 2)
    assert taken[:10] == taken[10:]
    assert set(await _all(stub.Commit(one, metadata=metadata) for one in others)) == {failed}
    assert await rich.balance() == (920, 0, 920)
    assert await rich.books() == (920, 0)
    assert await poor.books() == (5, 0)


async def test_a_key_belongs_to_one_request_whatever_it_asked_for(platform, stub):
    tenant = "ten_bc_together_keys"
    purse = await _opened(platform, tenant, 100)
    metadata = platform.metadata(tenant)
    same = [stub.Reserve(_reserve(purse.id, 10, "k"), metadata=metadata) for _ in range(12)]
    answers = await _all(same)
    assert all(item == answers[0] for item in answers)
    assert await purse.balance() == (100, 10, 90)
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    charge = pb.ChargeRequest(wallet_id=purse.id, amount_minor=1, currency_code="EUR")
    charge.request_id = "k"
    open_ = pb.CreateWalletRequest(customer_id="x", currency_code="EUR", request_id="k")
    again = stub.Reserve(_reserve(purse.id, 11, "k"), metadata=metadata)
    refused = [stub.Charge(charge, metadata=metadata), stub.CreateWallet(open_, metadata=metadata)]
    assert await _all([again, *refused]) == [invalid] * 3
    # And the other way round.
    open_.request_id = "w"
    await stub.CreateWallet(open_, metadata=metadata)
    assert await _all([stub.Reserve(_reserve(purse.id, 5, "w"), metadata=metadata)]) == [invalid]
    assert await purse.balance() == (100, 10, 90)


async def test_what_many_had_begun_when_the_process_died_is_there_once(make_stores):
    stores = await make_stores()
    async with running(stores, SERVICES) as platform:
        purse = await _opened(platform, KILLED, 1000)
        wallet, headers = purse.id, platform.headers(KILLED)
    answered = {}

    async def work(client):
        port = urlsplit(client.url).port - 8080 + PORT
        metadata = [("authorization", headers["Authorization"])]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            core = billing_core_pb2_grpc.BillingServiceStub(channel)

            async def reserve(number):
                key = f"k-{number}"
                answered[key] = await core.Reserve(_reserve(wallet, 10, key), metadata=metadata)

            await asyncio.gather(*(reserve(number) for number in range(20)), return_exceptions=True)

    await _until_it_dies(stores, headers, "billing_core.before_completion_ends:2", work)
    assert len(answered) < 20
    async with running(stores, SERVICES) as platform:
        purse = Purse(platform, KILLED)
        purse.id = wallet
        assert await platform.violations() == []
        async with grpc.aio.insecure_channel(f"127.0.0.1:{PORT + platform.port_offset}") as channel:
            core = billing_core_pb2_grpc.BillingServiceStub(channel)
            for number in range(20):
                key = f"k-{number}"
                again = await core.Reserve(
                    _reserve(wallet, 10, key), metadata=platform.metadata(KILLED)
                )
                assert answered.get(key, again) == again
        assert await purse.balance() == (1000, 200, 800)
        assert await purse.books() == (1000, 200)
        connection = await asyncpg.connect(stores.admin_url)
        stored = await connection.fetchval("SELECT count(*) FROM billing_core.reservations")
        await connection.close()
        assert stored == 20
