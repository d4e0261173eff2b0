"""A ledger in a process of its own, its clients, and the plain SQL that it is measured against."""

import asyncio
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg
import grpc
from billplane.chassis.auth import InternalTokens, Principal, derive_seed
from billplane.chassis.migrations import roles, runner
from billplane.protos.ledger.v1 import ledger_pb2 as pb

from bench.harness import Run, cpu_seconds
from bench.load import Target, load
from bench.served import PASSWORD, SECRET, TENANT
from bench.stores import Stores
from tests.fixtures.ports import free_port_offset

READY_SECONDS = 60
BATCH = 1000
CLIENTS = 16
SECONDS = 3
HOT = 1
SERVICE = "/billplane.ledger.v1.LedgerService/"
_TOKENS = InternalTokens(derive_seed(SECRET, b"billplane/internal/1"))
_OWNER = Principal(
    "user:usr_bench", TENANT, livemode=False, scopes=frozenset({"*"}), unlimited=True
)

# The plainest transfer: both accounts locked in order, two updates, two entries, one commit.
PLAIN = """
CREATE SCHEMA plain;
CREATE TABLE plain.accounts (id bigint PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 70);
CREATE SEQUENCE plain.transfers;
CREATE TABLE plain.entries (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, transfer_id bigint NOT NULL,
  account_id bigint NOT NULL, amount bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE FUNCTION plain.transfer(source bigint, target bigint, amount bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
  number constant bigint := nextval('plain.transfers');
BEGIN
  PERFORM FROM plain.accounts WHERE id IN (source, target) ORDER BY id FOR UPDATE;
  UPDATE plain.accounts SET balance = balance - amount WHERE id = source;
  UPDATE plain.accounts SET balance = balance + amount WHERE id = target;
  INSERT INTO plain.entries (transfer_id, account_id, amount)
    VALUES (number, source, -amount), (number, target, amount);
  RETURN number;
END
$$;
"""
# The ledger's own function with batches that were made before: nothing but Postgres works.
SAME = """
CREATE TABLE plain.batches (number bigint PRIMARY KEY, firsts integer[], owners integer[],
  slots integer[], debits boolean[], amounts bigint[], account_ids text[]);
CREATE SEQUENCE plain.batch_numbers;
CREATE FUNCTION plain.apply() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  b plain.batches%ROWTYPE;
  size integer;
  place constant bigint := nextval('plain.batch_numbers') % {batches};
BEGIN
  PERFORM set_config('billplane.tenant_id', '{tenant}', true);
  SELECT * INTO b FROM plain.batches WHERE number = place;
  size := cardinality(b.firsts) - 1;
  RETURN (SELECT batch_number FROM ledger.apply_batch(false, now(), 'pgbench',
    array_fill(''::text, ARRAY[size]),
    ARRAY(SELECT 'ltx_' || gen_random_uuid() FROM generate_series(1, size)),
    array_fill('record'::text, ARRAY[size]), array_fill(''::text, ARRAY[size]),
    array_fill(repeat('f', 64), ARRAY[size]), array_fill('EUR'::text, ARRAY[size]),
    array_fill(''::text, ARRAY[size]), array_fill('{{}}'::text, ARRAY[size]),
    array_fill(''::text, ARRAY[size]), array_fill(''::text, ARRAY[size]),
    array_fill(0::bigint, ARRAY[size]), array_fill(false, ARRAY[size]),
    array_fill(NULL::timestamptz, ARRAY[size]), b.firsts, b.owners, b.slots, b.debits, b.amounts,
    b.account_ids));
END
$$;
"""
SAME_BATCH, SAME_BATCHES = 250, 40


def account(number: int) -> str:
    """Name an account of the benchmark."""
    return f"acc_{number:026d}"


def pair(count: int, *, hot: bool) -> tuple[int, int]:
    """Choose two accounts, the first of them always the same where that is asked for."""
    first = HOT if hot else random.randint(2, count)
    second = random.randint(2, count)
    return first, second if second != first else second % count + 2


@dataclass
class Ledger:
    """A ledger that runs, and what is measured against it on the same server."""

    stores: Stores
    pid: int
    url: str
    channel: grpc.aio.Channel
    admin: Any
    accounts: int

    @property
    def pids(self) -> list[int]:
        """Name the processes whose CPU time counts."""
        return [self.pid, self.stores.postgres_pid]

    def metadata(self) -> list[tuple[str, str]]:
        """Give a call its credential."""
        return [("authorization", f"Bearer {_TOKENS.mint(_OWNER)}")]

    def call(self, method: str) -> Any:
        """Return a method that takes and gives bytes, so that the client costs little."""
        return self.channel.unary_unary(SERVICE + method)

    async def post(self, requests: Sequence[bytes], in_flight: int = 4) -> Run:
        """Send requests of BATCH transfers each, some at a time."""
        method = self.call("PostTransactions")
        waiting = list(requests)

        async def work() -> None:
            while waiting:
                answer = await method(waiting.pop(), metadata=self.metadata(), timeout=60)
                results = pb.PostTransactionsResponse.FromString(answer).results
                if len(results) != BATCH or results[0].reason:
                    raise RuntimeError(f"refused: {results[0]}")

        return await self.timed(len(requests) * BATCH, work, in_flight)

    async def timed(
        self, operations: int, work: Any, in_flight: int, pids: Sequence[int] = ()
    ) -> Run:
        """Run workers and reckon what it took, of other processes where they are named."""
        counted = pids or self.pids
        before = cpu_seconds(counted)
        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        seconds = time.perf_counter() - started
        return Run(operations, seconds, cpu_seconds(counted) - before)

    def requests(self, count: int, *, hot: bool) -> list[bytes]:
        """Make requests of BATCH transfers each."""
        return [
            pb.PostTransactionsRequest(
                transactions=[self._new(hot=hot) for _ in range(BATCH)]
            ).SerializeToString()
            for _ in range(count)
        ]

    def _new(self, *, hot: bool) -> pb.NewTransaction:
        first, second = pair(self.accounts, hot=hot)
        legs = [
            pb.Posting(account_id=account(first), direction=pb.DIRECTION_DEBIT, amount_minor=100),
            pb.Posting(account_id=account(second), direction=pb.DIRECTION_CREDIT, amount_minor=100),
        ]
        return pb.NewTransaction(postings=legs, currency_code="EUR")

    async def rest(self) -> Run:
        """Send single transfers by 16 clients of REST."""
        script = _REST % (_TOKENS.mint(_OWNER), self.accounts)
        target = Target(f"{self.url}/v1/ledger/transactions", script, connections=CLIENTS)
        return await load(target, lambda: self.pids, SECONDS)

    async def pgbench(self, script: str, each: int = 1, clients: int = CLIENTS) -> Run:
        """Run a script of pgbench for some seconds."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            before = cpu_seconds([self.stores.postgres_pid])
            process = await asyncio.create_subprocess_exec(
                *("pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2"),
                *("-T", str(SECONDS), "-f", file.name, self.stores.postgres_admin_url),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            assert process.stdout is not None
            said = (await process.stdout.read()).decode()
            if await process.wait():
                raise RuntimeError(said)
            used = cpu_seconds([self.stores.postgres_pid]) - before
        done = re.search(r"actually processed: (\d+)", said)
        rate = re.search(r"tps = ([0-9.]+)", said)
        assert done is not None
        assert rate is not None, said
        count = int(done[1])
        return Run(count * each, count / float(rate[1]), used)

    async def plain(self, *, hot: bool) -> Run:
        """Let pgbench call the plainest function, a commit a transfer."""
        first = str(HOT) if hot else f"random(2, {self.accounts})"
        return await self.pgbench(
            f"\\set a {first}\n\\set b random(2, {self.accounts})\n"
            "SELECT plain.transfer(:a, :b, 100);\n"
        )

    async def same(self) -> Run:
        """Let pgbench call the ledger's own function with batches made before."""
        return await self.pgbench("SELECT plain.apply();\n", SAME_BATCH, clients=2)

    async def driver(self, *, hot: bool, pairs: bool = False) -> Run:
        """Do a transfer a transaction over asyncpg, statement by statement, by 16 clients."""
        pool = await asyncpg.create_pool(
            self.stores.postgres_admin_url, min_size=CLIENTS, max_size=CLIENTS
        )
        ends = time.perf_counter() + SECONDS
        done = 0

        async def work() -> None:
            nonlocal done
            while time.perf_counter() < ends:
                first, second = pair(self.accounts, hot=hot)
                for _ in range(2 if pairs else 1):
                    async with pool.acquire() as connection:
                        await one_transfer(connection, first, second)
                done += 1

        run = await self.timed(1, work, CLIENTS)
        await pool.close()
        return Run(done, run.seconds, run.cpu_seconds)

    async def make_batches(self, *, hot: bool) -> None:
        """Make what `same` calls the function with."""
        await self.admin.execute("TRUNCATE plain.batches")
        rows = []
        for number in range(SAME_BATCHES):
            pairs = [pair(self.accounts, hot=hot) for _ in range(SAME_BATCH)]
            names = [account(one) for legs in pairs for one in legs]
            ids = sorted(set(names))
            slots = {name: slot for slot, name in enumerate(ids, 1)}
            count = 2 * SAME_BATCH
            rows.append(
                (
                    number,
                    [1 + 2 * n for n in range(SAME_BATCH + 1)],
                    [1 + n // 2 for n in range(count)],
                    [slots[name] for name in names],
                    [n % 2 == 0 for n in range(count)],
                    [100] * count,
                    ids,
                )
            )
        await self.admin.copy_records_to_table("batches", records=rows, schema_name="plain")

    async def check(self) -> None:
        """Refuse figures of books that do not add up."""
        held, last, stored = await self.admin.fetchrow(
            "SELECT (SELECT sum(CASE type WHEN 'asset' THEN posted_minor END)"
            " FROM ledger.accounts), (SELECT transaction_number FROM ledger.books),"
            " (SELECT count(*) FROM ledger.transactions)"
        )
        if held != 0 or last != stored:
            raise RuntimeError(f"the books do not add up: {held}, {last}, {stored}")


async def one_transfer(connection: Any, first: int, second: int) -> None:
    """Move money as a program without batches does."""
    async with connection.transaction():
        await connection.execute(
            "SELECT FROM plain.accounts WHERE id IN ($1, $2) ORDER BY id FOR UPDATE", first, second
        )
        update = "UPDATE plain.accounts SET balance = balance + $2 WHERE id = $1"
        await connection.execute(update, first, -100)
        await connection.execute(update, second, 100)
        await connection.execute(
            "INSERT INTO plain.entries (transfer_id, account_id, amount)"
            " VALUES (nextval('plain.transfers'), $1, -100), (currval('plain.transfers'), $2, 100)",
            first,
            second,
        )


_REST = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
local last = %d
request = function()
  local a = string.format("acc_%%026d", math.random(2, last))
  local b = string.format("acc_%%026d", math.random(2, last))
  wrk.body = '{"currency_code":"EUR","postings":[{"account_id":"' .. a ..
    '","direction":"debit","amount_minor":100},{"account_id":"' .. b ..
    '","direction":"credit","amount_minor":100}]}'
  return wrk.format()
end
"""


@asynccontextmanager
async def open_ledger(stores: Stores, accounts: int) -> AsyncIterator[Ledger]:
    """Migrate a database with some accounts and run the ledger on it in a process of its own."""
    await roles.init_database(stores.postgres_admin_url, ["ledger"], "billplane", PASSWORD)
    await runner.migrate(stores.postgres_admin_url, ["ledger"])
    admin = await asyncpg.connect(stores.postgres_admin_url)
    await admin.execute(PLAIN + SAME.format(tenant=TENANT, batches=SAME_BATCHES))
    await add_accounts(admin, 1, accounts)
    offset = free_port_offset()
    where = stores.postgres_admin_url.split("@", 1)[1]
    environ = {
        "BILLPLANE_DATABASE_URL": f"postgresql://billplane:{PASSWORD}@{where}",
        "BILLPLANE_REDIS_URL": stores.valkey_url,
        "BILLPLANE_JWT_SECRET": SECRET,
        "BILLPLANE_PORT_OFFSET": str(offset),
        "BILLPLANE_LOG_LEVEL": "WARNING",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run", "ledger"), env={**os.environ, **environ}
    )
    url = f"http://127.0.0.1:{8080 + offset}"
    try:
        await _ready(url)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{50051 + offset}") as channel:
            yield Ledger(stores, process.pid, url, channel, admin, accounts)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await admin.close()


async def add_accounts(admin: Any, first: int, last: int) -> None:
    """Open accounts on both sides."""
    await admin.execute(
        "INSERT INTO ledger.accounts (tenant_id, id, livemode, external_id, name, type,"
        " currency_code, allow_negative, metadata, created_at)"
        " SELECT $1, 'acc_' || lpad(n::text, 26, '0'), false, '', 'bench', 'asset', 'EUR', true,"
        " '{}', now() FROM generate_series($2::integer, $3::integer) n",
        *(TENANT, first, last),
    )
    await admin.execute(
        "INSERT INTO plain.accounts SELECT n, 0 FROM generate_series($1::integer, $2::integer) n",
        *(first, last),
    )
    await admin.execute("VACUUM ANALYZE ledger.accounts, plain.accounts")


async def _ready(url: str) -> None:
    async with aiohttp.ClientSession() as http:
        for _ in range(READY_SECONDS * 10):
            try:
                async with http.get(f"{url}/health/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    raise RuntimeError("the ledger did not start")
