"""Taking usage beneath the doors: requests that share a call to Redis, and work that is shared."""

import asyncio
import json

import pytest
from billplane.chassis.auth import Principal
from billplane.metering.cache import shard_of
from billplane.metering.errors import EventIdReused
from billplane.metering.repository import storing
from billplane.metering.service.flush import LANES
from billplane.metering.service.reading import read_events
from billplane.metering.service.sharing import Shared

from tests.metering.usage import event


@pytest.fixture
async def taking(usage, platform):
    """Give a function that takes several requests in one call to Redis."""
    await usage.meter()
    runtime = platform.platform.runtimes["metering"]
    intake = runtime.state.intake
    principal = Principal("user:usr_test", usage.tenant, False, frozenset({"*"}))

    async def take(*requests):
        read = [
            await read_events(
                intake.meters, principal, json.dumps(events).encode(), runtime.clock.now()
            )
            for events in requests
        ]
        return [asyncio.create_task(intake.take(principal, items)) for items in read]

    return take


async def test_a_refused_request_does_not_make_anothers_event_a_duplicate(usage, taking):
    await usage.send(event(1))
    refused, taken = await taking([event(2), event(1, data={"units": 9})], [event(2)])
    with pytest.raises(EventIdReused):
        await refused
    assert await taken == b"1"
    assert await usage.quantity() == ("2", 2)


async def test_the_same_holds_over_several_shards(usage, taking):
    home = shard_of(usage.tenant, "ada")
    other = next(f"c{n}" for n in range(99) if shard_of(usage.tenant, f"c{n}") != home)
    await usage.send(event(1))
    refused, taken = await taking(
        [event(2, other), event(3), event(1, data={"units": 9})], [event(3), event(2, other)]
    )
    with pytest.raises(EventIdReused):
        await refused
    assert await taken == b"11"
    assert await usage.quantity(subject=other) == ("1", 1)


async def test_a_request_that_goes_away_takes_no_other_with_it(usage, taking):
    gone, stays = await taking([event(1)], [event(2), event(3)])
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == b"11"
    # It had been sent already, or it will be sent again: either way it counts once.
    await usage.send(event(1))
    assert await usage.quantity() == ("3", 3)


async def test_two_requests_of_one_call_with_one_id_store_one_event(usage, taking):
    first, second, third = await taking([event(1)], [event(1)], [event(1, data={"units": 2})])
    assert (await first, await second) == (b"1", b"0")
    with pytest.raises(EventIdReused):
        await third
    assert await usage.quantity() == ("1", 1)


async def test_whoever_asks_gets_a_run_that_began_after_it_asked():
    begun = []
    may_end = asyncio.Event()

    async def work():
        begun.append(len(begun))
        await may_end.wait()
        return begun[-1]

    shared = Shared(work)
    early = [asyncio.create_task(shared()) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert begun == [0]
    late = [asyncio.create_task(shared()) for _ in range(3)]
    await asyncio.sleep(0.01)
    late[0].cancel()
    may_end.set()
    assert await asyncio.gather(*early) == [0, 0, 0]
    assert await asyncio.gather(*late[1:]) == [1, 1]
    assert begun == [0, 1]


async def test_a_run_that_fails_fails_its_own_askers_only():
    runs = []

    async def work():
        runs.append(1)
        if len(runs) == 1:
            raise RuntimeError("once")
        return len(runs)

    shared = Shared(work)
    with pytest.raises(RuntimeError):
        await shared()
    assert await shared() == 2


async def test_ids_that_two_lanes_store_at_once_in_either_order_are_stored_once(usage, platform):
    """Each lane waits for the other: one gives way, and finds what the other has stored."""
    await usage.meter()
    names = [f"c{number}" for number in range(99)]
    ada, bob = (
        next(name for name in names if shard_of(usage.tenant, name) % LANES == lane)
        for lane in range(LANES)
    )
    runtime = platform.platform.runtimes["metering"]
    numbers = range(400)
    async with runtime.database.across_tenants() as session:
        # Held back until both have everything, so that they begin together.
        for lane in range(LANES):
            await storing.lock_flush(session, lane)
        for first in range(0, 400, 100):
            await usage.send(*(event(number, ada) for number in numbers[first : first + 100]))
            last = 400 - first
            await usage.send(*(event(n, bob) for n in reversed(numbers[last - 100 : last])))
    await usage.flush()
    stored = [(await usage.quantity(subject=name))[1] for name in (ada, bob)]
    assert sum(stored) == 400
    assert len(await usage.conflicts()) == 50  # a page of those of whoever came second
