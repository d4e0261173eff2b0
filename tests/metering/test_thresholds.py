"""Thresholds: usage that reaches one is told once a customer, threshold and period or day."""

import asyncio

import asyncpg
import pytest
from billplane.chassis.auth import service_principal
from billplane.chassis.call import Call
from billplane.metering.service import thresholds

from tests.chassis.waiting import eventually
from tests.metering.usage import event

HALF = {"name": "half", "quantity": "50", "per": "Period"}
ALL = {"name": "all", "quantity": "100"}
DAILY = {"name": "a-day", "quantity": "10", "per": "Day"}
PLAN = {
    "currency": "EUR",
    "interval": {"unit": "Month", "anchor": "Calendar", "timeZone": "Europe/Berlin"},
    "charges": [
        {"name": "calls", "usage": {"meter": "units", "model": {"perUnit": {"unitAmount": "1"}}}}
    ],
}


async def told(usage):
    """Return what was told as developer events, in the order of thresholds."""
    found = await usage.request("GET", "/v1/events?type=usage.threshold_reached&limit=100", 200)
    return sorted(
        (
            item["data"]["object"]["customer_id"],
            item["data"]["object"]["threshold"],
            item["data"]["object"]["period_starts_at"],
            item["data"]["object"]["quantity"],
        )
        for item in found["data"]
    )


async def settled(usage):
    """Wait until nothing is left to be looked at, and what was found is told."""
    await usage.flush()
    url = usage.platform.stores.admin_url
    connection = await asyncpg.connect(url)

    async def nothing_waits():
        waiting = await connection.fetchval(
            "SELECT (SELECT count(*) FROM metering.threshold_checks WHERE tenant_id = $1)"
            " + (SELECT count(*) FROM metering.thresholds_reached WHERE tenant_id = $1)"
            " - (SELECT count(*) FROM notification.events WHERE tenant_id = $1"
            " AND type = 'usage.threshold_reached')",
            usage.tenant,
        )
        return waiting == 0

    try:
        await eventually(nothing_waits)
    finally:
        await connection.close()


async def test_a_threshold_is_told_once_a_period_as_a_developer_event(usage):
    await usage.meter(thresholds=[HALF, ALL])
    await usage.send(event(1, data={"units": 49}))
    await settled(usage)
    assert await told(usage) == []
    await usage.send(event(2, data={"units": 1}))
    await settled(usage)
    january = "2026-01-01T00:00:00Z"
    assert await told(usage) == [("ada", "half", january, "50")]
    for number in range(3, 8):
        await usage.send(event(number, data={"units": 20}))
        await settled(usage)
    assert [item[:3] for item in await told(usage)] == [
        ("ada", "all", january),
        ("ada", "half", january),
    ]
    # Another month, and another customer, are others.
    await usage.send(
        event(20, time="2026-02-03T00:00:00Z", data={"units": 70}),
        event(21, "bob", data={"units": 100}),
    )
    await settled(usage)
    assert sorted(item[:3] for item in await told(usage)) == [
        ("ada", "all", january),
        ("ada", "half", january),
        ("ada", "half", "2026-02-01T00:00:00Z"),
        ("bob", "all", january),
        ("bob", "half", january),
    ]


async def test_a_subscribers_periods_and_days_are_those_of_its_plan(usage):
    await usage.meter(thresholds=[{**HALF, "quantity": "15"}, DAILY])
    await usage.request("POST", "/v1/plans", 201, json={"name": "pro", "spec": PLAN})
    clock = await usage.request(
        "POST", "/v1/test_clocks", 201, json={"now": "2026-01-10T00:00:00+01:00"}
    )
    body = {"name": "Ada", "external_id": "ada", "test_clock_id": clock["id"]}
    customer = await usage.request("POST", "/v1/customers", 201, json=body)
    body = {"customer_id": "ada", "plan": "pro"}
    await usage.request("POST", "/v1/subscriptions", 201, json=body)
    # 23:30 in Berlin, half past midnight there, and one under the customer's other name.
    await usage.send(
        event(1, time="2026-01-14T22:30:00Z", data={"units": 9}),
        event(2, time="2026-01-14T23:30:00Z", data={"units": 6}),
        event(3, customer["id"], time="2026-01-15T10:00:00Z", data={"units": 5}),
    )
    await settled(usage)
    assert await told(usage) == [
        (customer["id"], "a-day", "2026-01-14T23:00:00Z", "11"),
        (customer["id"], "half", "2026-01-09T23:00:00Z", "20"),
    ]


async def test_a_correction_may_reach_a_threshold_and_a_void_takes_nothing_back(usage):
    await usage.meter(thresholds=[HALF])
    await usage.send(event(1, data={"units": 10}))
    await settled(usage)
    body = {"source": "tests", "id": "e1"}
    await usage.request("POST", "/v1/usage_events:correct", 200, json={**body, "quantity": 60})
    await settled(usage)
    assert len(await told(usage)) == 1
    await usage.request("POST", "/v1/usage_events:void", 200, json=body)
    await usage.send(event(2, data={"units": 80}))
    await settled(usage)
    assert len(await told(usage)) == 1


async def test_many_that_look_at_once_tell_once(usage, platform):
    await usage.meter(thresholds=[HALF, ALL, DAILY])
    await usage.send(*(event(number, data={"units": 10}) for number in range(20)))
    await usage.flush()
    runtime = platform.platform.runtimes["metering"]
    principal = service_principal("metering", usage.tenant, livemode=False)

    async def look():
        async with Call(runtime, principal) as call:
            await thresholds.check_thresholds(call, "ada", "api.request")

    await asyncio.gather(*(look() for _ in range(8)))
    await settled(usage)
    assert [item[1] for item in await told(usage)] == ["a-day", "all", "half"]


@pytest.mark.parametrize("aggregation", ["Max", "UniqueCount", "WeightedSum"])
async def test_thresholds_hold_for_what_is_no_sum(usage, aggregation):
    await usage.meter(aggregation=aggregation, thresholds=[{"name": "some", "quantity": "2"}])
    await usage.send(
        event(1, time="2026-01-01T00:00:00Z", data={"units": 2}),
        event(2, time="2026-01-31T23:00:00Z", data={"units": 3}),
    )
    await settled(usage)
    assert [item[1] for item in await told(usage)] == ["some"]
