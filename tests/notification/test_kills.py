"""A process that dies between any two steps: no event, delivery or message is lost or doubled."""

import asyncio
import json
import os
import sys

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from billplane import catalog
from billplane.chassis import ids
from billplane.chassis.events.envelope import Metadata, encode
from billplane.chassis.faults import POINTS
from billplane.protos.notification.v1.events_pb2 import NotifyTask
from redis.asyncio import Redis

from tests.chassis.waiting import eventually
from tests.fixtures.platform import running
from tests.fixtures.ports import free_port_offset
from tests.notification.hooks import hook

TENANT = "ten_kills"
SERVICES = ("identity", "notification", "subscription")
FAULTS = [
    "notification.after_numbers_before_events",
    "notification.after_events_before_end",
    "webhook.after_claim",
    "webhook.after_send_before_result",
    "webhook.after_result_before_disable",
    "notify.after_accept",
    "notify.after_send_before_note",
]
# What the dead process had in hand is anybody's now, as some minutes would make it.
EXPIRE = """
    UPDATE notification.deliveries SET due_at = now() WHERE state = 'pending';
    UPDATE notification.messages SET due_at = now() WHERE state = 'queued';
    UPDATE subscription.outbox SET claimed_until = now();
"""


def test_every_fault_point_of_notification_is_tried_here():
    catalog.load("notification")
    own = ("notification.", "webhook.", "notify.")
    assert {name for name in POINTS if name.startswith(own)} == set(FAULTS)


def task(number):
    """Write a task as its producer would."""
    metadata = Metadata(
        event_id=ids.new("evt"),
        event_type="notification.notify",
        event_version=1,
        source="billplane/invoice",
        tenant_id=TENANT,
        livemode=False,
        occurred_at="2026-01-01T00:00:00Z",
        correlation_id="req_1",
        causation_id="req_1",
        traceparent="",
        aggregate_type="task",
        aggregate_id=f"a{number}",
        aggregate_version=1,
    )
    message = NotifyTask(
        channel="sms",
        to="+4930123456",
        template="payment_receipt",
        variables={"amount": f"{number} EUR"},
        dedupe_key=f"receipt {number}",
    )
    return encode(metadata, message)


async def prepare(stores, target):
    """Make endpoints, one of which will be gone, and leave tasks on the way."""
    async with running(stores, SERVICES) as platform:
        headers = platform.headers(TENANT)
        for path in ("/good", "/gone"):
            body = {"url": target.url + path, "enabled_events": ["customer.*"]}
            await platform.request(
                "POST", "/v1/webhook_endpoints", json=body, headers=headers, expect=200
            )
    async with Redis.from_url(stores.redis_url) as redis:
        for number in range(4):
            await redis.xadd("notification.notify", {"envelope": task(number)})
    return headers


async def until_it_dies(stores, headers, fault):
    """Let customers be made in a process that dies at a fault point."""
    offset = free_port_offset()
    environ = {**os.environ, **stores.environ(offset), "FAULT": fault}
    environ["BILLPLANE_LOG_LEVEL"] = "ERROR"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run", *SERVICES), env=environ
    )
    url = f"http://127.0.0.1:{8080 + offset}"
    number = 0
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            while process.returncode is None:
                body = {"name": f"c{number}", "external_id": f"c{number}"}
                try:
                    async with http.post(f"{url}/v1/customers", json=body, headers=headers) as got:
                        number += got.status in (201, 409)
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0.01 if number < 20 else 0.2)
        assert await process.wait() == 137
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def execute(stores, statement, fetch=False):
    connection = await asyncpg.connect(stores.admin_url)
    try:
        return await (connection.fetch(statement) if fetch else connection.execute(statement))
    finally:
        await connection.close()


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_a_death_everything_is_told_once(fault, make_stores):
    stores = await make_stores()
    async with hook() as target:

        async def answer(heard):
            return web.Response(status=410 if heard.path == "/gone" else 200)

        target.answer = answer
        headers = await prepare(stores, target)
        await until_it_dies(stores, headers, f"{fault}:2" if "disable" not in fault else fault)
        await execute(stores, EXPIRE)
        async with running(stores, SERVICES) as platform:
            await settled(platform, stores, headers)
            events = await execute(stores, "SELECT * FROM notification.events", fetch=True)
            customers = await execute(stores, "SELECT id FROM subscription.customers", fetch=True)
    created = [row for row in events if row["type"] == "customer.created"]
    assert sorted(row["object_id"] for row in created) == sorted(row["id"] for row in customers)
    assert sorted(row["sequence"] for row in events) == list(range(1, len(events) + 1))
    assert [row["type"] for row in events].count("webhook_endpoint.disabled") == 1
    heard = [item.headers["webhook-id"] for item in target.heard if item.path == "/good"]
    assert set(heard) == {row["id"] for row in created}
    # What was on its way when the process died came once more, under the same id.
    assert len(heard) - len(set(heard)) <= 64
    for item in target.heard:
        assert json.loads(item.body)["id"] == item.headers["webhook-id"]


async def settled(platform, stores, headers):
    """Wait until nothing is on its way any more."""

    async def told():
        rows = await execute(
            stores,
            "SELECT (SELECT count(*) FROM subscription.outbox)"
            " + (SELECT count(*) FROM notification.deliveries WHERE state = 'pending')"
            " + (SELECT count(*) FROM notification.messages WHERE state = 'queued')"
            " + (SELECT count(*) FROM subscription.customers)"
            " - (SELECT count(*) FROM notification.events WHERE type = 'customer.created') AS left,"
            " (SELECT count(*) FROM notification.messages WHERE state = 'sent') AS sent",
            fetch=True,
        )
        return rows[0]["left"] == 0 and rows[0]["sent"] == 4

    await eventually(told, 40)
    page = await platform.request("GET", "/v1/webhook_endpoints", headers=headers, expect=200)
    states = {row["url"].rpartition("/")[2]: row["status"] for row in page["data"]}
    assert states == {"good": "enabled", "gone": "disabled"}
    states = await execute(stores, "SELECT DISTINCT state FROM notification.deliveries", fetch=True)
    assert {row["state"] for row in states} <= {"succeeded", "canceled", "failed"}
