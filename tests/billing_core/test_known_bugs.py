"""Bugs that others' ledgers and wallets were reported to have; each stays out by name."""

import asyncio

import asyncpg

from tests.billing_core.payer import Payer
from tests.billing_core.purse import Purse


async def test_a_charge_does_not_overspend_past_what_holds_reserve(purse):
    """Reported against Blnk: a direct transaction could take what an inflight one had reserved."""
    await purse.top_up(100)
    await purse.reserve(80)
    refused = await purse.charge(30, expect=409)
    assert refused["reason"] == "INSUFFICIENT_BALANCE"
    answers = await asyncio.gather(
        *(purse.act("charge", amount_minor=15, expect=None) for _ in range(5)),
        *(purse.act("reserve", amount_minor=15, expect=None) for _ in range(5)),
    )
    assert len([answer for answer in answers if "reason" not in answer]) == 1
    posted, reserved, available = await purse.balance()
    assert available == 5
    assert await purse.books() == (posted, reserved)


async def test_a_hold_that_was_refused_cannot_be_committed(purse, platform):
    """Reported against Blnk: committing a rejected inflight transaction moved the money."""
    await purse.top_up(100)
    refused = await purse.reserve(101, expect=409)
    assert refused["reason"] == "INSUFFICIENT_BALANCE"
    held = (await purse.reserve(100))["reservation"]["id"]
    await purse.close(held, "release")
    for body in ({}, {"amount_minor": 1}, {"final": True}):
        refused = await purse.close(held, "commit", expect=409, **body)
        assert refused["reason"] == "RESERVATION_RELEASED"
    assert await purse.balance() == (100, 0, 100)
    connection = await asyncpg.connect(platform.stores.admin_url)
    stored = await connection.fetchval(
        "SELECT count(*) FROM billing_core.reservations WHERE wallet_id = $1", purse.id
    )
    await connection.close()
    assert stored == 1, "what was refused left nothing that could be committed"


async def test_cancelling_restores_what_was_reserved_and_nothing_else(purse):
    """Reported against Midaz: a cancelled hold gave back to, or took from, the wrong balance."""
    await purse.top_up(300)
    first, second = [(await purse.reserve(100))["reservation"]["id"] for _ in range(2)]
    await purse.close(first, "commit", amount_minor=40)
    await purse.charge(50)
    freed = await purse.close(first, "release")
    assert freed["released_minor"] == 60
    assert await purse.balance() == (210, 100, 110)
    await purse.close(second, "release")
    assert await purse.balance() == (210, 0, 210)
    assert await purse.books() == (210, 0)
    again = await purse.close(first, "release", expect=409)
    assert again["reason"] == "RESERVATION_RELEASED"
    assert await purse.balance() == (210, 0, 210)


async def test_no_balance_is_without_its_entry(purse, platform):
    """Reported against Midaz: a balance was changed while its operation was not stored."""
    await purse.top_up(90)
    await purse.grant(10)
    await purse.charge(30)
    held = (await purse.reserve(20))["reservation"]["id"]
    await purse.close(held, "commit", amount_minor=5, final=True)
    listed = await purse.send("GET", f"/v1/wallets/{purse.id}/operations")
    assert sum(item["amount_minor"] for item in listed["data"]) == (await purse.balance())[0] == 65
    for item in listed["data"]:
        path = f"/v1/ledger/transactions/{item['transaction_id']}"
        transaction = await purse.send("GET", path)
        moved = [leg for leg in transaction["postings"] if leg["amount_minor"]]
        assert {leg["amount_minor"] for leg in moved} == {abs(item["amount_minor"])}


async def test_a_top_up_is_not_doubled(platform):
    """Reported against Lago: a retried or concurrent top-up credited a wallet twice."""
    payer = await Payer(platform, "ten_bugs_top_up").open()
    intent = (await payer.shop.paid(500, customer=payer.customer))["id"]
    answers = await asyncio.gather(
        *(
            payer.purse.act(
                *("top_up",), key=f"k-{number % 4}", expect=None,
                amount_minor=500, payment_intent_id=intent,
            )
            for number in range(12)
        )
    )  # fmt: skip
    done = {answer["operation"]["id"] for answer in answers if "operation" in answer}
    assert len(done) == 1
    assert await payer.purse.balance() == (500, 0, 500)
    manual = Purse(platform, payer.tenant)
    await manual.open()
    await asyncio.gather(*(manual.top_up(100, key="same", expect=None) for _ in range(12)))
    assert await manual.balance() == (100, 0, 100)
