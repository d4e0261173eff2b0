"""Events: numbered without a gap, in the order of their objects, kept for thirty days."""

import asyncio
import json
import time

import grpc
import pytest
from billplane.protos.notification.v1 import notification_pb2 as pb
from billplane.protos.notification.v1 import notification_pb2_grpc
from redis.asyncio import Redis

from tests.chassis.waiting import eventually
from tests.fixtures.platform import running
from tests.notification.test_webhooks import Developer

SERVICES = ("identity", "notification", "subscription")


class Reader:
    """ListEvents as the gateway asks it."""

    def __init__(self, platform, tenant, **options):
        self.platform = platform
        self.metadata = platform.metadata(tenant, **options)

    async def list(self, **fields):
        async with self.platform.channel() as channel:
            stub = notification_pb2_grpc.NotificationServiceStub(channel)
            return await stub.ListEvents(pb.ListEventsRequest(**fields), metadata=self.metadata)

    async def get(self, event_id):
        async with self.platform.channel() as channel:
            stub = notification_pb2_grpc.NotificationServiceStub(channel)
            return await stub.GetEvent(pb.GetEventRequest(id=event_id), metadata=self.metadata)

    async def of(self, number):
        """Wait until there are so many events."""

        async def found():
            answer = await self.list()
            return answer.events if len(answer.events) >= number else None

        return await eventually(found)


async def test_events_that_happen_at_once_are_numbered_one_after_the_other(platform):
    developer, reader = Developer(platform, "ten_events"), Reader(platform, "ten_events")
    await asyncio.gather(*(developer.happen(f"c{number}") for number in range(20)))
    events = await reader.of(20)
    assert [event.sequence for event in events] == list(range(1, 21))
    assert len({event.id for event in events}) == 20
    page = await reader.list(after=5, page_size=3)
    assert ([event.sequence for event in page.events], page.cursor) == ([6, 7, 8], 8)
    latest = await reader.list(latest=True)
    assert (list(latest.events), latest.cursor) == ([], 20)
    after = await reader.list(after_event_id=events[17].id)
    assert [event.sequence for event in after.events] == [19, 20]
    none = await reader.list(types=["invoice.*"])
    assert (list(none.events), none.cursor) == ([], 20)
    one = await reader.get(events[3].id)
    assert one.event == events[3]


async def test_a_reader_that_waits_is_woken_by_the_first_event(platform):
    developer, reader = Developer(platform, "ten_events_wait"), Reader(platform, "ten_events_wait")
    started = time.monotonic()
    waiting = asyncio.create_task(reader.list(wait_milliseconds=15_000))
    await asyncio.sleep(0.2)
    await developer.happen()
    answer = await waiting
    assert len(answer.events) == 1
    assert time.monotonic() - started < 5
    started = time.monotonic()
    answer = await reader.list(after=1, wait_milliseconds=300)
    assert (list(answer.events), answer.cursor) == ([], 1)
    assert time.monotonic() - started >= 0.25


async def test_an_event_of_another_tenant_or_mode_is_not_found(platform):
    developer, reader = Developer(platform, "ten_events_mine"), Reader(platform, "ten_events_mine")
    await developer.happen()
    (event,) = await reader.of(1)
    for other in (
        Reader(platform, "ten_events_other"),
        Reader(platform, "ten_events_mine", livemode=True),
    ):
        for asked in (other.get(event.id), other.list(after_event_id=event.id)):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await asked
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert list((await other.list()).events) == []
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await Reader(platform, "ten_events_mine", scopes=("customers:read",)).list()
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_the_list_is_pagable_and_narrowed_as_stripes_is(platform):
    developer = Developer(platform, "ten_events_list")
    for number in range(5):
        await developer.happen(f"c{number}")
    await developer.send("PATCH", "/v1/customers/c0", {"name": "new"})
    await Reader(platform, "ten_events_list").of(6)
    found, after = [], ""
    while True:
        page = await developer.send("GET", f"/v1/events?limit=2{after}")
        assert (page["object"], page["url"]) == ("list", "/v1/events")
        found += page["data"]
        if not page["has_more"]:
            break
        after = f"&starting_after={page['data'][-1]['id']}"
    names = [event["data"]["object"]["name"] for event in found]
    assert sorted(names) == ["c0", "c1", "c2", "c3", "c4", "new"]
    # The order of one object's events is kept, of several objects' it is that of their arrival.
    assert names.index("new") < names.index("c0")
    narrowed = await developer.send("GET", "/v1/events?type=customer.updated")
    assert [event["type"] for event in narrowed["data"]] == ["customer.updated"]
    several = await developer.send(
        "GET", "/v1/events?types[]=customer.updated&types[]=invoice.paid&created[gte]=1"
    )
    assert several["data"] == narrowed["data"]
    none = await developer.send("GET", "/v1/events?created[lt]=1000")
    assert none["data"] == []
    missing = await developer.send("GET", "/v1/events/evt_nothing", expect=404)
    assert missing["error"]["code"] == "resource_missing"


async def _published(stores):
    """Return what is on the stream of customers, in order."""
    async with Redis.from_url(stores.redis_url) as redis:
        entries = await redis.xrange("billplane.subscription.v1")
    return [fields[b"envelope"] for _, fields in entries]


async def test_a_fact_that_overtook_another_waits_for_it(make_stores, monkeypatch):
    monkeypatch.setattr("billplane.chassis.events.transport.RETRY_SECONDS", 0.1)
    monkeypatch.setattr("billplane.chassis.events.redis_streams.BLOCK_MILLISECONDS", 50)
    stores = await make_stores()
    async with running(stores, ("identity", "subscription")) as platform:
        developer = Developer(platform, "ten_events_order")
        await developer.happen()
        for name in ("a", "b", "c"):
            await developer.send("PATCH", "/v1/customers/ada", {"name": name})

        async def all_said():
            return len(await _published(stores)) == 4

        await eventually(all_said)
    first, *middle, last = await _published(stores)
    async with Redis.from_url(stores.redis_url) as redis:
        await redis.delete("billplane.subscription.v1")
        for envelope in (last, first):
            await redis.xadd("billplane.subscription.v1", {"envelope": envelope})
        async with running(stores, ("identity", "notification")) as platform:
            reader = Reader(platform, "ten_events_order")
            await reader.of(1)
            for envelope in (*reversed(middle), first):
                await redis.xadd("billplane.subscription.v1", {"envelope": envelope})
            events = await reader.of(4)
    names = [json.loads(event.event_json)["data"]["object"]["name"] for event in events]
    assert names == ["ada", "a", "b", "c"]


async def test_one_whose_predecessor_never_comes_is_told_all_the_same(make_stores, monkeypatch):
    monkeypatch.setattr("billplane.chassis.events.transport.RETRY_SECONDS", 0.1)
    monkeypatch.setattr("billplane.chassis.events.redis_streams.BLOCK_MILLISECONDS", 50)
    monkeypatch.setattr("billplane.notification.service.events._OVERTAKING_SECONDS", 0.5)
    stores = await make_stores()
    async with running(stores, ("identity", "subscription")) as platform:
        developer = Developer(platform, "ten_events_lost")
        await developer.happen()
        await developer.send("PATCH", "/v1/customers/ada", {"name": "b"})

        async def all_said():
            return len(await _published(stores)) == 2

        await eventually(all_said)
    _, last = await _published(stores)
    async with Redis.from_url(stores.redis_url) as redis:
        await redis.delete("billplane.subscription.v1")
        await redis.xadd("billplane.subscription.v1", {"envelope": last})
    async with running(stores, ("identity", "notification")) as platform:
        (event,) = await Reader(platform, "ten_events_lost").of(1)
        assert event.type == "customer.updated"


async def test_events_are_forgotten_after_thirty_days_and_a_reader_is_told(make_stores):
    stores = await make_stores()
    async with running(stores, SERVICES) as platform:
        developer = Developer(platform, "ten_events_old")
        reader = Reader(platform, "ten_events_old")
        await developer.endpoint("http://127.0.0.1:9/", "customer.created")
        for number in range(4):
            await developer.happen(f"c{number}")
        events = await reader.of(4)
        await developer.execute(
            "UPDATE notification.deliveries SET state = 'succeeded',"
            " finished_at = now() - interval '31 days' WHERE event_sequence < 4"
        )
        await developer.execute(
            "UPDATE notification.events SET created_at = now() - interval '31 days'"
        )
        await developer.execute("SELECT notification.forget_events(now() - interval '30 days')")
        left = await reader.list()
        # The fourth is still on its way to somebody.
        assert [event.sequence for event in left.events] == [4]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await reader.list(after=1)
        assert "no longer kept" in refused.value.details()
        assert [event.sequence for event in (await reader.list(after=3)).events] == [4]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await reader.get(events[0].id)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        kept = await developer.execute("SELECT event_sequence FROM notification.deliveries")
        assert [row["event_sequence"] for row in kept] == [4]
        await developer.happen("later")
        assert [event.sequence for event in await reader.of(2)] == [4, 5]
