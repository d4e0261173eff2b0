"""A process that dies between any two steps of a message: the message has its effect once."""

import asyncio
import os
import sys

import aiohttp
import asyncpg
import pytest
from billplane.chassis.faults import POINTS
from redis.asyncio import Redis

from tests.chassis.waiting import eventually
from tests.fixtures.ports import free_port_offset

STEPS = (
    "outbox.after_claim",
    "outbox.after_publish_before_mark",
    "inbox.after_handler_before_end",
    "inbox.after_end_before_acknowledge",
)
TENANT = "ten_kills"
STREAM = "billplane.pricing.v1"
HANDLED = "SELECT count(*) FROM subscription.inbox WHERE consumer = 'adopt_plan_version'"


def plan(amount):
    fee = {"name": "fee", "recurring": {"amount": amount, "billed": "InArrears"}}
    return {
        "currency": "EUR",
        "interval": {"unit": "Month", "anchor": "Calendar"},
        "charges": [fee],
        "rollout": {"applyTo": "All"},
    }


def test_every_fault_point_of_messages_is_tried_here():
    assert {name for name in POINTS if name.startswith(("outbox.", "inbox."))} == set(STEPS)


async def _dying(stores, fault, headers, session):
    """Change the plan in a process that dies at the fault point."""
    offset = free_port_offset()
    environ = {**os.environ, **stores.environ(offset), "FAULT": fault}
    environ["BILLPLANE_LOG_LEVEL"] = "ERROR"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run"),
        *("identity", "pricing", "subscription", "exchange_rate", "metering", "invoice"),
        env=environ,
    )
    try:
        url = f"http://127.0.0.1:{8080 + offset}"
        await eventually(lambda: _healthy(session, url), 60)
        async with session.patch(
            f"{url}/v1/plans/pro", json={"spec": plan("20.00")}, headers=headers
        ) as answer:
            assert answer.status == 200, await answer.text()
        assert await asyncio.wait_for(process.wait(), 30) == 137
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _healthy(session, url):
    try:
        async with session.get(f"{url}/health") as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.mark.parametrize("fault", STEPS)
async def test_a_fact_has_its_effect_once_though_the_process_died(fault, run_platform, make_stores):
    stores = await make_stores()
    async with run_platform(stores) as platform:
        headers = platform.headers(TENANT)

        async def post(path, body):
            return await platform.request("POST", path, json=body, headers=headers, expect=201)

        await post("/v1/plans", {"name": "pro", "spec": plan("10.00")})
        await post("/v1/customers", {"name": "Ada", "external_id": "ada"})
        made = await post("/v1/subscriptions", {"customer_id": "ada", "plan": "pro"})
        assert made["plan_version"] == 1
        await _drained(platform)
        published = await _count(stores, "plan.published")
    async with aiohttp.ClientSession() as session:
        await _dying(stores, fault, headers, session)
    # Let what the dead process had claimed be anybody's, as half a minute would.
    await _fetch(stores, "UPDATE pricing.outbox SET claimed_until = now()")
    async with run_platform(stores) as platform:

        async def adopted():
            return (
                await _fetch(stores, "SELECT next_plan_version FROM subscription.subscriptions")
                == 2
            )

        await eventually(adopted)
        await _drained(platform)
        assert await _fetch(stores, HANDLED) == 2
    # Where a handler was fast the relay died as well, before it could note what it had said.
    said = {"outbox.after_claim": {1}, "outbox.after_publish_before_mark": {2}}.get(fault, {1, 2})
    assert await _count(stores, "plan.published") - published in said


async def _drained(platform):
    """Wait until nothing waits to be published."""

    async def empty():
        return not await _fetch(platform.stores, "SELECT count(*) FROM pricing.outbox")

    await eventually(empty)


async def _fetch(stores, statement):
    connection = await asyncpg.connect(stores.admin_url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def _count(stores, event_type):
    """Count a type's entries in the stream."""
    async with Redis.from_url(stores.redis_url) as redis:
        entries = await redis.xrange(STREAM)
    wanted = f'"event_type":"{event_type}"'.encode()
    return sum(wanted in fields[b"envelope"] for _, fields in entries)
