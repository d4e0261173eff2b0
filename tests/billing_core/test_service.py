"""What wallets do, told as stories."""

import asyncio

import asyncpg
import pytest

from tests.chassis.waiting import eventually


async def test_more_than_is_there_is_refused_with_what_is_there(purse):
    await purse.top_up(100)
    held = (await purse.reserve(70))["reservation"]
    for verb in ("charge", "reserve"):
        refused = await purse.act(verb, amount_minor=31, expect=409)
        assert refused["reason"] == "INSUFFICIENT_BALANCE"
        assert refused["metadata"]["available_minor"] == 30
    await purse.charge(30)
    assert await purse.balance() == (70, 70, 0)
    await purse.close(held["id"], "commit")
    assert await purse.balance() == (0, 0, 0)


async def test_a_charge_may_draw_the_overdraft_and_a_reserve_never_does(purse):
    await purse.open("USD", overdraft_minor=50)
    await purse.top_up(20)
    refused = await purse.reserve(21, expect=409)
    assert refused["reason"] == "INSUFFICIENT_BALANCE"
    await purse.charge(70)
    assert await purse.balance() == (-50, 0, -50)
    assert (await purse.charge(1, expect=409))["reason"] == "INSUFFICIENT_BALANCE"
    await purse.grant(80)
    assert await purse.credits() == [30]
    assert await purse.balance() == (30, 0, 30)


async def test_credits_are_used_in_their_order_and_come_back_to_where_they_were(purse):
    await purse.top_up(100)
    late = await purse.grant(50, expires_at="2199-01-01T00:00:00Z")
    soon = await purse.grant(40, expires_at="2100-01-01T00:00:00Z")
    first = await purse.grant(30, kind="purchased", priority=1)
    assert [item["id"] for item in first["balance"]["credits"]] == [
        first["credit"]["id"],
        soon["credit"]["id"],
        late["credit"]["id"],
    ]
    taken = await purse.charge(85)
    assert await purse.credits() == [35]
    more = await purse.charge(60)
    assert await purse.credits() == []
    assert await purse.balance() == (75, 0, 75)
    refund = f"/v1/wallets/{purse.id}/operations/{more['operation']['id']}:refund"
    await purse.send("POST", refund, {"amount_minor": 30})
    assert await purse.credits() == [5]
    await purse.send("POST", refund)
    assert await purse.credits() == [35]
    refused = await purse.send("POST", refund, {"amount_minor": 1}, expect=409)
    assert refused["reason"] == "REFUND_EXCEEDS_OPERATION"
    whole = f"/v1/wallets/{purse.id}/operations/{taken['operation']['id']}:refund"
    await purse.send("POST", whole)
    assert await purse.credits() == [30, 40, 50]
    assert await purse.balance() == (220, 0, 220)
    assert await purse.account("revenue:EUR") == 0


async def test_an_ended_credit_is_taken_away_but_for_what_is_reserved(purse, platform):
    await purse.grant(100, expires_at="2199-01-01T00:00:00Z")
    await purse.top_up(50)
    held = (await purse.reserve(60))["reservation"]
    await _set(platform, "credits SET expires_at = now()", purse.id)
    assert await purse.balance() == (110, 60, 50)
    refused = await purse.charge(51, expect=409)
    assert refused["metadata"]["available_minor"] == 50
    await purse.close(held["id"], "commit", amount_minor=20, final=True)
    assert await purse.balance() == (50, 0, 50)
    await eventually(lambda: _quiet(platform, purse.id))
    assert await purse.books() == (50, 0)
    assert await purse.account("promotions:EUR") == 20


async def test_a_reservation_that_runs_out_frees_what_it_held(purse, platform):
    await purse.top_up(100)
    held = (await purse.reserve(80, ttl_seconds=3600))["reservation"]
    await purse.close(held["id"], "commit", amount_minor=30)
    await _set(platform, "reservations SET expires_at = now()", purse.id)
    for verb in ("commit", "release"):
        refused = await purse.close(held["id"], verb, expect=409)
        assert refused["reason"] == "RESERVATION_EXPIRED"
    found = f"/v1/reservations/{held['id']}"
    await eventually(lambda: _is(purse, found, "expired"))
    assert await purse.balance() == (70, 0, 70)
    assert await purse.books() == (70, 0)
    for verb in ("commit", "release"):
        refused = await purse.close(held["id"], verb, expect=409)
        assert refused["reason"] == "RESERVATION_EXPIRED"


async def test_what_is_closed_stays_closed(purse):
    await purse.top_up(100)
    released = (await purse.reserve(40))["reservation"]["id"]
    await purse.close(released, "release")
    committed = (await purse.reserve(40))["reservation"]["id"]
    await purse.close(committed, "commit")
    for reservation, reason in (
        (released, "RESERVATION_RELEASED"),
        (committed, "RESERVATION_COMMITTED"),
    ):
        for verb in ("commit", "release"):
            assert (await purse.close(reservation, verb, expect=409))["reason"] == reason
    open_one = (await purse.reserve(40))["reservation"]["id"]
    refused = await purse.close(open_one, "commit", amount_minor=41, expect=409)
    assert refused["reason"] == "COMMIT_EXCEEDS_RESERVATION"
    assert await purse.balance() == (60, 40, 20)


async def test_only_staff_corrects_a_balance(purse, platform):
    refused = await purse.act("adjust", amount_minor=5, reason="a gift", expect=403)
    assert refused["reason"] == "STAFF_ONLY"
    purse.headers = platform.headers(purse.tenant, subject="service:admin")
    await purse.act("adjust", amount_minor=5, reason="a gift")
    await purse.act("adjust", amount_minor=-5, reason="a mistake")
    refused = await purse.act("adjust", amount_minor=-1, reason="a mistake", expect=409)
    assert refused["reason"] == "INSUFFICIENT_BALANCE"
    assert await purse.account("adjustments:EUR") == 0


async def test_fifty_equal_requests_have_one_effect(purse):
    await purse.top_up(1000)
    path = f"/v1/wallets/{purse.id}:charge"
    headers = {**purse.headers, "Idempotency-Key": "once"}

    async def ask():
        async with purse.platform.http.post(
            purse.platform.url(path), json={"amount_minor": 10}, headers=headers
        ) as answer:
            return answer.status, await answer.json()

    answers = await asyncio.gather(*(ask() for _ in range(50)))
    done = [body for status, body in answers if status == 200]
    assert done
    assert all(body == done[0] for body in done)
    assert {body["reason"] for status, body in answers if status != 200} <= {
        "IDEMPOTENCY_KEY_IN_USE"
    }
    assert await purse.balance() == (990, 0, 990)
    other = await purse.act("charge", amount_minor=11, key="once", expect=422)
    assert other["reason"] == "IDEMPOTENCY_KEY_REUSED"


async def test_a_customer_has_one_wallet_a_currency_however_many_open_it(purse):
    purse.customer = "popular"
    made = await asyncio.gather(*(purse.open() for _ in range(10)))
    assert len({item["id"] for item in made}) == 1


async def test_the_database_itself_refuses_to_overspend(purse, platform):
    await purse.top_up(10)
    with pytest.raises(asyncpg.CheckViolationError, match="no_overspend"):
        await _set(platform, "wallets SET reserved_minor = 11", purse.id, column="id")


async def _set(platform, change, wallet_id, column="wallet_id"):
    connection = await asyncpg.connect(platform.stores.admin_url)
    try:
        table, _, rest = change.partition(" ")
        await connection.execute(
            f"UPDATE billing_core.{table} {rest} WHERE {column} = $1", wallet_id
        )
    finally:
        await connection.close()


async def _quiet(platform, wallet_id):
    connection = await asyncpg.connect(platform.stores.admin_url)
    try:
        return not await connection.fetchval(
            "SELECT count(*) FROM billing_core.operations"
            " WHERE wallet_id = $1 AND state = 'pending'",
            wallet_id,
        )
    finally:
        await connection.close()


async def _is(purse, path, state):
    return (await purse.send("GET", path))["state"] == state
