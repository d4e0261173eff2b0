"""A process that dies between any two steps: what was answered stays, and nothing is twice."""

import asyncio

import aiohttp
import asyncpg
import pytest
from billplane import catalog
from billplane.chassis.faults import POINTS

from tests.fixtures.platform import running
from tests.ledger.books import Books, legs
from tests.ledger.processes import serving

FAULTS = ["ledger.before_apply", "ledger.after_apply", "ledger.after_end_before_answer"]
TENANT = "ten_ledger_kills"


def test_every_fault_point_of_ledger_is_tried_here():
    catalog.load("ledger")
    assert {name for name in POINTS if name.startswith("ledger.")} == set(FAULTS)


class Mover:
    """Moves 1 from one account to another until nobody answers; remembers what was answered."""

    def __init__(self, http, url, headers, accounts, lane):
        self.http, self.url, self.headers, self.accounts = http, url, headers, accounts
        self.lane = lane
        self.answered, self.open = {}, []

    async def move_until_it_dies(self):
        number = 0
        while await self.move(f"k-{self.lane}-{number}"):
            number += 1

    async def move(self, key):
        """Send one transaction under a key; False once nobody is there any more."""
        body = {"postings": legs(*self.accounts, 1), "currency_code": "EUR"}
        headers = {**self.headers, "Idempotency-Key": key}
        try:
            async with self.http.post(self.url, json=body, headers=headers) as answer:
                assert answer.status == 201, await answer.text()
                self.answered[key] = (await answer.json())["id"]
                return True
        except aiohttp.ClientError:
            self.open.append(key)
            return False


async def _until_it_dies(stores, headers, accounts, fault):
    async with serving(stores, FAULT=fault) as served, aiohttp.ClientSession() as http:
        path = f"{served.url}/v1/ledger/transactions"
        movers = [Mover(http, path, headers, accounts, lane) for lane in range(4)]
        async with asyncio.timeout(60):
            await asyncio.gather(*(mover.move_until_it_dies() for mover in movers))
            assert await served.process.wait() == 137
    answered = {key: value for mover in movers for key, value in mover.answered.items()}
    return answered, [key for mover in movers for key in mover.open]


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_was_answered_before_a_death_stays_and_a_retry_adds_nothing(make_stores, fault):
    stores = await make_stores()
    async with running(stores, ("ledger",)) as platform:
        books = Books(platform, TENANT)
        accounts = await books.pair()
        headers = books.headers
    answered, unknown = await _until_it_dies(stores, headers, accounts, f"{fault}:12")
    assert unknown, "the process died, so something was not answered"
    async with running(stores, ("ledger",)) as platform:
        books = Books(platform, TENANT)
        assert await platform.violations() == []
        connection = await asyncpg.connect(stores.admin_url)
        stored = {row["id"] for row in await connection.fetch("SELECT id FROM ledger.transactions")}
        await connection.close()
        assert set(answered.values()) <= stored
        assert len(answered) <= len(stored) <= len(answered) + len(unknown)
        # The client sends again what it got no answer for, and some that it did.
        for key in [*unknown, *list(answered)[:3]]:
            again = await books.move(*accounts, 1, key=key)
            assert again["id"] == answered.get(key, again["id"])
        assert (await books.balance(accounts[1]))[0] == len(answered) + len(unknown)
