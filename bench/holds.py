"""Bar 7: reserve and commit at the ledger, each a call of its own, against plain SQL.

64 callers over gRPC, each reserves and then posts what it reserved, over 100,000 accounts. The
references do two transactions for each pair: a program over asyncpg, statement by statement, and
pgbench with the plainest function, 16 clients each; neither knows what a reservation is.
"""

from decimal import Decimal

from billplane.protos.ledger.v1 import ledger_pb2 as pb

from bench.harness import Bar, Bench, Run
from bench.ledger_sides import Ledger, account, open_ledger, pair
from bench.load import require
from bench.stores import open_stores

ACCOUNTS = 100_000
PAIRS = 500
IN_FLIGHT = 64


async def measure(bench: Bench) -> None:
    require("pgbench", "postgresql-client")
    with open_stores() as stores:
        async with open_ledger(stores, ACCOUNTS) as ledger:
            for name, reference, at_least in (
                ("two transactions each, asyncpg, 16 clients", driver, Decimal(4)),
                ("pgbench, the plainest function twice, 16 clients", plain, Decimal("0.5")),
            ):
                await bench.compare_runs(
                    Bar(
                        7, "ledger, reserve and commit", name, "gRPC, 64 callers", "pair", at_least
                    ),
                    reference=lambda reference=reference: reference(ledger),  # type: ignore[misc]
                    ours=lambda: reserve_and_commit(ledger),
                    check=ledger.check,
                )


async def driver(ledger: Ledger) -> Run:
    """Do a pair as two transactions over the driver."""
    return await ledger.driver(hot=False, pairs=True)


async def plain(ledger: Ledger) -> Run:
    """Do a pair as two calls of the plainest function, a commit each."""
    last = ledger.accounts
    return await ledger.pgbench(
        f"\\set a random(2, {last})\n\\set b random(2, {last})\n"
        "SELECT plain.transfer(:a, :b, 100);\nSELECT plain.transfer(:a, :b, 100);\n"
    )


async def reserve_and_commit(ledger: Ledger) -> Run:
    """Reserve and commit, many callers at a time."""
    hold, commit = ledger.call("HoldTransaction"), ledger.call("CommitHold")
    left = [pair(ledger.accounts, hot=False) for _ in range(PAIRS)]

    async def work() -> None:
        while left:
            first, second = left.pop()
            legs = [
                pb.Posting(
                    account_id=account(first), direction=pb.DIRECTION_DEBIT, amount_minor=100
                ),
                pb.Posting(
                    account_id=account(second), direction=pb.DIRECTION_CREDIT, amount_minor=100
                ),
            ]
            request = pb.HoldTransactionRequest(postings=legs, currency_code="EUR")
            answer = await hold(request.SerializeToString(), metadata=ledger.metadata(), timeout=60)
            made = pb.HoldTransactionResponse.FromString(answer).transaction
            closing = pb.CommitHoldRequest(id=made.id)
            await commit(closing.SerializeToString(), metadata=ledger.metadata(), timeout=60)

    return await ledger.timed(PAIRS, work, IN_FLIGHT)
