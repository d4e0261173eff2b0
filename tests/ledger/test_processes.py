"""Many workers on several processes: no money appears, none is lost, nobody overspends."""

import asyncio
import random

import asyncpg
import grpc
from billplane.chassis.invariants import check
from billplane.protos.ledger.v1 import ledger_pb2 as pb
from billplane.protos.ledger.v1 import ledger_pb2_grpc

from tests.fixtures.platform import running
from tests.ledger.books import Books
from tests.ledger.processes import serving

TENANT = "ten_workers"
PROCESSES, WORKERS, TRANSFERS, ACCOUNTS = 3, 20, 500, 80
AT_ONCE, OPENING = 10, 1_000


async def _open(stores):
    async with running(stores, ("ledger",)) as platform:
        books = Books(platform, TENANT)
        funding = await books.open("funding", allow_negative=True)
        accounts = [await books.open(f"account {number}") for number in range(ACCOUNTS)]
        for account in accounts:
            await books.move(funding, account, OPENING)
        return accounts, platform.metadata(TENANT)


class Worker:
    """Sends its transfers and keeps what it was told of them."""

    def __init__(self, number, stub, accounts, metadata):
        self.chance = random.Random(number)
        self.number, self.stub, self.accounts, self.metadata = number, stub, accounts, metadata
        self.recorded, self.refused = {}, 0

    async def work(self):
        for call in range(TRANSFERS // AT_ONCE):
            sent = [self._transfer() for _ in range(AT_ONCE)]
            request = pb.PostTransactionsRequest(
                request_id=f"w{self.number}-{call}", transactions=[new for new, _ in sent]
            )
            answer = await self.stub.PostTransactions(request, metadata=self.metadata, timeout=60)
            for (_, move), result in zip(sent, answer.results, strict=True):
                if result.reason:
                    assert result.reason == "INSUFFICIENT_FUNDS", result
                    self.refused += 1
                else:
                    self.recorded[result.transaction_id] = move

    def _transfer(self):
        source, target = self.chance.sample(self.accounts, 2)
        amount = self.chance.randint(1, 300)
        legs = [
            pb.Posting(account_id=target, direction=pb.DIRECTION_DEBIT, amount_minor=amount),
            pb.Posting(account_id=source, direction=pb.DIRECTION_CREDIT, amount_minor=amount),
        ]
        new = pb.NewTransaction(postings=legs, currency_code="EUR")
        return new, (source, target, amount)


async def _sent(stores, accounts, metadata):
    async with serving(stores) as one, serving(stores) as two, serving(stores) as three:
        channels = [grpc.aio.insecure_channel(served.grpc_address) for served in (one, two, three)]
        stubs = [ledger_pb2_grpc.LedgerServiceStub(channel) for channel in channels]
        workers = [
            Worker(number, stubs[number % PROCESSES], accounts, metadata)
            for number in range(WORKERS)
        ]
        await asyncio.gather(*(worker.work() for worker in workers))
        for channel in channels:
            await channel.close()
        return workers


async def test_twenty_workers_on_three_processes_lose_no_cent_between_eighty_accounts(make_stores):
    stores = await make_stores()
    accounts, metadata = await _open(stores)
    workers = await _sent(stores, accounts, metadata)
    recorded = {id_: move for worker in workers for id_, move in worker.recorded.items()}
    refused = sum(worker.refused for worker in workers)
    assert len(recorded) + refused == WORKERS * TRANSFERS
    assert refused > 0
    expected = dict.fromkeys(accounts, OPENING)
    for source, target, amount in recorded.values():
        expected[source] -= amount
        expected[target] += amount
    connection = await asyncpg.connect(stores.admin_url)
    held = await connection.fetch(
        "SELECT id, posted_minor FROM ledger.accounts WHERE id = ANY ($1)", accounts
    )
    assert {row["id"]: row["posted_minor"] for row in held} == expected
    assert sum(expected.values()) == ACCOUNTS * OPENING
    assert min(expected.values()) >= 0
    stored = await connection.fetch("SELECT id FROM ledger.transactions")
    assert set(recorded) <= {row["id"] for row in stored}
    assert len(stored) == len(recorded) + ACCOUNTS
    batches = await connection.fetchrow(
        "SELECT count(*) AS count, count(DISTINCT writer) AS writers FROM ledger.batches"
    )
    assert batches["writers"] == PROCESSES + 1
    assert batches["count"] < len(recorded) // 2, "many are written by one commit"
    await connection.close()
    async with running(stores, ("ledger",)) as platform:
        assert await check(platform.platform.runtimes["ledger"]) == []
