"""What the books promise under load: sums, order, one effect, no overspending."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from tests.fixtures.platform import running
from tests.ledger.books import Books

WORKERS, TRANSFERS, ACCOUNTS = 20, 500, 80


async def _stored(platform, statement, *values):
    connection = await asyncpg.connect(platform.stores.admin_url)
    try:
        return await connection.fetch(statement, *values)
    finally:
        await connection.close()


async def test_a_transfer_that_is_refused_leaves_the_others_of_its_batch(platform):
    books = Books(platform, "ten_ledger_batch")
    source, target = await books.open("empty"), await books.open("target")
    funding = await books.open("funding", allow_negative=True)
    answers = await asyncio.gather(
        *(books.move(source, target, 1, expect=409) for _ in range(5)),
        *(books.move(funding, target, 10) for _ in range(5)),
    )
    assert [answer["reason"] for answer in answers[:5]] == ["INSUFFICIENT_FUNDS"] * 5
    assert await books.balance(target) == (50, 0, 0)


async def test_two_processes_write_one_chain_and_never_overspend(make_stores):
    stores = await make_stores()
    # Platforms of one process share a pool by its address, which the first to stop would close.
    same = replace(stores, database_url=stores.database_url.replace("127.0.0.1", "localhost"))
    assert same != stores
    async with running(stores, ("ledger",)) as first, running(same, ("ledger",)) as second:
        one, other = Books(first, "ten_race"), Books(second, "ten_race")
        funding = await one.open("funding", allow_negative=True)
        source, target = await one.open("source"), await one.open("target")
        await one.move(funding, source, 100)
        answers = await asyncio.gather(
            *(
                books.move(source, target, 3, expect=None, pending=number % 2 == 0)
                for number in range(40)
                for books in (one, other)
            )
        )
        accepted = [answer for answer in answers if "postings" in answer]
        assert len(accepted) == 33
        keyed = await asyncio.gather(
            *(books.move(funding, target, 1, key="k") for _ in range(10) for books in (one, other))
        )
        assert len({answer["id"] for answer in keyed}) == 1
        # Whoever was faster may have written all of it.
        await one.move(funding, target, 1)
        await other.move(funding, target, 1)
        rows = await _stored(
            first, "SELECT count(DISTINCT writer) AS writers, count(*) AS batches,"
            " max(number) AS last FROM ledger.batches"
        )  # fmt: skip
        assert rows[0]["writers"] == 2
        assert rows[0]["batches"] == rows[0]["last"]


async def test_a_hold_expires_by_itself_and_only_once(platform):
    books = Books(platform, "ten_ledger_expiry")
    source, target = await books.pair()
    hold = await books.move(
        source, target, 30, pending=True, expires_at="2190-01-01T00:00:00Z"
    )  # fmt: skip
    soon = await books.move(source, target, 40, pending=True, expires_at=_in_seconds(1.5))
    assert await books.balance(source) == (0, 0, 70)
    for _ in range(100):
        if (await books.balance(source))[2] == 30:
            break
        await asyncio.sleep(0.2)
    expired = await books.send("GET", f"/transactions/{soon['id']}", expect=200)
    assert (expired["state"], expired["remaining_minor"]) == ("expired", 0)
    problem = await books.send("POST", f"/transactions/{soon['id']}:commit", expect=409)
    assert problem["reason"] == "HOLD_CLOSED"
    assert (await books.send("GET", f"/transactions/{hold['id']}"))["state"] == "pending"


def _in_seconds(seconds):

    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


# What the database refuses whoever asks ---------------------------------------------------------


@pytest.mark.parametrize("role", ["ledger_app", "ledger_worker", "ledger_owner", ""])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger.entries SET amount_minor = 1",
        "DELETE FROM ledger.entries",
        "UPDATE ledger.transactions SET description = ''",
        "DELETE FROM ledger.transactions",
        "DELETE FROM ledger.batches",
        "TRUNCATE ledger.entries",
    ],
)
async def test_what_was_recorded_is_never_changed(platform, role, statement):
    connection = await asyncpg.connect(platform.stores.admin_url)
    try:
        if role:
            await connection.execute(f"SET ROLE {role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_app_role_moves_no_money_but_by_the_batch(platform):
    connection = await asyncpg.connect(platform.stores.admin_url)
    await connection.execute("SET ROLE ledger_app")
    await connection.execute("SELECT set_config('billplane.tenant_id', 'ten_ledger_load', false)")
    try:
        for statement in (
            "UPDATE ledger.accounts SET posted_minor = 1",
            "INSERT INTO ledger.accounts (tenant_id, posted_minor) VALUES ('x', 1)",
            "INSERT INTO ledger.entries (tenant_id) VALUES ('x')",
            "UPDATE ledger.holds SET state = 'voided'",
            "UPDATE ledger.books SET batch_number = 0",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_entries_that_do_not_balance_are_refused_where_they_are_inserted(make_stores):
    stores = await make_stores()
    async with running(stores, ("ledger",)) as platform:
        books = Books(platform, "ten_trigger")
        source, target = await books.pair()
        made = await books.move(source, target, 5)
    connection = await asyncpg.connect(stores.admin_url)
    copied = (
        "INSERT INTO ledger.entries SELECT tenant_id, $1, position + $2, livemode,"
        " account_id, direction, phase, amount_minor, currency_code, number + 10,"
        " posted_after_minor, pending_in_after_minor, pending_out_after_minor, recorded_at"
        " FROM ledger.entries WHERE transaction_id = $3 AND position = 1"
    )
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="ltx_new does not balance"):
            await connection.execute(copied, "ltx_new", 0, made["id"])
        with pytest.raises(asyncpg.CheckViolationError, match="was recorded before"):
            await connection.execute(copied, made["id"], 10, made["id"])
        assert await connection.fetchval("SELECT count(*) FROM ledger.entries") == 2
    finally:
        await connection.close()


TAMPERED = {
    "an amount of both legs": (
        "UPDATE ledger.entries SET amount_minor = 7 WHERE transaction_id = $1",
        "transaction {id}",
    ),
    "the directions": (
        "UPDATE ledger.entries SET direction = CASE direction WHEN 'debit' THEN 'credit'"
        " ELSE 'debit' END WHERE transaction_id = $1",
        "transaction {id}",
    ),
    "a description": (
        "UPDATE ledger.transactions SET description = 'x' WHERE id = $1",
        "transaction {id}",
    ),
    "a transaction that is gone": (
        "WITH gone AS (DELETE FROM ledger.entries WHERE transaction_id = $1)"
        " DELETE FROM ledger.transactions WHERE id = $1",
        "batch 2",
    ),
    "a batch that is gone": (
        "DELETE FROM ledger.batches WHERE number = 2 AND $1 <> ''",
        "batch 3",
    ),
    "the hash of a batch": (
        "UPDATE ledger.batches SET hash = sha256('x') WHERE number = 2 AND $1 <> ''",
        "batch 2",
    ),
    "a balance": (
        "UPDATE ledger.accounts SET posted_minor = posted_minor + 1 WHERE $1 <> ''",
        "account acc_",
    ),
}


async def test_whatever_a_superuser_changes_is_found_with_its_place(make_stores):
    stores = await make_stores()
    async with running(stores, ("ledger",)) as platform:
        books = Books(platform, "ten_tampered")
        source, target = await books.pair()
        made = [await books.move(source, target, amount) for amount in (1, 2, 3)]
        assert await platform.violations() == []
        connection = await asyncpg.connect(stores.admin_url)
        names = ("accounts", "transactions", "entries", "batches")
        for name in names:
            await connection.execute(f"CREATE TABLE public.{name} AS TABLE ledger.{name}")
        await connection.execute("SET session_replication_role = replica")
        for name, (statement, place) in TAMPERED.items():
            await connection.execute(statement, made[1]["id"])
            found = [item.subject for item in await platform.violations()]
            wanted = place.format(id=made[1]["id"])
            assert any(wanted in subject for subject in found), (name, found)
            for table in names:
                await connection.execute(f"DELETE FROM ledger.{table}")
                await connection.execute(f"INSERT INTO ledger.{table} SELECT * FROM public.{table}")
            assert await platform.violations() == [], name
        await connection.close()
