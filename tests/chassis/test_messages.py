"""Messages: once in effect, in their order, never lost, never in the way of others."""

import asyncio
import dataclasses
import json
from collections import defaultdict
from contextlib import asynccontextmanager

import asyncpg
import pytest
from billplane import catalog
from billplane.chassis import ids
from billplane.chassis.auth import service_principal
from billplane.chassis.database.tables import DeadLetterRow
from billplane.chassis.errors import NotFound
from billplane.chassis.events import Consumers, consumer, fact, redis_streams, transport
from billplane.chassis.events.relay import Relay
from billplane.chassis.host import Platform
from billplane.chassis.housekeeping import forget_old, measure_outbox
from billplane.chassis.jobs import Worker
from billplane.protos.pricing.v1.events_pb2 import PlanPublished
from sqlalchemy import select

from tests.chassis.waiting import eventually
from tests.fixtures.ports import free_port_offset

TENANT = "ten_messages"
STREAM = "billplane.pricing.v1"
PUBLISHED = fact(PlanPublished, "plan")


class Handled:
    """What two handlers of one fact did, and what they are told to do."""

    def __init__(self):
        self.ordered = defaultdict(list)
        self.any_order = defaultdict(list)
        self.failing = set()

    def consumers(self):
        consumers = Consumers()

        @consumers.on(PUBLISHED, ordered=True)
        async def in_order(_tx, event):
            self.ordered[event.payload.plan_id].append(event.metadata.aggregate_version)

        @consumers.on(PUBLISHED)
        async def in_any_order(_tx, event):
            if event.payload.plan_id in self.failing:
                raise NotFound("not there yet")
            self.any_order[event.payload.plan_id].append(event.metadata.aggregate_version)

        return consumers

    async def until(self, plan_id, count, handler="ordered"):
        """Wait until a handler has done so much."""

        async def enough():
            return len(getattr(self, handler)[plan_id]) >= count

        await eventually(enough)


class Broker:
    """A producer with its relay, a service that handles what it says, and the stream between."""

    def __init__(self, platform, handled):
        self.platform = platform
        self.handled = handled
        self.producer = platform.runtimes["pricing"]
        self.dispatcher = platform.runtimes["subscription"].dispatcher
        self.redis = self.producer.redis

    @asynccontextmanager
    async def transaction(self, service="pricing"):
        runtime = self.platform.runtimes[service]
        principal = service_principal(service, TENANT, livemode=False)
        async with runtime.database.write(runtime, principal) as tx:
            yield tx

    async def publish(self, plan_id, count=1):
        """Say in so many transactions that a plan was published."""
        for version in range(count):
            async with self.transaction() as tx:
                await tx.publish(
                    PlanPublished(plan_id=plan_id, version=version + 1), aggregate_id=plan_id
                )

    async def entries(self, plan_id):
        """Return the envelopes of a plan that stand in the stream."""
        found = [fields[b"envelope"] for _, fields in await self.redis.xrange(STREAM)]
        return [item for item in found if plan_id.encode() in item]

    async def deliver(self, envelope):
        """Put an envelope into the stream as a relay does."""
        await self.redis.xadd(STREAM, {"envelope": envelope})

    async def letters(self):
        """Return the dead letters of the handling service."""
        async with self.transaction("subscription") as tx:
            return list((await tx.session.scalars(select(DeadLetterRow))).all())

    def envelope(self, plan_id, version):
        """Write an envelope as the outbox would."""
        metadata = {
            "event_id": ids.new("evt"),
            "event_type": PUBLISHED.wire_type,
            "event_version": 1,
            "source": "billplane/pricing",
            "tenant_id": TENANT,
            "livemode": False,
            "occurred_at": "2026-01-01T00:00:00Z",
            "correlation_id": "",
            "causation_id": "",
            "traceparent": "",
            "aggregate_type": "plan",
            "aggregate_id": plan_id,
            "aggregate_version": version,
            "a_field_of_tomorrow": 1,
        }
        payload = {"plan_id": plan_id, "version": str(version), "unknown": {"a": 1}}
        return json.dumps({"metadata": metadata, "payload": payload}).encode()


@pytest.fixture
async def broker(make_stores, monkeypatch):
    """Run both services with handlers of the test's own, and short waits."""
    monkeypatch.setattr(transport, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(redis_streams, "BLOCK_MILLISECONDS", 50)
    monkeypatch.setattr(consumer, "GAP_SECONDS", 1)
    handled = Handled()
    stores = await make_stores()
    apps = [
        catalog.load("pricing"),
        dataclasses.replace(
            catalog.load("subscription"), consumers=handled.consumers(), jobs=None, start=None
        ),
    ]
    platform = Platform(apps, environ=stores.environ(free_port_offset()))
    await platform.start()
    yield Broker(platform, handled)
    await platform.stop()


async def test_every_fact_is_handled_once_and_in_the_order_of_its_aggregate(broker):
    plans = [f"plan_{number}" for number in range(10)]
    relays = [Relay(broker.producer) for _ in range(3)]
    await asyncio.gather(*(broker.publish(plan, 8) for plan in plans))
    await asyncio.gather(*(relay.publish_claimed() for relay in relays))
    for plan in plans:
        await broker.handled.until(plan, 8)
        await broker.handled.until(plan, 8, "any_order")
        envelopes = await broker.entries(plan)
        assert len(envelopes) == 8
        for envelope in envelopes:  # a broker may deliver anything twice
            await broker.deliver(envelope)
    await broker.publish("the last")
    await broker.handled.until("the last", 1)
    for plan in plans:
        assert broker.handled.ordered[plan] == list(range(1, 9))
        assert sorted(broker.handled.any_order[plan]) == list(range(1, 9))


async def test_what_was_undone_is_never_said(broker):
    with pytest.raises(RuntimeError):
        async with broker.transaction() as tx:
            await tx.publish(PlanPublished(plan_id="undone"), aggregate_id="undone")
            raise RuntimeError("thought better of it")
    await broker.publish("undone")
    await broker.handled.until("undone", 1)
    # The version that was undone is given to the next: no gap is left.
    assert broker.handled.ordered["undone"] == [1]
    assert len(await broker.entries("undone")) == 1


async def test_an_ordered_handler_parks_what_came_too_early(broker):
    first, second = broker.envelope("gap", 1), broker.envelope("gap", 2)
    await broker.deliver(second)
    await broker.handled.until("gap", 1, "any_order")
    assert broker.handled.ordered["gap"] == []
    await broker.deliver(first)
    await broker.handled.until("gap", 2)
    assert broker.handled.ordered["gap"] == [1, 2]
    assert broker.handled.any_order["gap"] == [2, 1]
    assert await broker.letters() == []


async def test_a_gap_that_stays_is_set_aside_and_can_be_replayed_once_it_is_filled(broker):
    await broker.deliver(broker.envelope("hole", 2))
    (letter,) = await eventually(broker.letters)
    assert (letter.reason, letter.consumer) == ("GAP", "in_order")
    with pytest.raises(consumer.Parked):
        await broker.dispatcher.replay(TENANT, False, letter.id)
    assert len(await broker.letters()) == 1
    await broker.deliver(broker.envelope("hole", 1))
    await broker.handled.until("hole", 1)
    await broker.dispatcher.replay(TENANT, False, letter.id)
    assert broker.handled.ordered["hole"] == [1, 2]
    assert await broker.letters() == []
    with pytest.raises(KeyError):
        await broker.dispatcher.replay(TENANT, False, letter.id)


async def test_a_handler_that_fails_is_tried_again_then_set_aside_and_holds_up_nobody(broker):
    broker.handled.failing.add("bad")
    await broker.publish("bad")
    await broker.publish("good")
    await broker.handled.until("good", 1, "any_order")
    # The other handler of the same message has done its part.
    await broker.handled.until("bad", 1)
    (letter,) = await eventually(broker.letters)
    assert (letter.reason, letter.attempts) == ("NOT_FOUND", PUBLISHED.attempts_max)
    assert (letter.tenant_id, letter.livemode) == (TENANT, False)
    assert broker.handled.ordered["bad"] == [1]
    broker.handled.failing.clear()
    await broker.dispatcher.replay(TENANT, False, letter.id)
    assert broker.handled.any_order["bad"] == [1]
    assert await broker.letters() == []


@pytest.mark.parametrize(
    "envelope",
    [b"", b"no JSON", b"[]", b"{}", b'{"metadata": {}}', b'{"metadata": 1, "payload": 2}'],
)
async def test_a_message_that_nobody_can_read_is_passed_over(broker, envelope):
    await broker.deliver(envelope)
    await broker.publish("after it")
    await broker.handled.until("after it", 1)

    async def acknowledged():
        return not (await broker.redis.xpending(STREAM, "subscription"))["pending"]

    await eventually(acknowledged)


async def test_types_of_tomorrow_and_unknown_fields_are_passed_over(broker):
    await broker.deliver(
        broker.envelope("tomorrow", 1).replace(b'"plan.published"', b'"plan.dreamt"')
    )
    await broker.deliver(broker.envelope("tomorrow", 1))
    await broker.handled.until("tomorrow", 1)
    assert broker.handled.ordered["tomorrow"] == [1]


async def test_an_emptied_broker_is_declared_again(broker):
    await broker.publish("before")
    await broker.handled.until("before", 1)
    await broker.redis.flushdb()
    await broker.publish("after")
    await broker.handled.until("after", 1)


async def test_what_a_dead_relay_had_claimed_is_published_by_the_next(broker):
    connection = await asyncpg.connect(broker.producer.settings.admin_database_url)
    broker.producer._tasks[0].cancel()  # this process' own relay stands for the dead one
    await asyncio.sleep(0.05)
    await broker.publish("left")
    await connection.execute(
        "SELECT * FROM pricing.claim_outbox('a dead relay', 0.5, 10, '{}')",
    )
    other = Relay(broker.producer)
    assert await other.publish_claimed() == 0
    assert await eventually(other.publish_claimed) == 1
    await broker.handled.until("left", 1)
    assert await connection.fetchval("SELECT count(*) FROM pricing.outbox") == 0
    await connection.close()


async def test_what_has_expired_is_forgotten_and_what_has_not_is_kept(broker):
    connection = await asyncpg.connect(broker.producer.settings.admin_database_url)
    for key, age in (("old", "4 days"), ("new", "2 days")):
        await connection.execute(
            "INSERT INTO pricing.idempotency VALUES"
            f" ($1, false, $2, '', 200, '{{}}', '', now() - interval '{age}')",
            TENANT,
            key,
        )
        await connection.execute(
            "INSERT INTO pricing.inbox VALUES"
            f" ($1, 'c', $2, now() - interval '{age}' - interval '30 days')",
            TENANT,
            key,
        )
    worker = Worker(broker.producer)
    await forget_old(worker)
    await measure_outbox(worker)
    for table, column in (("idempotency", "key"), ("inbox", "event_id")):
        rows = await connection.fetch(f"SELECT {column} FROM pricing.{table}")
        assert [row[0] for row in rows] == ["new"]
    await connection.close()
