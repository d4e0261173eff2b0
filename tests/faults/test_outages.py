"""Ways to the stores that cut, swallow or delay: what was acknowledged is stored, and once.

Between the services and their stores stands a proxy. Payers go on throughout; each request has a
key, and is sent again under it until it is answered.
"""

import asyncio
import itertools
from dataclasses import replace
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from tests.billing_core.purse import Purse
from tests.chassis.waiting import eventually
from tests.fixtures.platform import running
from tests.fixtures.proxy import Proxy
from tests.ledger.books import Books, legs
from tests.payment.shop import encoded

SERVICES = ("billing_core", "ledger", "payment", "subscription")
LANES = 3
GOES_ON_SECONDS = 90
ANSWER_SECONDS = 10
QUICK = {
    "BILLPLANE_DATABASE_ANSWER_SECONDS": "1",
    "BILLPLANE_PAYMENT_STALE_ATTEMPT_SECONDS": "1",
    "BILLPLANE_BILLING_CORE_STALE_OPERATION_SECONDS": "1",
}
_TENANTS = itertools.count()


class Ways:
    """A platform whose ways to Postgres and to Redis pass through proxies."""

    def __init__(self, platform, postgres, redis):
        self.platform, self.postgres, self.redis = platform, postgres, redis


@pytest.fixture(scope="module")
async def ways(make_stores):
    stores = await make_stores()
    database, redis = urlsplit(stores.database_url), urlsplit(stores.redis_url)
    async with (
        Proxy(database.hostname, database.port) as to_postgres,
        Proxy(redis.hostname, redis.port) as to_redis,
    ):
        user, _ = database.netloc.rsplit("@", 1)
        secret, at, _ = redis.netloc.rpartition("@")
        proxied = replace(
            stores,
            database_url=database._replace(netloc=f"{user}@127.0.0.1:{to_postgres.port}").geturl(),
            redis_url=redis._replace(netloc=f"{secret}{at}127.0.0.1:{to_redis.port}").geturl(),
        )
        async with running(proxied, SERVICES, **QUICK) as platform:
            yield Ways(platform, to_postgres, to_redis)


class Payers:
    """Tenants' payers: they move money, reserve and commit, and pay, until they are told to end."""

    def __init__(self, platform):
        self.platform = platform
        self.tenant = f"ten_outage_{next(_TENANTS)}"
        self.books, self.purse = Books(platform, self.tenant), Purse(platform, self.tenant)
        self.over = False
        self.unanswered = 0
        self.moved, self.charged, self.paid = {}, {}, {}

    async def open(self):
        self.accounts = await self.books.pair()
        await self.purse.open()
        await self.purse.top_up(1_000_000)

    async def send(self, key, path, body, port=8080):
        """Send a request under its key until it is answered well, and return what was answered."""
        form = port == 8004
        headers = {**self.books.headers, "Idempotency-Key": f"{self.tenant}-{key}"}
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        options = {"data": encoded(body)} if form else {"json": body}
        url = self.platform.url(path, port)
        async with asyncio.timeout(GOES_ON_SECONDS):
            while True:
                try:
                    async with self.platform.http.post(
                        url,
                        headers={**headers, "Content-Type": kind},
                        timeout=aiohttp.ClientTimeout(ANSWER_SECONDS),
                        **options,
                    ) as answer:
                        found = await answer.json()
                        if answer.status < 300:
                            return found
                        # Away, or the first request with the key still runs.
                        assert answer.status in (409, 429, 503, 504), found
                except (TimeoutError, aiohttp.ClientError):
                    pass
                self.unanswered += 1
                await asyncio.sleep(0.05)

    async def move(self, name):
        body = {"postings": legs(*self.accounts, 3), "currency_code": "EUR"}
        self.moved[name] = (await self.send(f"m-{name}", "/v1/ledger/transactions", body))["id"]

    async def spend(self, name):
        path = f"/v1/wallets/{self.purse.id}"
        held = await self.send(f"r-{name}", f"{path}:reserve", {"amount_minor": 10})
        path = f"/v1/reservations/{held['reservation']['id']}:commit"
        done = await self.send(f"c-{name}", path, {"amount_minor": 7, "final": True})
        self.charged[name] = done["operation"]["id"]

    async def pay(self, name):
        form = {"amount": 900, "currency": "eur", "payment_method": "pm_card_visa"}
        path = "/v1/payment_intents"
        found = await self.send(f"p-{name}", path, {**form, "confirm": True}, 8004)
        self.paid[name] = found["id"]

    async def lane(self, act, lane):
        for number in itertools.count():
            if self.over:
                return
            await act(f"{lane}-{number}")

    async def during(self, fault):
        """Go on while something goes wrong, then until every request is answered."""
        acts = [self.move, self.spend, self.pay]
        lanes = [asyncio.create_task(self.lane(act, lane)) for act in acts for lane in range(LANES)]
        try:
            await fault(self)
            self.over = True
            await asyncio.gather(*lanes)
        finally:
            for task in lanes:
                task.cancel()

    async def some(self, count):
        """Wait until each kind of payer was answered so often again."""
        kinds = (self.moved, self.charged, self.paid)
        before = [len(kind) for kind in kinds]

        async def more():
            pairs = zip(kinds, before, strict=True)
            return all(len(kind) >= start + count for kind, start in pairs)

        await eventually(more, GOES_ON_SECONDS)

    async def check(self):
        """What was acknowledged is stored, nothing is twice, and the books are whole."""
        assert len(set(self.moved.values())) == len(self.moved)
        assert len(set(self.charged.values())) == len(self.charged)
        assert len(set(self.paid.values())) == len(self.paid)
        moved = 3 * len(self.moved)
        assert (await self.books.balance(self.accounts[1]))[0] == moved
        left = 1_000_000 - 7 * len(self.charged)
        assert await self.purse.balance() == (left, 0, left)
        assert await self.purse.books() == (left, 0)
        states = await self.rows("SELECT state FROM payment.payment_intents WHERE tenant_id = $1")
        assert [row["state"] for row in states] == ["succeeded"] * len(self.paid)
        charges = await self.rows("SELECT id FROM payment.charges WHERE tenant_id = $1")
        assert len(charges) == len(self.paid)

        async def posted():
            rows = await self.rows(
                "SELECT external_id, posted_minor FROM ledger.accounts WHERE tenant_id = $1"
            )
            found = {row["external_id"]: row["posted_minor"] for row in rows}
            cash = found.get("cash:simulated:EUR", 0) + found.get("fees:EUR", 0)
            assert cash <= 900 * len(self.paid), "a payment is in the books twice"
            return cash == 900 * len(self.paid)

        await eventually(posted, GOES_ON_SECONDS)
        assert await self.platform.violations() == []

    async def rows(self, query):
        connection = await asyncpg.connect(self.platform.stores.admin_url)
        try:
            return await connection.fetch(query, self.tenant)
        finally:
            await connection.close()


@pytest.fixture
async def payers(ways):
    payers = Payers(ways.platform)
    await payers.open()
    return payers


async def test_a_reset_after_commit_was_sent_doubles_and_loses_nothing(ways, payers):
    async def reset(payers):
        await payers.some(1)
        for _ in range(4):
            ways.postgres.commits_to_cut = 5
            await payers.some(1)

    await payers.during(reset)
    ways.postgres.commits_to_cut = 0
    assert payers.unanswered, "commits were cut, so something was not answered"
    await payers.check()


async def test_a_blackholed_way_to_postgres_doubles_and_loses_nothing_and_holds_nobody_for_ever(
    ways, payers
):
    async def swallow(payers):
        await payers.some(1)
        ways.postgres.swallow()
        await eventually(lambda: _unanswered(payers), GOES_ON_SECONDS)
        # The old connections never hear anything again; new ones do.
        ways.postgres.pass_on()
        await payers.some(2)

    await payers.during(swallow)
    await payers.check()


async def test_a_slow_way_to_postgres_doubles_and_loses_nothing(ways, payers):
    async def slow(payers):
        ways.postgres.delay_seconds = 0.01
        await payers.some(2)
        ways.postgres.delay_seconds = 0

    await payers.during(slow)
    await payers.check()


@pytest.mark.parametrize("fault", ["slow", "blackholed", "reset"])
async def test_a_broker_that_is_slow_or_silent_delays_facts_and_doubles_none(ways, payers, fault):
    async def slow(payers):
        if fault == "slow":
            ways.redis.delay_seconds = 0.05
        elif fault == "blackholed":
            ways.redis.swallow()
        await payers.some(2)
        if fault == "reset":
            await ways.redis.close()
            await ways.redis.open()
        ways.redis.delay_seconds = 0
        ways.redis.pass_on()
        await payers.some(1)

    await payers.during(slow)
    await payers.check()


async def _unanswered(payers):
    return payers.unanswered
