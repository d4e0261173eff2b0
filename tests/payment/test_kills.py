"""A process that dies while it pays: nothing is lost, and nothing is done twice.

The processor is Stripe's contract: the tests' own platform speaks it, and counts.
"""

import asyncio
import hashlib
import os
import sys

import aiohttp
import pytest
from billplane import catalog
from billplane.chassis.faults import POINTS

from tests.fixtures.ports import free_port_offset
from tests.payment.biller import Biller
from tests.payment.shop import Shop, encoded, run_janitor

STEPS = ("payment.after_attempt", "payment.after_processor", "payment.before_outcome_ends")
COLLECTING = ("payment.after_wallet_credit",)


def test_every_fault_point_of_payment_is_tried_here():
    assert {name for name in POINTS if name.startswith("payment.")} == {*STEPS, *COLLECTING}


@pytest.fixture(scope="module")
async def bank(platform):
    """Give a tenant of the platform that plays the processor."""
    body = {"email": "bank@example.com", "password": "securepassword"}
    user = await platform.request("POST", "/auth/register", json=body, expect=201)
    session = await platform.request("POST", "/auth/login", json=body, expect=200)
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    made = await platform.request("POST", "/auth/api_keys", json={}, headers=headers, expect=201)
    return Shop(platform, user["tenant_id"], {"key": made["key"]})


@pytest.fixture(scope="module")
async def beside(platform, bank, run_platform):
    """Give the service once more on the same stores, with the bank as its processor."""
    environ = {
        "BILLPLANE_PAYMENT_PROCESSOR": "stripe",
        "BILLPLANE_PAYMENT_STRIPE_API_KEY": bank.headers.pop("key"),
        "BILLPLANE_PAYMENT_STRIPE_API_BASE": platform.url(""),
    }
    async with run_platform(platform.stores, ("payment",), **environ) as found:
        yield found


@pytest.fixture
def shop(beside, request):
    """Give a tenant that nobody else uses, whose processor is the bank."""
    name = hashlib.blake2b(request.node.nodeid.encode(), digest_size=6).hexdigest()
    return Shop(beside, f"ten_kill_{name}")


async def send_to_a_process_that_dies(shop, fault, path, form, key):
    """Run the service in a process of its own; `fault` may be empty, then it lives."""
    offset = free_port_offset()
    environ = {
        **os.environ,
        **shop.platform.environ,
        "BILLPLANE_PORT_OFFSET": str(offset),
        "BILLPLANE_LOG_LEVEL": "WARNING",
        "FAULT": fault,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run", "payment"), env=environ
    )
    headers = {
        **shop.platform.headers(shop.tenant),
        "Content-Type": "application/x-www-form-urlencoded",
        "Idempotency-Key": key,
    }
    url = f"http://127.0.0.1:{8004 + offset}"
    try:
        async with aiohttp.ClientSession() as http:
            await _ready(http, f"{url}/health/ready")
            with pytest.raises(aiohttp.ClientError):
                async with http.post(url + path, data=encoded(form), headers=headers) as answer:
                    pytest.fail(f"it lives: {answer.status} {await answer.text()}")
        async with asyncio.timeout(20):
            assert await process.wait() == 137
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ready(http, url):
    async with asyncio.timeout(90):
        while True:
            try:
                async with http.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)


PAY = {"amount": 900, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}


HELD = {**PAY, "capture_method": "manual"}


@pytest.mark.parametrize("fault", STEPS)
async def test_a_payment_that_was_cut_off_is_ended_once(shop, bank, fault):
    await send_to_a_process_that_dies(shop, fault, "/v1/payment_intents", PAY, "the-key")
    (row,) = await shop.query("SELECT id, state FROM payment.payment_intents WHERE tenant_id = $1")
    assert row["state"] == "processing"
    await run_janitor(shop.platform)
    intent = await shop.get(f"/v1/payment_intents/{row['id']}?expand[]=latest_charge")
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 900)
    again = await shop.make("/v1/payment_intents", PAY, headers={"Idempotency-Key": "the-key"})
    assert again["id"] == intent["id"]
    assert len(await shop.facts("payment.succeeded", 1)) == 1
    paid = await bank.query(
        "SELECT id FROM payment.payment_intents WHERE tenant_id = $1 AND state = 'succeeded'"
        f" AND metadata ->> 'billplane_payment_intent' = '{row['id']}'"
    )
    assert len(paid) == 1
    assert await shop.platform.violations() == []


async def test_a_capture_that_was_cut_off_is_ended_once(shop, bank):
    held = await shop.make("/v1/payment_intents", HELD)
    path = f"/v1/payment_intents/{held['id']}/capture"
    form = {"amount_to_capture": 400}
    await send_to_a_process_that_dies(shop, "payment.after_processor", path, form, "k")
    await run_janitor(shop.platform)
    intent = await shop.get(f"/v1/payment_intents/{held['id']}")
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 400)
    again = await shop.make(path, form, headers={"Idempotency-Key": "k"})
    assert again["amount_received"] == 400
    assert [fact["amount_minor"] for fact in await shop.facts("payment.succeeded", 1)] == [400]


async def test_a_refund_that_was_cut_off_is_ended_once(shop, bank):
    held = await shop.make("/v1/payment_intents", HELD)
    paid = await shop.make(f"/v1/payment_intents/{held['id']}/capture")
    form = {"payment_intent": paid["id"], "amount": 250}
    await send_to_a_process_that_dies(shop, "payment.after_processor", "/v1/refunds", form, "k")
    await run_janitor(shop.platform)
    refunds = (await shop.get(f"/v1/refunds?payment_intent={paid['id']}"))["data"]
    assert [(item["status"], item["amount"]) for item in refunds] == [("succeeded", 250)]
    again = await shop.make("/v1/refunds", form, headers={"Idempotency-Key": "k"})
    assert again["id"] == refunds[0]["id"]
    given = await bank.query(
        "SELECT r.id FROM payment.refunds r JOIN payment.payment_intents i USING (tenant_id)"
        " WHERE tenant_id = $1 AND i.id = r.payment_intent_id"
        f" AND i.metadata ->> 'billplane_payment_intent' = '{paid['id']}'"
    )
    assert len(given) == 1


async def test_credit_is_taken_once_though_its_taker_died(make_stores, run_platform):
    stores = await make_stores()
    others = tuple(name for name in catalog.SERVICES if name != "payment")
    async with run_platform(stores, others) as platform:
        biller = Biller(platform, "ten_kill_credit")
        customer = await biller.customer()
        body = {"customer_id": customer, "currency_code": "EUR"}
        wallet = await biller.own("POST", "/v1/wallets", body, 201)
        top_up = {"amount_minor": 400, "manual_reason": "cash"}
        await biller.own("POST", f"/v1/wallets/{wallet['id']}:top_up", top_up)
        invoice = await biller.invoice(customer)
        environ = {**os.environ, **platform.environ, "BILLPLANE_LOG_LEVEL": "WARNING"}
    environ |= {"BILLPLANE_PORT_OFFSET": str(free_port_offset())}
    environ |= {"FAULT": COLLECTING[0]}
    services = ("billing_core", "exchange_rate", "ledger", "payment", "pricing", "subscription")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run", *services), env=environ
    )
    async with asyncio.timeout(120):
        assert await process.wait() == 137
    async with run_platform(stores) as platform:
        biller = Biller(platform, "ten_kill_credit")
        row = await biller.collection(invoice, lambda row: row["state"] == "waiting")
        assert (row["credit_minor"], row["rounds"]) == (400, 1)
        assert len(await biller.facts("credit.applied", 1)) == 1
        found = await biller.own("GET", f"/v1/wallets/{wallet['id']}", expect=200)
        assert found["balance"]["available_minor"] == 0
