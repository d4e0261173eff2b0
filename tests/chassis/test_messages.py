"""Messages beside what every transport promises (tests/events): undone, emptied, forgotten."""

import asyncpg
import pytest
from billplane.chassis.events import redis_streams, transport
from billplane.chassis.housekeeping import forget_old, measure_outbox
from billplane.chassis.jobs import Worker
from billplane.protos.pricing.v1.events_pb2 import PlanPublished

from tests.events.harness import TENANT, Messages, Way


@pytest.fixture
async def messages(make_stores, monkeypatch):
    """Run a producer and a handling service over Redis, with short waits."""
    monkeypatch.setattr(transport, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(redis_streams, "BLOCK_MILLISECONDS", 50)
    made = Messages(await make_stores(), Way("redis", "fact"), "")
    await made.start()
    yield made
    await made.stop()


async def test_what_was_undone_is_never_said(messages):
    with pytest.raises(RuntimeError):
        async with messages.transaction() as tx:
            await tx.publish(PlanPublished(plan_id="undone"), aggregate_id="undone")
            raise RuntimeError("thought better of it")
    await messages.publish("undone")
    await messages.handled.until("undone", 1)
    # The version that was undone is given to the next: no gap is left.
    assert messages.handled.ordered["undone"] == [1]
    assert await messages.producer.redis.xlen(messages.message.destination) == 1


async def test_tasks_leave_no_gap_among_the_facts_of_the_same_aggregate(messages):
    asked = Way("redis", "task").message
    runtime = messages.producer
    runtime.message_types[PlanPublished] = asked
    async with messages.transaction() as tx:
        await tx.enqueue(PlanPublished(plan_id="both"), key="both")
    runtime.message_types[PlanPublished] = messages.message
    await messages.publish("both", 2)
    await messages.handled.until("both", 2)
    assert messages.handled.ordered["both"] == [1, 2]


async def test_an_emptied_broker_is_declared_again(messages):
    await messages.publish("before")
    await messages.handled.until("before", 1)
    await messages.producer.redis.flushdb()
    await messages.publish("after")
    await messages.handled.until("after", 1)


async def test_what_has_expired_is_forgotten_and_what_has_not_is_kept(messages):
    connection = await asyncpg.connect(messages.stores.admin_url)
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
    worker = Worker(messages.producer)
    await forget_old(worker)
    await measure_outbox(worker)
    for table, column in (("idempotency", "key"), ("inbox", "event_id")):
        rows = await connection.fetch(f"SELECT {column} FROM pricing.{table}")
        assert [row[0] for row in rows] == ["new"]
    await connection.close()
