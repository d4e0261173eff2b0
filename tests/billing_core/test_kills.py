"""A process that dies between any two steps: what was answered stays, and nothing is twice."""

import asyncio
import itertools
import os
import sys

import aiohttp
import pytest
from billplane import catalog
from billplane.chassis.faults import POINTS

from tests.billing_core.payer import FILLED, Payer
from tests.billing_core.purse import Purse
from tests.chassis.waiting import eventually
from tests.fixtures.platform import running
from tests.fixtures.ports import free_port_offset

SERVICES = ("billing_core", "ledger", "subscription")
TENANT = "ten_bc_kills"
MOVING = [
    "billing_core.after_decision",
    "billing_core.after_posting",
    "billing_core.before_completion_ends",
]
OPENING = ["billing_core.after_wallet", "billing_core.after_account"]
REFUSING = ["billing_core.before_refusal_ends"]
FILLING = ["billing_core.after_asking_payment"]


def test_every_fault_point_of_billing_core_is_tried_here():
    catalog.load("billing_core")
    tried = {*MOVING, *OPENING, *REFUSING, *FILLING}
    assert {name for name in POINTS if name.startswith("billing_core.")} == tried


class Client:
    """Sends requests under keys; remembers what was answered and what was not."""

    def __init__(self, http, url, headers):
        self.http, self.url, self.headers = http, url, headers
        self.answered, self.unknown = {}, []

    async def post(self, key, path, body):
        """Return the answer, None once nobody is there any more."""
        headers = {**self.headers, "Idempotency-Key": key}
        try:
            async with self.http.post(f"{self.url}{path}", json=body, headers=headers) as answer:
                found = await answer.json()
                self.answered[key] = (answer.status, found)
                return found
        except aiohttp.ClientError:
            self.unknown.append((key, path, body))
            return None


async def spend(client, wallet, lane):
    """Reserve, commit a part and free the rest, again and again."""
    for number in itertools.count():
        name = f"{lane}-{number}"
        path = f"/v1/wallets/{wallet}"
        held = await client.post(f"{name}-r", f"{path}:reserve", {"amount_minor": 10})
        if held is None:
            return
        path = f"/v1/reservations/{held['reservation']['id']}"
        part = {"amount_minor": 4, "final": number % 2 == 0}
        if await client.post(f"{name}-c", f"{path}:commit", part) is None:
            return
        if number % 2 and await client.post(f"{name}-f", f"{path}:release", None) is None:
            return


async def _until_it_dies(stores, headers, fault, work, services=SERVICES):
    offset = free_port_offset()
    environ = {**os.environ, **stores.environ(offset), "FAULT": fault}
    environ["BILLPLANE_LOG_LEVEL"] = "WARNING"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run", *services), env=environ
    )
    url = f"http://127.0.0.1:{8080 + offset}"
    try:
        async with aiohttp.ClientSession() as http:
            await eventually(lambda: _is_up(http, url), 60)
            client = Client(http, url, headers)
            async with asyncio.timeout(120):
                await work(client)
                assert await process.wait() == 137
        return client
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _is_up(http, url):
    try:
        async with http.get(f"{url}/health/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def _same_again(purse, client):
    """Send again what was not answered, and some that was; return every answer by key."""
    answers = dict(client.answered)
    for key, path, body in client.unknown:
        answers[key] = (0, await purse.send("POST", path, body, key=key, expect=None))
    return answers


@pytest.mark.parametrize("fault", MOVING)
async def test_what_was_answered_before_a_death_stays_and_a_retry_adds_nothing(make_stores, fault):
    stores = await make_stores()
    async with running(stores, SERVICES) as platform:
        purse = Purse(platform, TENANT)
        await purse.open()
        await purse.top_up(100_000)
        wallet, headers = purse.id, platform.headers(TENANT)

    async def work(client):
        await asyncio.gather(*(spend(client, wallet, lane) for lane in range(3)))

    client = await _until_it_dies(stores, headers, f"{fault}:9", work)
    assert client.unknown, "the process died, so something was not answered"
    async with running(stores, SERVICES) as platform:
        purse = Purse(platform, TENANT)
        purse.id = wallet
        assert await platform.violations() == []
        answers = await _same_again(purse, client)
        again = await _same_again(purse, client)
        assert again == answers
        committed = sum(
            -found["operation"]["amount_minor"]
            for _, found in answers.values()
            if found.get("operation")
        )
        opened = [found for key, (_, found) in answers.items() if key.endswith("-r")]
        for found in opened:
            await purse.close(found["reservation"]["id"], "release", expect=None)
        left = 100_000 - committed
        assert await purse.balance() == (left, 0, left)
        assert await purse.books() == (left, 0)


async def test_the_janitor_completes_what_nobody_asks_for_again(make_stores):
    stores = await make_stores()
    async with running(stores, SERVICES) as platform:
        purse = Purse(platform, TENANT)
        await purse.open()
        await purse.top_up(1000)
        wallet, headers = purse.id, platform.headers(TENANT)

    async def work(client):
        await client.post("k", f"/v1/wallets/{wallet}:charge", {"amount_minor": 10})

    await _until_it_dies(stores, headers, "billing_core.after_posting:1", work)
    options = {"BILLPLANE_BILLING_CORE_STALE_OPERATION_SECONDS": "0"}
    async with running(stores, SERVICES, **options) as platform:
        purse = Purse(platform, TENANT)
        purse.id = wallet

        async def all_done():
            found = (await purse.send("GET", f"/v1/wallets/{wallet}/operations"))["data"]
            return found if {item["state"] for item in found} == {"done"} else None

        listed = await eventually(all_done)
        answer = await purse.charge(10, key="k")
        assert answer["operation"]["id"] == listed[0]["id"]
        assert await purse.balance() == await purse.books() + (990,) == (990, 0, 990)


@pytest.mark.parametrize("fault", OPENING)
async def test_a_wallet_that_was_being_opened_is_opened_once(make_stores, fault):
    stores = await make_stores()
    async with running(stores, SERVICES) as platform:
        headers = platform.headers(TENANT)

    async def work(client):
        for number in range(3):
            body = {"customer_id": f"c-{number}", "currency_code": "EUR"}
            if await client.post(f"open-{number}", "/v1/wallets", body) is None:
                return

    client = await _until_it_dies(stores, headers, f"{fault}:2", work)
    async with running(stores, SERVICES) as platform:
        purse = Purse(platform, TENANT)
        answers = await _same_again(purse, client)
        opened = [found for _, found in answers.values()]
        assert [item["state"] for item in opened] == ["active", "active"]
        listed = await purse.send("GET", "/v1/wallets")
        assert {item["id"] for item in listed["data"]} == {item["id"] for item in opened}


@pytest.mark.parametrize("fault", REFUSING)
async def test_what_the_ledger_refused_is_undone_also_after_a_death(make_stores, fault):
    stores = await make_stores()
    async with running(stores, SERVICES) as platform:
        purse = Purse(platform, TENANT)
        await purse.open()
        await purse.grant(100)
        wallet, headers = purse.id, platform.headers(TENANT)
        # Somebody takes money out of the account that the wallet knows nothing of.
        theft = {"currency_code": "EUR", "external_id": "theft", "postings": [
            {"account_id": f"wallet:{wallet}", "direction": "debit", "amount_minor": 60},
            {"account_id": "adjustments:EUR", "direction": "credit", "amount_minor": 60},
        ]}  # fmt: skip
        taken = await purse.send("POST", "/v1/ledger/transactions", theft, expect=201)

    async def work(client):
        await client.post("k", f"/v1/wallets/{wallet}:charge", {"amount_minor": 50})

    await _until_it_dies(stores, headers, f"{fault}:1", work)
    options = {"BILLPLANE_BILLING_CORE_STALE_OPERATION_SECONDS": "0"}
    async with running(stores, SERVICES, **options) as platform:
        purse = Purse(platform, TENANT)
        purse.id = wallet
        refused = await purse.charge(50, key="k", expect=409)
        assert refused["reason"] == "INSUFFICIENT_FUNDS"
        assert await purse.balance() == (100, 0, 100)
        assert await purse.credits() == [100]
        path = f"/v1/ledger/transactions/{taken['id']}:reverse"
        await purse.send("POST", path, {}, expect=201)
        await purse.charge(50)
        assert await purse.credits() == [50]
        assert await purse.books() == (50, 0)


@pytest.mark.parametrize("fault", FILLING)
async def test_a_wallet_is_filled_once_also_by_who_died_while_asking(make_stores, fault):
    stores, services = await make_stores(), (*SERVICES, "payment")
    async with running(stores, services) as platform:
        payer = await Payer(platform, TENANT).open("pm_card_visa", **FILLED)
        await payer.purse.top_up(1000)
        wallet, headers = payer.purse.id, platform.headers(TENANT)

    async def work(client):
        found = await client.post("k", f"/v1/wallets/{wallet}:charge", {"amount_minor": 600})
        assert found["balance"]["available_minor"] == 400

    await _until_it_dies(stores, headers, f"{fault}:1", work, services)
    async with running(stores, services) as platform:
        again = Payer(platform, TENANT)
        again.customer, again.purse.id = payer.customer, wallet
        await eventually(lambda: again.has(1400))
        assert await again.intents() == ["succeeded"]
        assert await again.purse.books() == (1400, 0)
