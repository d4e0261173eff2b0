"""Wallets that are filled by payments, and that say when they run low."""

import asyncio

import pytest
from billplane.protos.payment.v1.events_pb2 import PaymentSucceeded

from tests.billing_core.payer import FILLED, Payer
from tests.billing_core.purse import Purse
from tests.chassis.waiting import eventually
from tests.fixtures.facts import tell


async def test_a_wallet_that_runs_low_is_filled_once_however_many_drain_it(platform):
    payer = await Payer(platform, "ten_fill").open("pm_card_visa", **FILLED)
    purse = payer.purse
    await purse.top_up(1000)
    await asyncio.gather(*(purse.charge(60) for _ in range(15)))
    await eventually(lambda: payer.has(1100))
    await eventually(lambda: _paid(payer))
    assert await payer.intents() == ["succeeded"]
    assert await purse.account("unapplied_payments:EUR") == 0
    assert await purse.books() == (1100, 0)
    # It may run low again.
    await purse.reserve(700)
    await eventually(lambda: payer.has(2100))
    assert await payer.intents() == ["succeeded"] * 2


async def _paid(payer):
    return set(await payer.asked()) == {"paid"}


async def test_a_card_that_is_declined_is_asked_once_until_the_wallet_was_full_again(platform):
    card = "pm_card_chargeCustomerFail"
    payer = await Payer(platform, "ten_fill_declined").open(card, **FILLED)
    purse = payer.purse
    await purse.top_up(1000)
    await purse.charge(600)
    await eventually(lambda: _failed(payer, 1))
    await purse.charge(100)
    await purse.top_up(300)
    await purse.charge(200)
    await eventually(lambda: _failed(payer, 2))
    assert await payer.asked() == ["failed", "failed"]
    assert await purse.balance() == (400, 0, 400)
    assert "succeeded" not in await payer.intents()


async def _failed(payer, times):
    return await payer.asked() == ["failed"] * times


async def test_a_customer_without_a_card_is_not_charged(platform):
    payer = await Payer(platform, "ten_fill_cardless").open(**FILLED)
    await payer.purse.top_up(500)
    await payer.purse.charge(1)
    await eventually(lambda: _failed(payer, 1))
    assert await payer.purse.balance() == (499, 0, 499)


async def test_a_payment_tops_up_once_however_often_it_is_told(platform):
    payer = await Payer(platform, "ten_fill_once").open()
    paid = PaymentSucceeded(
        payment_intent_id="pi_told",
        customer_id=payer.customer,
        processor="simulated",
        currency_code="EUR",
        amount_minor=700,
        top_up_wallet_id=payer.purse.id,
    )
    for event_id in ("", "", "evt_the_same", "evt_the_same"):
        await tell(platform, paid, "pi_told", payer.tenant, event_id=event_id, times=2)
    await eventually(lambda: payer.has(700))
    other = PaymentSucceeded()
    other.CopyFrom(paid)
    other.payment_intent_id = "pi_other"
    await tell(platform, other, "pi_other", payer.tenant)
    await eventually(lambda: payer.has(1400))
    assert await payer.purse.books() == (1400, 0)


async def test_a_payment_that_succeeded_is_named_once_and_must_be_that_payment(platform):
    payer = await Payer(platform, "ten_fill_named").open()
    purse = payer.purse
    intent = (await payer.shop.paid(900, customer=payer.customer))["id"]
    answers = [
        await purse.act("top_up", amount_minor=900, payment_intent_id=intent, key=key)
        for key in ("a", "b", "a")
    ]
    assert len({answer["operation"]["id"] for answer in answers}) == 1
    assert await purse.balance() == (900, 0, 900)
    assert await purse.account("cash:manual:EUR", expect=None) in (None, 0)
    wrong = await purse.act("top_up", amount_minor=901, payment_intent_id=intent, expect=409)
    assert wrong["reason"] == "PAYMENT_MISMATCH"
    stranger = (await payer.shop.paid(900))["id"]
    wrong = await purse.act("top_up", amount_minor=900, payment_intent_id=stranger, expect=409)
    assert wrong["reason"] == "PAYMENT_MISMATCH"
    form = {"amount": 900, "currency": "eur", "customer": payer.customer}
    unpaid = (await payer.shop.make("/v1/payment_intents", form))["id"]
    wrong = await purse.act("top_up", amount_minor=900, payment_intent_id=unpaid, expect=409)
    assert wrong["reason"] == "PAYMENT_NOT_SUCCEEDED"


async def test_a_customer_is_told_once_that_the_balance_is_low(platform):
    payer = await Payer(platform, "ten_fill_low").open(low_balance_minor=500)
    purse = payer.purse
    await purse.top_up(1000)
    for _ in range(3):
        await purse.charge(200)
    found = await eventually(lambda: _mails(payer))
    assert [item["recipient"] for item in found] == ["ada@example.com"]
    assert found[0]["variables"]["available"] == "4.00 EUR"
    assert found[0]["variables"]["threshold"] == "5.00 EUR"
    await purse.top_up(1000)
    held = await purse.reserve(1000)
    await eventually(lambda: _mails(payer, 2))
    assert held["balance"]["available_minor"] == 400


async def _mails(payer, times=1):
    page = await payer.purse.send("GET", "/v1/notifications")
    found = [item for item in page["data"] if item["template"] == "balance_low"]
    assert len(found) <= times
    return found if len(found) == times else None


@pytest.mark.parametrize("change", [{"auto_top_up": None}, {"low_balance_minor": 10}])
async def test_when_a_wallet_is_filled_can_be_changed(platform, change):
    purse = Purse(platform, f"ten_fill_change_{next(iter(change))}")
    await purse.open(**FILLED, low_balance_minor=400)
    changed = await purse.send("PATCH", f"/v1/wallets/{purse.id}", change)
    wanted = {**FILLED, "low_balance_minor": 400, **change}
    assert {name: changed[name] for name in wanted} == wanted
