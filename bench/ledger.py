"""Bars 5 and 6, and beyond them: transfers through the ledger against plain SQL.

The ledger runs alone in a process of its own; batches go through gRPC, 1,000 transfers a request,
four requests at a time. The references run on the same server with the same durability: a program
that does each transfer as a transaction over the same driver; pgbench calling the ledger's own
function with batches that were made before, so that Postgres alone works; and pgbench calling the
plainest function that locks two accounts, updates both, adds two entries and commits, 16 clients at
a time. What the ledger does more than the plainest one: checks, holds, point-in-time balances,
several currencies, a chain of hashes, facts for others. After each pair the books must add up.
"""

from collections.abc import Awaitable, Callable
from decimal import Decimal

from bench.harness import Bar, Bench, Run
from bench.ledger_sides import Ledger, add_accounts, open_ledger
from bench.load import require
from bench.stores import open_stores

ACCOUNTS = 100_000
GROWN = 1_000_000
REQUESTS = 20
_TRANSFERS = "transfers by gRPC, 1,000 a request"


async def measure(bench: Bench) -> None:
    require("pgbench", "postgresql-client")
    require("wrk", "wrk")
    with open_stores() as stores:
        async with open_ledger(stores, ACCOUNTS) as ledger:
            await _transfers(bench, ledger)
            await _singles(bench, ledger)
    await _growth(bench)


async def _transfers(bench: Bench, ledger: Ledger) -> None:
    for number, name, hot, driver, plain in (
        (5, f"ledger, {ACCOUNTS:,} accounts", False, 5, 2),
        (6, "ledger, one hot account", True, 10, 4),
    ):
        requests = ledger.requests(REQUESTS, hot=hot)
        await ledger.make_batches(hot=hot)
        references: tuple[tuple[str, Callable[[], Awaitable[Run]], Decimal], ...] = (
            (
                "a transaction each, asyncpg, 16 clients",
                lambda hot=hot: ledger.driver(hot=hot),  # type: ignore[misc]
                Decimal(driver),
            ),
            ("pgbench, the same function", ledger.same, Decimal("0.6")),
            (
                "pgbench, the plainest function, 16 clients",
                lambda hot=hot: ledger.plain(hot=hot),  # type: ignore[misc]
                Decimal(plain),
            ),
        )
        for reference, side, at_least in references:
            await bench.compare_runs(
                Bar(number, name, reference, _TRANSFERS, "transfer", at_least),
                reference=side,
                ours=lambda requests=requests: ledger.post(requests),  # type: ignore[misc]
                check=ledger.check,
            )


async def _singles(bench: Bench, ledger: Ledger) -> None:
    await bench.compare_runs(
        Bar(
            5,
            "ledger, single transfers",
            "pgbench, the plainest function, 16 clients",
            "REST, 16 clients",
            "transfer",
            Decimal("0.4"),
        ),
        reference=lambda: ledger.plain(hot=False),
        ours=ledger.rest,
        check=ledger.check,
    )


async def _growth(bench: Bench) -> None:
    """Measure the same with 100 times the accounts: a decade may cost 1.2 times as much."""
    with open_stores() as few, open_stores() as many:
        async with open_ledger(few, GROWN // 100) as small, open_ledger(many, GROWN // 100) as big:
            await add_accounts(big.admin, GROWN // 100 + 1, GROWN)
            big.accounts = GROWN
            requests = [ledger.requests(REQUESTS, hot=False) for ledger in (small, big)]
            await bench.compare_runs(
                Bar(
                    5,
                    "ledger, growth",
                    f"{GROWN // 100:,} accounts",
                    f"{GROWN:,} accounts",
                    "transfer",
                    Decimal("0.69"),
                ),
                reference=lambda: small.post(requests[0]),
                ours=lambda: big.post(requests[1]),
                check=big.check,
            )
