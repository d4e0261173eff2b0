"""Bar 7: reserving and committing through billing_core, against the plainest pair in SQL.

billing_core and its ledger run in one process; a pair is a Reserve and a Commit by gRPC, each under
a request id of its own. The references do a pair as two transactions on the same server: a program
over the driver, statement by statement, and pgbench calling two plain functions. They check that
there is enough, and keep two balances and an entry. What billing_core does more: credits, the
answer under its key, an intent that survives a death, and the ledger's hold and commit with their
chain: six commits a pair, two of them the ledger's, each shared by those who come at the same time.
After each pair of runs the wallets must equal their accounts.

What limits it: CPU of Python, 20 ms a pair where the references need 1 ms and less. A pair is four
gRPC calls, two of them to the ledger, and twelve rows written through SQLAlchemy; sharing spares
transactions, not rows.
"""

import asyncio
import itertools
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
import asyncpg
import grpc
from billplane.chassis.auth import InternalTokens, Principal, derive_seed
from billplane.chassis.migrations import roles, runner
from billplane.protos.billing_core.v1 import billing_core_pb2 as pb
from billplane.protos.billing_core.v1 import billing_core_pb2_grpc

from bench.harness import Bar, Bench, Run, cpu_seconds
from bench.load import require
from bench.served import PASSWORD, SECRET, TENANT
from bench.stores import Stores, open_stores
from tests.fixtures.ports import free_port_offset

SERVICES = ["billing_core", "ledger", "subscription"]
WALLETS = 100
CLIENTS = 16
SECONDS = 2
READY_SECONDS = 120
_TOKENS = InternalTokens(derive_seed(SECRET, b"billplane/internal/1"))
_OWNER = Principal("user:bench", TENANT, livemode=False, scopes=frozenset({"*"}), unlimited=True)
_PLAIN = f"""
CREATE SCHEMA plain;
CREATE TABLE plain.wallets (id bigint PRIMARY KEY, posted bigint NOT NULL, reserved bigint NOT NULL)
  WITH (fillfactor = 70);
CREATE TABLE plain.reservations (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  wallet bigint NOT NULL, amount bigint NOT NULL, state text NOT NULL);
CREATE TABLE plain.entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  wallet bigint NOT NULL, amount bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO plain.wallets SELECT n, 1000000000, 0 FROM generate_series(1, {WALLETS}) n;
CREATE FUNCTION plain.reserve(which bigint, wanted bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE made bigint;
BEGIN
  UPDATE plain.wallets SET reserved = reserved + wanted
    WHERE id = which AND posted - reserved >= wanted;
  IF NOT FOUND THEN RAISE EXCEPTION 'not enough'; END IF;
  INSERT INTO plain.reservations (wallet, amount, state) VALUES (which, wanted, 'open')
    RETURNING id INTO made;
  RETURN made;
END $$;
CREATE FUNCTION plain.settle(made bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE held plain.reservations%ROWTYPE;
BEGIN
  UPDATE plain.reservations SET state = 'committed' WHERE id = made AND state = 'open'
    RETURNING * INTO held;
  IF NOT FOUND THEN RAISE EXCEPTION 'not open'; END IF;
  UPDATE plain.wallets SET posted = posted - held.amount, reserved = reserved - held.amount
    WHERE id = held.wallet;
  INSERT INTO plain.entries (wallet, amount) VALUES (held.wallet, -held.amount);
END $$;
"""  # noqa: S608 - fixed words
_PGBENCH = """\\set wallet {wallet}
SELECT plain.reserve(:wallet, 5) AS made \\gset
SELECT plain.settle(:made);
"""
_DIFFERING = """
SELECT count(*) FROM billing_core.wallets w JOIN ledger.accounts a
  ON a.tenant_id = w.tenant_id AND a.id = w.account_id
WHERE (w.posted_minor, w.reserved_minor) <> (a.posted_minor, a.pending_out_minor)
"""


async def measure(bench: Bench) -> None:
    require("pgbench", "postgresql-client")
    with open_stores() as stores:
        async with open_core(stores) as core:
            for name, hot in ((f"{WALLETS} wallets", False), ("one hot wallet", True)):
                references: tuple[tuple[str, Callable[[], Awaitable[Run]], str], ...] = (
                    ("two transactions, asyncpg, 16 clients", _side(core.driver, hot), "4"),
                    ("two plain functions, pgbench, 16 clients", _side(core.plain, hot), "0.5"),
                )
                for reference, side, at_least in references:
                    await bench.compare_runs(
                        Bar(
                            7,
                            f"reserve and commit by billing_core, {name}",
                            reference,
                            "Reserve and Commit by gRPC, 16 clients",
                            "pair",
                            Decimal(at_least),
                        ),
                        reference=side,
                        ours=_side(core.pairs, hot),
                        check=core.check,
                    )


def _side(side: Callable[[bool], Awaitable[Run]], hot: bool) -> Callable[[], Awaitable[Run]]:
    return lambda: side(hot)


@dataclass
class Core:
    """billing_core with its ledger, and what it is measured against on the same server."""

    stores: Stores
    pid: int
    stub: Any
    admin: Any
    numbers: Any = field(default_factory=itertools.count)

    def metadata(self) -> list[tuple[str, str]]:
        """Give a call its credential."""
        return [("authorization", f"Bearer {_TOKENS.mint(_OWNER)}")]

    async def fill(self) -> None:
        """Open wallets with money in them."""
        for number in range(1, WALLETS + 1):
            request = pb.TopUpRequest(
                customer_id=f"c-{number}",
                currency_code="EUR",
                amount_minor=1_000_000_000,
                manual_reason="bench",
            )
            await self.stub.TopUp(request, metadata=self.metadata())

    async def pairs(self, hot: bool) -> Run:
        """Reserve and commit by gRPC for some seconds."""

        async def one(wallet: int) -> None:
            number = next(self.numbers)
            ask = pb.ReserveRequest(
                request_id=f"r-{number}",
                customer_id=f"c-{wallet}",
                currency_code="EUR",
                amount_minor=5,
            )
            held = await self.stub.Reserve(ask, metadata=self.metadata())
            settle = pb.CommitRequest(request_id=f"c-{number}", reservation_id=held.reservation_id)
            await self.stub.Commit(settle, metadata=self.metadata())

        return await self._timed(one, hot, [self.pid, self.stores.postgres_pid])

    async def driver(self, hot: bool) -> Run:
        """Do a pair as two transactions over asyncpg, statement by statement."""
        url = self.stores.postgres_admin_url
        async with asyncpg.create_pool(url, min_size=CLIENTS, max_size=CLIENTS) as pool:

            async def one(wallet: int) -> None:
                async with pool.acquire() as connection:
                    await _plain_pair(connection, wallet)

            return await self._timed(one, hot, [os.getpid(), self.stores.postgres_pid])

    async def _timed(
        self, one: Callable[[int], Awaitable[None]], hot: bool, pids: list[int]
    ) -> Run:
        before, started = cpu_seconds(pids), time.perf_counter()
        wallets = itertools.cycle([1] if hot else range(1, WALLETS + 1))
        done = 0

        async def work() -> None:
            nonlocal done
            while time.perf_counter() < started + SECONDS:
                await one(next(wallets))
                done += 1

        await asyncio.gather(*(work() for _ in range(CLIENTS)))
        return Run(done, time.perf_counter() - started, cpu_seconds(pids) - before)

    async def plain(self, hot: bool) -> Run:
        """Let pgbench call the plain functions, a commit each."""
        script = _PGBENCH.format(wallet="1" if hot else f"random(1, {WALLETS})")
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            before = cpu_seconds([self.stores.postgres_pid])
            process = await asyncio.create_subprocess_exec(
                *("pgbench", "-n", "-c", str(CLIENTS), "-j", "2", "-T", str(SECONDS)),
                *("-f", file.name, self.stores.postgres_admin_url),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            said = (await process.communicate())[0].decode()
        used = cpu_seconds([self.stores.postgres_pid]) - before
        done = re.search(r"actually processed: (\d+)", said)
        rate = re.search(r"tps = ([0-9.]+)", said)
        if process.returncode or done is None or rate is None:
            raise RuntimeError(said)
        return Run(int(done[1]), int(done[1]) / float(rate[1]), used)

    async def check(self) -> None:
        """Refuse figures of wallets that differ from their accounts."""
        differing = await self.admin.fetchval(_DIFFERING)
        if differing:
            raise RuntimeError(f"{differing} wallets differ from their accounts")


async def _plain_pair(connection: Any, wallet: int) -> None:
    async with connection.transaction():
        row = await connection.fetchrow(
            "SELECT posted - reserved AS available FROM plain.wallets WHERE id = $1 FOR UPDATE",
            wallet,
        )
        if row["available"] < 5:
            raise RuntimeError("not enough")
        await connection.execute(
            "UPDATE plain.wallets SET reserved = reserved + 5 WHERE id = $1", wallet
        )
        made = await connection.fetchval(
            "INSERT INTO plain.reservations (wallet, amount, state) VALUES ($1, 5, 'open')"
            " RETURNING id",
            wallet,
        )
    async with connection.transaction():
        await connection.execute(
            "UPDATE plain.reservations SET state = 'committed' WHERE id = $1 AND state = 'open'",
            made,
        )
        await connection.execute(
            "UPDATE plain.wallets SET posted = posted - 5, reserved = reserved - 5 WHERE id = $1",
            wallet,
        )
        await connection.execute(
            "INSERT INTO plain.entries (wallet, amount) VALUES ($1, -5)", wallet
        )


@asynccontextmanager
async def open_core(stores: Stores) -> AsyncIterator[Core]:
    """Migrate a database and run billing_core with its ledger on it in a process of their own."""
    url = stores.postgres_admin_url
    await roles.init_database(url, SERVICES, "billplane", PASSWORD)
    await runner.migrate(url, SERVICES)
    admin = await asyncpg.connect(url)
    await admin.execute(_PLAIN)
    offset = free_port_offset()
    environ = {
        "BILLPLANE_DATABASE_URL": f"postgresql://billplane:{PASSWORD}@{url.split('@', 1)[1]}",
        "BILLPLANE_REDIS_URL": stores.valkey_url,
        "BILLPLANE_JWT_SECRET": SECRET,
        "BILLPLANE_PORT_OFFSET": str(offset),
        "BILLPLANE_LOG_LEVEL": "WARNING",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run", *SERVICES), env={**os.environ, **environ}
    )
    try:
        await _ready(f"http://127.0.0.1:{8080 + offset}/health/ready")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{50052 + offset}") as channel:
            stub = billing_core_pb2_grpc.BillingServiceStub(channel)
            core = Core(stores, process.pid, stub, admin)
            await core.fill()
            yield core
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await admin.close()


async def _ready(url: str) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(READY_SECONDS):
        while True:
            try:
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
