"""Two replicas on one wallet: nothing is spent twice and no cent is lost."""

import asyncio
import random

import aiohttp
import pytest

from tests.billing_core.purse import Purse
from tests.chassis.waiting import eventually
from tests.fixtures.platform import running

SERVICES = ("billing_core", "ledger", "subscription")
TENANT = "ten_bc_races"


@pytest.fixture(scope="module")
async def replicas(make_stores):
    """Run the services twice on the same stores."""
    stores = await make_stores()
    async with running(stores, SERVICES) as first, running(stores, SERVICES) as second:
        yield first, second


class Client:
    """Sends a request under its key to either replica until it is answered."""

    def __init__(self, replicas, seed):
        self.replicas, self.random, self.sent = replicas, random.Random(seed), 0
        self.seed = seed

    async def post(self, path, body):
        """Return the status and the answer; who is told to try again does so elsewhere."""
        self.sent += 1
        key = f"{self.seed}-{self.sent}"
        while True:
            platform = self.random.choice(self.replicas)
            headers = {**platform.headers(TENANT), "Idempotency-Key": key}
            twice = self.random.random() < 0.2
            requests = [
                platform.http.post(platform.url(path), json=body, headers=headers)
                for _ in range(2 if twice else 1)
            ]
            answers = await asyncio.gather(*(_read(request) for request in requests))
            done = [item for item in answers if item[0] < 300]
            assert all(item == done[0] for item in done)
            refused = [item for item in answers if item[0] >= 300]
            final = [item for item in refused if item[1]["reason"] != "IDEMPOTENCY_KEY_IN_USE"]
            if done or final:
                return (done or final)[0]


async def _read(request):
    async with request as answer:
        return answer.status, await answer.json()


async def test_reserving_committing_and_releasing_at_once_neither_overspends_nor_loses(replicas):
    purse = Purse(replicas[0], TENANT)
    await purse.open()
    await purse.top_up(700)
    await purse.grant(300, expires_at="2199-01-01T00:00:00Z")
    await purse.charge(1)
    before = await purse.account("revenue:EUR")
    await purse.act("top_up", amount_minor=1, manual_reason="again")
    spent = []

    async def work(seed):
        client = Client(replicas, seed)
        for _ in range(8):
            amount = client.random.randint(1, 300)
            path = f"/v1/wallets/{purse.id}"
            status, held = await client.post(f"{path}:reserve", {"amount_minor": amount})
            if status != 201:
                assert held["reason"] == "INSUFFICIENT_BALANCE"
                continue
            assert held["balance"]["available_minor"] >= 0
            path = f"/v1/reservations/{held['reservation']['id']}"
            if client.random.random() < 0.3:
                status, _ = await client.post(f"{path}:release", None)
                assert status == 200
                continue
            part = client.random.randint(1, amount)
            status, took = await client.post(f"{path}:commit", {"amount_minor": part})
            assert status == 200
            spent.append(-took["operation"]["amount_minor"])
            # The rest is taken by one and freed by another: one of them comes first.
            if part < amount:
                rest, freed = await asyncio.gather(
                    client.post(f"{path}:commit", {}), client.post(f"{path}:release", None)
                )
                assert sorted((rest[0], freed[0])) == [200, 409]
                if rest[0] == 200:
                    spent.append(-rest[1]["operation"]["amount_minor"])

    await asyncio.gather(*(work(seed) for seed in range(8)))
    left = 1000 - sum(spent)
    assert left >= 0
    assert await purse.balance() == (left, 0, left)
    assert await purse.books() == (left, 0)
    assert await purse.account("revenue:EUR") - before == sum(spent)


async def test_the_last_money_goes_to_one_of_many(replicas):
    purse = Purse(replicas[0], TENANT)
    await purse.open()
    await purse.top_up(100)
    path = f"/v1/wallets/{purse.id}:charge"
    clients = [Client(replicas, seed) for seed in range(100, 120)]
    answers = await asyncio.gather(*(item.post(path, {"amount_minor": 60}) for item in clients))
    assert sorted(status for status, _ in answers) == [200, *[409] * 19]
    assert await purse.balance() == (40, 0, 40)
    assert await purse.books() == (40, 0)


async def test_a_key_has_one_effect_at_two_replicas(replicas):
    purse = Purse(replicas[0], TENANT)
    await purse.open()
    await purse.top_up(100)
    path = f"/v1/wallets/{purse.id}:reserve"

    async def ask(number):
        platform = replicas[number % 2]
        headers = {**platform.headers(TENANT), "Idempotency-Key": "one-reservation"}
        body = {"amount_minor": 10}
        async with platform.http.post(platform.url(path), json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    answers = await asyncio.gather(*(ask(number) for number in range(50)))
    made = {body["reservation"]["id"] for status, body in answers if status == 201}
    assert len(made) == 1
    assert {body["reason"] for status, body in answers if status != 201} <= {
        "IDEMPOTENCY_KEY_IN_USE"
    }
    assert await purse.balance() == (100, 10, 90)
    assert await purse.books() == (100, 10)


async def test_both_janitors_complete_what_a_client_gave_up_on(replicas):
    purse = Purse(replicas[0], TENANT)
    await purse.open()
    await purse.top_up(1000)
    path = f"/v1/wallets/{purse.id}:charge"
    timeout = aiohttp.ClientTimeout(total=0.03)

    async def ask(number):
        platform = replicas[number % 2]
        headers = {**platform.headers(TENANT), "Idempotency-Key": f"gone-{number}"}
        try:
            async with platform.http.post(
                platform.url(path), json={"amount_minor": 10}, headers=headers, timeout=timeout
            ):
                return
        except TimeoutError:
            return

    await asyncio.gather(*(ask(number) for number in range(20)))
    taken = 0
    for number in range(20):

        async def answered(key=f"gone-{number}"):
            answer = await purse.charge(10, key=key, expect=None)
            return None if answer.get("reason") == "IDEMPOTENCY_KEY_IN_USE" else answer

        taken -= (await eventually(answered))["operation"]["amount_minor"]
    assert taken == 200
    assert await purse.balance() == (800, 0, 800)
    assert await purse.books() == (800, 0)
