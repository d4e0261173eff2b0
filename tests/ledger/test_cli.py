"""`billplane ledger`: the check of the books, and their journal."""

import json
import re
from collections import Counter
from decimal import Decimal

import asyncpg

from tests.cli.test_with_the_platform import billplane
from tests.fixtures.platform import running
from tests.ledger.books import Books, legs


def read(text):
    """Read a journal as hledger would: the postings of each transaction, and its sums."""
    declared = set(re.findall(r"^account (\S+)$", text, re.MULTILINE))
    balances = Counter()
    transactions = re.split(r"\n\n", text.strip())[1:]
    for transaction in transactions:
        assert re.match(r"\d{4}-\d\d-\d\d \* \S", transaction)
        sums = Counter()
        for account, amount, currency in re.findall(
            r"^    (\S+)  (-?[\d.]+) ([A-Z]{3})$", transaction, re.MULTILINE
        ):
            assert account in declared
            sums[currency] += Decimal(amount)
            balances[account, currency] += Decimal(amount)
        assert set(sums.values()) == {Decimal()}
    return len(transactions), balances


async def test_the_journal_has_what_was_posted_and_balances(make_stores):
    async with running(await make_stores(), ("gateway", "identity", "ledger")) as platform:
        books = Books(platform, "ten_journal")
        cash = await books.open("Cash; at  bank: 1", allow_negative=True)
        revenue = await books.open("revenue", "income")
        yen, more = await books.pair("JPY")
        await books.move(revenue, cash, 1_250, description="one;\ntwo", external_id="a,b")
        made = await books.move(revenue, cash, 50)
        await books.send("POST", f"/transactions/{made['id']}:reverse", expect=201)
        hold = await books.move(revenue, cash, 99, pending=True)
        await books.send("POST", f"/transactions/{hold['id']}:commit", {"amount_minor": 9})
        body = {"postings": legs(yen, more, 300), "currency_code": "JPY"}
        await books.send("POST", "/transactions", body, expect=201)
        key = {"BILLPLANE_API_KEY": platform.token("ten_journal")}
        done = await billplane(platform.url(""), "ledger", "export", **key)
        assert done.returncode == 0, done.stderr
        count, balances = read(done.stdout)
        assert count == 5
        assert balances[f"assets:Cash-at-bank-1:{cash}", "EUR"] == Decimal("12.59")
        assert balances[f"revenues:revenue:{revenue}", "EUR"] == Decimal("-12.59")
        assert balances[f"assets:to:{more}", "JPY"] == 300
        whole = await billplane(platform.url(""), "ledger", "export", "-o", "json", **key)
        assert len(json.loads(whole.stdout)["transactions"]) == 6
        shown = await billplane(platform.url(""), "ledger", "accounts", **key)
        assert "12.59 EUR" in shown.stdout


async def test_verify_tells_where_a_posted_row_was_changed(make_stores):
    stores = await make_stores()
    async with running(stores, ("ledger",)) as platform:
        books = Books(platform, "ten_verify")
        source, target = await books.pair()
        made = await books.move(source, target, 5)
        environ = {name: value for name, value in platform.environ.items() if "OFFSET" not in name}
        clean = await billplane("", "ledger", "verify", **environ)
        assert clean.returncode == 0, clean.stdout + clean.stderr
        connection = await asyncpg.connect(stores.admin_url)
        await connection.execute("SET session_replication_role = replica")
        change = "UPDATE ledger.entries SET amount_minor = $2 WHERE transaction_id = $1"
        await connection.execute(change, made["id"], 6)
        found = await billplane("", "ledger", "verify", **environ)
        assert found.returncode == 1
        assert f"transaction {made['id']}" in found.stdout
        assert "was changed after it was recorded" in found.stdout
        await connection.execute(change, made["id"], 5)
        await connection.close()
