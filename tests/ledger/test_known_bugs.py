"""Bugs that other ledgers were reported to have, each tried on this one.

Source: issues reported against Blnk and Midaz.
"""

import asyncio

import asyncpg

from tests.ledger.books import Books


async def _funded(platform, tenant, amount):
    books = Books(platform, tenant)
    funding = await books.open("funding", allow_negative=True)
    wallet = await books.open("wallet")
    shop = await books.open("shop")
    await books.move(funding, wallet, amount)
    return books, wallet, shop


async def test_known_bug_overspend_past_holds(platform):
    # A transfer looked at the balance and not at what open holds reserve of it.
    books, wallet, shop = await _funded(platform, "ten_bug_overspend", 100)
    await books.move(wallet, shop, 80, pending=True)
    problem = await books.move(wallet, shop, 30, expect=409)
    assert problem["reason"] == "INSUFFICIENT_FUNDS"
    problem = await books.move(wallet, shop, 21, pending=True, expect=409)
    assert problem["reason"] == "INSUFFICIENT_FUNDS"
    await books.move(wallet, shop, 20)
    assert await books.balance(wallet) == (80, 0, 80)
    # And not when they race either.
    books, wallet, shop = await _funded(platform, "ten_bug_overspend_race", 100)
    answers = await asyncio.gather(
        *(books.move(wallet, shop, 7, pending=number % 2 == 0, expect=None) for number in range(30))
    )
    assert sum("postings" in answer for answer in answers) == 14
    posted, _, reserved = await books.balance(wallet)
    assert posted - reserved == 2


async def test_known_bug_commit_of_a_rejected_hold(platform):
    # A hold that was refused for lack of funds could be committed all the same.
    books, wallet, shop = await _funded(platform, "ten_bug_rejected", 10)
    body = {"external_id": "rejected", "pending": True}
    problem = await books.move(wallet, shop, 11, expect=409, **body)
    assert problem["reason"] == "INSUFFICIENT_FUNDS"
    for name in ("rejected", problem["metadata"]["id"]):
        refused = await books.send("POST", f"/transactions/{name}:commit", expect=404)
        assert refused["reason"] == "TRANSACTION_NOT_FOUND"
    # One that was released, or is spent, is not committed again.
    held = await books.move(wallet, shop, 6, pending=True)
    await books.send("POST", f"/transactions/{held['id']}:release", expect=200)
    refused = await books.send("POST", f"/transactions/{held['id']}:commit", expect=409)
    assert refused["reason"] == "HOLD_CLOSED"
    assert await books.balance(wallet) == (10, 0, 0)
    assert await books.balance(shop) == (0, 0, 0)


async def test_known_bug_cancel_restoring_the_wrong_balance(platform):
    # Giving a hold back added its amount to the balance, or gave back what was committed too.
    books, wallet, shop = await _funded(platform, "ten_bug_cancel", 100)
    held = await books.move(wallet, shop, 60, pending=True)
    await books.send("POST", f"/transactions/{held['id']}:commit", {"amount_minor": 25})
    await books.move(wallet, shop, 10)
    released = await books.send("POST", f"/transactions/{held['id']}:release", expect=200)
    assert (released["committed_minor"], released["remaining_minor"]) == (25, 0)
    assert await books.balance(wallet) == (65, 0, 0)
    assert await books.balance(shop) == (35, 0, 0)
    again = await books.send("POST", f"/transactions/{held['id']}:release", expect=409)
    assert again["reason"] == "HOLD_CLOSED"
    assert await books.balance(wallet) == (65, 0, 0)


async def test_known_bug_a_balance_without_its_entry(platform):
    # A balance was written and the process died, or the insert failed, before its entry was.
    books, wallet, shop = await _funded(platform, "ten_bug_entry", 100)
    held = await books.move(wallet, shop, 40, pending=True)
    await books.send("POST", f"/transactions/{held['id']}:commit", {"amount_minor": 15})
    await books.move(wallet, shop, 500, expect=409)
    for account in (wallet, shop):
        entries = (await books.send("GET", f"/accounts/{account}/entries?order=asc"))["data"]
        found = await books.send("GET", f"/accounts/{account}", expect=200)
        assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
        assert entries[-1]["number"] == found["entry_count"]
        assert entries[-1]["balance_minor"] == found["balance_minor"]
        assert entries[-1]["pending_out_minor"] == found["pending_out_minor"]
    # An entry that cannot be inserted takes the balances with it.
    connection = await asyncpg.connect(platform.stores.admin_url)
    constraint = "CHECK (amount_minor <> 13131313) NOT VALID"
    await connection.execute(f"ALTER TABLE ledger.entries ADD CONSTRAINT refused {constraint}")
    try:
        await books.move(wallet, wallet, 13131313, expect=500)
    finally:
        await connection.execute("ALTER TABLE ledger.entries DROP CONSTRAINT refused")
        await connection.close()
    assert await books.balance(wallet) == (85, 0, 25)
