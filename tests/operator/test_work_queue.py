"""The operator's queue: one look at a time, in the order of what names what, with back-off."""

import asyncio

import pytest
from billplane_operator import work_queue
from billplane_operator.work_queue import WorkQueue


async def taken(queue, seconds=0.05):
    try:
        async with asyncio.timeout(seconds):
            return await queue.take()
    except TimeoutError:
        return None


async def test_an_item_waits_once_and_is_given_out_once():
    queue = WorkQueue(1)
    for _ in range(3):
        await queue.add("a", 0)
    assert await taken(queue) == "a"
    assert await taken(queue) is None


async def test_an_item_that_changes_in_hand_is_given_out_once_more_afterwards():
    queue = WorkQueue(1)
    await queue.add("a", 0)
    assert await taken(queue) == "a"
    await queue.add("a", 0)
    await queue.add("a", 0)
    assert await taken(queue) is None
    await queue.done("a")
    assert await taken(queue) == "a"
    await queue.done("a")
    assert await taken(queue) is None


async def test_what_others_name_goes_first_even_while_it_is_in_hand():
    queue = WorkQueue(1)
    await queue.add("plan", 1)
    await queue.add("meter", 0)
    assert await taken(queue) == "meter"
    assert await taken(queue) is None
    await queue.done("meter")
    assert await taken(queue) == "plan"


async def test_what_failed_comes_back_later_each_time_and_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(work_queue, "BACKOFF_FIRST_SECONDS", 0.04)
    queue = WorkQueue(0.1)
    loop = asyncio.get_running_loop()
    await queue.add("meter", 0)
    await queue.add("plan", 1)
    waits = []
    assert await taken(queue) == "meter"
    await queue.failed("meter")
    assert await taken(queue) == "plan"
    await queue.done("plan")
    for _ in range(4):
        began = loop.time()
        assert await taken(queue, 1) == "meter"
        waits.append(loop.time() - began)
        await queue.failed("meter")
    queue.close()
    assert 0.01 <= waits[0] <= 0.06
    assert max(waits) < 0.2
    assert waits[2] >= 0.045


@pytest.mark.parametrize("change", [True, False])
async def test_a_change_ends_the_waiting_of_what_failed(change):
    queue = WorkQueue(60)
    await queue.add("a", 0)
    for _ in range(6):
        assert await taken(queue, 20) == "a"
        await queue.failed("a")
        await queue.add("a", 0)
    assert await taken(queue) == "a"
    await queue.failed("a")
    if change:
        await queue.add("a", 0)
    assert await taken(queue) == ("a" if change else None)
    queue.close()


async def test_what_failed_comes_after_all_others_and_leaves_room_for_them():
    queue = WorkQueue(60, retrying_max=1)
    for name in ("meter-1", "meter-2"):
        await queue.add(name, 0)
        assert await taken(queue) == name
        await queue.failed(name)
        await queue.add(name, 0)
    await queue.add("plan", 2)
    assert await taken(queue) == "plan"
    assert await taken(queue) in ("meter-1", "meter-2")
    assert await taken(queue) is None
    await queue.add("feed", 0)
    assert await taken(queue) == "feed"
    queue.close()


async def test_a_queue_that_is_shut_gives_nothing_out_and_wakes_who_waits():
    queue = WorkQueue(60)
    await queue.add("a", 0)
    assert await queue.take() == "a"
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    await queue.add("a", 0)
    await queue.shut()
    assert await waiting is None
    await queue.failed("a")
    assert await queue.take() is None


async def test_items_wait_in_order_and_a_long_queue_costs_no_more_for_each():
    queue = WorkQueue(60)
    for number in range(50_000):
        await queue.add(number, 0)
    async with asyncio.timeout(5):
        for number in range(50_000):
            assert await queue.take() == number
            await queue.done(number)
    assert queue.depth() == 0


async def test_a_change_moves_what_failed_to_those_that_did_not():
    queue = WorkQueue(60)
    await queue.add("a", 0)
    assert await taken(queue) == "a"
    await queue.failed("a")
    await queue.add("a", 0)
    await queue.add("b", 0)
    queue.forget("a")
    assert (await taken(queue), await taken(queue), queue.depth()) == ("b", "a", 0)
    await queue.done("b")
    await queue.done("a")
    assert await taken(queue) is None
