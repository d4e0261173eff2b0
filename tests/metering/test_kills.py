"""Processes that die and stores that go away: what was acknowledged is stored, and stored once."""

import asyncio
import os
import sys
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest
from billplane import catalog
from billplane.chassis.faults import POINTS
from billplane.metering.cache import stream
from redis.asyncio import Redis

from tests.fixtures.platform import running
from tests.fixtures.ports import free_port_offset
from tests.fixtures.proxy import Proxy
from tests.metering.usage import event

FAULTS = [
    "ingest.before_append",
    "ingest.after_append_before_answer",
    "flush.after_read",
    "flush.before_commit",
    "flush.after_store_before_trim",
]
SUBJECTS = 7
METER = {"eventType": "api.request", "aggregation": "Sum", "valueProperty": "$.units"}


def test_every_fault_point_of_metering_is_tried_here():
    catalog.load("metering")
    own = {name for name in POINTS if name.startswith(("ingest.", "flush."))}
    assert own == set(FAULTS)


class Sender:
    """Sends events one after the other, and remembers which were acknowledged."""

    def __init__(self, http, url, headers):
        self._http = http
        self._url = url
        self._headers = headers
        self.acknowledged = []
        self.open = []

    async def send(self, *numbers):
        """Send some events in one request; False once nobody is there any more."""
        body = [event(number, f"s{number % SUBJECTS}") for number in numbers]
        try:
            async with self._http.post(self._url, json=body, headers=self._headers) as answer:
                await answer.read()
                (self.acknowledged if answer.status == 202 else self.open).extend(numbers)
                return True
        except aiohttp.ClientError:
            self.open += numbers
            return False


async def stored(stores):
    """Return the numbers of the stored events, and what the records add up to."""
    connection = await asyncpg.connect(stores.admin_url)
    try:
        ids = await connection.fetch("SELECT id FROM metering.usage_events")
        total = await connection.fetchrow(
            "SELECT coalesce(sum(quantity), 0), coalesce(sum(event_count), 0)"
            " FROM metering.usage_records"
        )
        return sorted(int(row["id"].removeprefix("e")) for row in ids), tuple(total)
    finally:
        await connection.close()


async def send_until_it_dies(stores, headers, fault):
    """Run metering in a process of its own, and send until the fault point ends it."""
    offset = free_port_offset()
    environ = {
        **os.environ,
        **stores.environ(offset),
        "BILLPLANE_METERING_FLUSH_SECONDS": "0.02",
        "BILLPLANE_LOG_LEVEL": "ERROR",
        "FAULT": fault,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run", "metering"), env=environ
    )
    url = f"http://127.0.0.1:{8080 + offset}"
    try:
        async with aiohttp.ClientSession() as http:
            await wait_for(lambda: is_up(http, url), seconds=30)
            senders = [Sender(http, f"{url}/v1/usage_events", headers) for _ in range(3)]
            async with asyncio.timeout(30):
                await asyncio.gather(*(many(sender, lane) for lane, sender in enumerate(senders)))
        assert await asyncio.wait_for(process.wait(), 10) == 137
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return (
        [number for sender in senders for number in sender.acknowledged],
        [number for sender in senders for number in sender.open],
    )


async def many(sender, lane):
    first = lane * 1_000_000
    while await sender.send(*range(first, first + 10)):
        first += 10


async def wait_for(condition, seconds):
    """Ask until the answer is yes."""
    for _ in range(seconds * 20):
        if await condition():
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"not within {seconds} seconds")


async def is_up(http, url):
    try:
        async with http.get(f"{url}/health") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_was_acknowledged_before_a_death_is_stored_once(make_stores, fault):
    stores = await make_stores()
    async with running(stores, ("metering",)) as platform:
        body = {"name": "units", "spec": METER}
        await platform.request("POST", "/v1/meters", json=body, expect=201)
        headers = platform.headers()
    acknowledged, unknown = await send_until_it_dies(stores, headers, f"{fault}:5")
    assert unknown, "the process died, so something was not answered"
    async with running(stores, ("metering",)) as platform:
        runtime = platform.platform.runtimes["metering"]
        await runtime.state.flusher.flush()
        found, total = await stored(stores)
        assert len(found) == len(set(found)), "an event is stored once"
        assert set(acknowledged) <= set(found) <= {*acknowledged, *unknown}
        assert total == (len(found), len(found))
        # The client sends again what it got no answer for.
        for at in range(0, len(unknown), 10):
            body = [event(number, f"s{number % SUBJECTS}") for number in unknown[at : at + 10]]
            await platform.request("POST", "/v1/usage_events", json=body, expect=202)
        await runtime.state.flusher.flush()
        found, total = await stored(stores)
        assert found == sorted({*acknowledged, *unknown})
        assert total == (len(found), len(found))
        waiting = [await runtime.redis.xlen(stream(shard)) for shard in range(16)]
        assert waiting == [0] * 16


async def send_some(platform, numbers, expect=202):
    body = [event(number, f"s{number % SUBJECTS}") for number in numbers]
    return await platform.request("POST", "/v1/usage_events", json=body, expect=expect)


async def test_without_the_usage_store_nothing_is_acknowledged_and_nothing_is_half_taken(
    make_stores,
):
    stores = await make_stores()
    target = urlsplit(stores.redis_url)
    async with Proxy(target.hostname, target.port) as proxy:
        url = target._replace(netloc=f":{target.password}@127.0.0.1:{proxy.port}").geturl()
        async with running(stores, ("metering",), BILLPLANE_METERING_REDIS_URL=url) as platform:
            body = {"name": "units", "spec": METER}
            await platform.request("POST", "/v1/meters", json=body, expect=201)
            await send_some(platform, range(10))
            await proxy.close()
            for numbers in (range(10, 20), range(20, 21)):
                async with asyncio.timeout(5):
                    problem = await send_some(platform, numbers, expect=503)
                assert problem["reason"] == "STORE_UNAVAILABLE"
            await proxy.open()
            assert (await send_some(platform, range(21)))["duplicates"] == 10
            await platform.platform.runtimes["metering"].state.flusher.flush()
            assert await stored(stores) == (list(range(21)), (21, 21))


async def test_without_postgres_usage_is_taken_and_stored_once_it_is_back(make_stores):
    stores = await make_stores()
    target = urlsplit(stores.database_url)
    async with Proxy(target.hostname, target.port) as proxy:
        url = target._replace(netloc=f"{target.username}:{target.password}@127.0.0.1:{proxy.port}")
        environ = {"BILLPLANE_METERING_DATABASE_URL": url.geturl()}
        async with running(stores, ("metering",), **environ) as platform:
            body = {"name": "units", "spec": METER}
            await platform.request("POST", "/v1/meters", json=body, expect=201)
            await send_some(platform, range(10))
            await proxy.close()
            for first in range(10, 60, 10):
                async with asyncio.timeout(5):
                    await send_some(platform, range(first, first + 10))
                await asyncio.sleep(0.6)
            assert (await send_some(platform, range(60)))["duplicates"] == 60
            # Only a type that no process has seen yet needs the database.
            problem = await platform.request(
                "POST", "/v1/usage_events", json=event(1, type="new.type"), expect=503
            )
            assert problem["reason"] == "STORE_UNAVAILABLE"
            await proxy.open()
            await platform.platform.runtimes["metering"].state.flusher.flush()
            assert await stored(stores) == (list(range(60)), (60, 60))


async def test_too_much_waiting_usage_is_refused_until_it_is_stored(make_stores):
    stores = await make_stores()
    environ = {
        "BILLPLANE_METERING_EVENTS_WAITING_MAX": "50",
        "BILLPLANE_METERING_FLUSH_SECONDS": "60",
    }
    async with running(stores, ("metering",), **environ) as platform:
        body = {"name": "units", "spec": METER}
        await platform.request("POST", "/v1/meters", json=body, expect=201)
        await platform.platform.runtimes["metering"].state.flusher.flush()
        await send_some(platform, range(40))
        await send_some(platform, range(40, 60))
        problem = await send_some(platform, range(60, 70), expect=503)
        assert problem["reason"] == "INGEST_BUSY"
        await platform.platform.runtimes["metering"].state.flusher.flush()
        await send_some(platform, range(60, 70))


async def test_enough_waiting_usage_is_stored_before_the_time(make_stores):
    stores = await make_stores()
    environ = {
        "BILLPLANE_METERING_FLUSH_EVENTS": "20",
        "BILLPLANE_METERING_FLUSH_SECONDS": "60",
    }
    async with running(stores, ("metering",), **environ) as platform:
        body = {"name": "units", "spec": METER}
        await platform.request("POST", "/v1/meters", json=body, expect=201)
        await platform.platform.runtimes["metering"].state.flusher.flush()
        await send_some(platform, range(30))

        async def all_are_stored():
            return (await stored(stores))[0] == list(range(30))

        await wait_for(all_are_stored, seconds=5)


async def test_several_processes_that_flush_at_once_store_each_event_once(make_stores):
    stores = await make_stores()
    environ = {"BILLPLANE_METERING_FLUSH_EVENTS": "7"}
    async with running(stores, ("metering",), **environ) as one:
        body = {"name": "units", "spec": METER}
        await one.request("POST", "/v1/meters", json=body, expect=201)
        async with running(stores, ("metering",), **environ) as two:
            flushers = [it.platform.runtimes["metering"].state.flusher for it in (one, two)]
            for first in range(0, 200, 20):
                await asyncio.gather(
                    send_some(one, range(first, first + 15)),
                    send_some(two, range(first + 10, first + 20)),
                    *(flusher.flush() for flusher in flushers for _ in range(3)),
                )
            await flushers[0].flush()
            assert await stored(stores) == (list(range(200)), (200, 200))


async def test_a_row_that_postgres_refuses_is_set_aside_and_holds_up_nobody(make_stores):
    stores = await make_stores()
    async with running(stores, ("metering",)) as platform:
        body = {"name": "units", "spec": METER}
        await platform.request("POST", "/v1/meters", json=body, expect=201)
        redis = Redis.from_url(stores.redis_url)
        names = ("ten_a", "f", "tests", "bad", "api.request", "ada", "2026-01-15T12:00:00Z")
        bad = "\t".join([*names, '{"units": 1e999999}', "1", "\\N"]).encode()
        await redis.xadd(stream(3), {"rows": bad})
        await send_some(platform, range(40))
        await platform.platform.runtimes["metering"].state.flusher.flush()
        assert await stored(stores) == (list(range(40)), (40, 40))
        ((_, kept),) = await redis.xrange("refused:{s03}")
        assert kept[b"rows"] == bad
        assert await redis.xlen(stream(3)) == 0
        await redis.aclose()
