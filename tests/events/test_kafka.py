"""What Kafka alone has: keys and headers, topics that keep enough, positions."""

import asyncio

import pytest
from billplane.chassis.events.kafka import Kafka
from billplane.chassis.events.registry import mirrored
from billplane.chassis.events.transport import (
    KAFKA_MIRROR,
    RABBITMQ_MIRROR,
    Destination,
    NotPublished,
    Outgoing,
)
from billplane.chassis.settings import Settings, SettingsError
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.events.harness import TENANT, Messages, Way
from tests.fixtures.brokers import KAFKA, environ, needs_kafka

pytestmark = needs_kafka
WAY = Way("kafka", "fact")
TOPIC = WAY.message.destination


@pytest.fixture
async def messages(make_stores, prefix):
    made = Messages(await make_stores(), WAY, prefix)
    await made.start()
    yield made
    await made.stop()


def read(topic, count):
    """Read so many messages of a topic with a client of the test's own."""
    consumer = Consumer({"bootstrap.servers": KAFKA, "group.id": topic, "log_level": 2})
    consumer.assign([TopicPartition(topic, number, 0) for number in range(2)])
    found = []
    for _ in range(100):
        message = consumer.poll(0.1)
        if message is not None and message.error() is None:
            found.append(message)
        if len(found) == count:
            break
    consumer.close()
    return found


async def test_facts_of_an_aggregate_share_a_partition_and_carry_their_metadata(messages):
    await asyncio.gather(messages.publish("one", 5), messages.publish("two", 5))
    await messages.handled.until("one", 5)
    await messages.handled.until("two", 5)
    topic = messages.environ["BILLPLANE_BROKER_PREFIX"] + TOPIC
    found = await asyncio.to_thread(read, topic, 10)
    partitions = {}
    for message in found:
        headers = {name: value.decode() for name, value in message.headers()}
        assert headers["ce_type"] == WAY.message.wire_type
        assert headers["ce_tenantid"] == TENANT
        assert message.key().decode() == f"{TENANT}:{headers['ce_subject']}"
        partitions.setdefault(headers["ce_subject"], set()).add(message.partition())
    assert {len(places) for places in partitions.values()} == {1}
    assert set(partitions) == {"one", "two"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"cleanup.policy": "compact"}, "cleanup.policy compact"),
        ({"retention.ms": "1"}, "retention"),
    ],
)
async def test_a_topic_that_keeps_less_is_refused_with_what_differs(
    make_stores, config, said, prefix
):
    admin = AdminClient({"bootstrap.servers": KAFKA})
    (made,) = admin.create_topics([NewTopic(prefix + TOPIC, 2, 1, config=config)]).values()
    await asyncio.wrap_future(made)
    messages = Messages(await make_stores(), WAY, prefix)
    with pytest.raises(SettingsError, match=said):
        await messages.start()


async def test_more_replicas_than_brokers_are_refused_with_the_setting(make_stores, prefix):
    messages = Messages(await make_stores(), WAY, prefix, BILLPLANE_KAFKA_REPLICATION_FACTOR="3")
    with pytest.raises(SettingsError, match="BILLPLANE_KAFKA_REPLICATION_FACTOR"):
        await messages.start()


async def test_a_topic_that_was_deleted_is_declared_again(messages):
    await messages.publish("before")
    await messages.handled.until("before", 1)
    admin = AdminClient({"bootstrap.servers": KAFKA})
    topic = messages.environ["BILLPLANE_BROKER_PREFIX"] + TOPIC
    await asyncio.wrap_future(admin.delete_topics([topic])[topic])
    await messages.publish("after")
    await messages.flowed(60)
    await messages.handled.until("after", 1, seconds=60)


async def test_a_position_stays_below_the_oldest_unfinished_fact(messages):
    messages.handled.failing.add("bad")
    await messages.publish("bad")
    await messages.publish("good")
    await messages.handled.until("good", 1, "any_order")
    await messages.stop()
    # What was not finished comes again in the next process, what was does not.
    messages.handled.failing.clear()
    await messages.start()
    await messages.handled.until("bad", 1, "any_order")
    assert messages.handled.any_order == {"bad": [1], "good": [1]}


async def test_a_copy_goes_to_the_topic_that_programs_outside_know(prefix):
    place = KAFKA_MIRROR + "payment.succeeded"
    client = Kafka(Settings.load(environ=environ(prefix)))
    await client.declare("x", mirrored([place, RABBITMQ_MIRROR + "payment_received"]), [])
    await client.publish([Outgoing(place, "ten_a:pay_1", b"{}", {"ce_id": "evt_1"}, 3600)])
    (message,) = await asyncio.to_thread(read, f"{prefix}payment.succeeded", 1)
    assert (message.value(), message.key()) == (b"{}", b"ten_a:pay_1")
    assert message.headers() == [("ce_id", b"evt_1")]
    await client.close()


async def test_a_broker_that_is_away_at_the_start_is_no_error(prefix):
    values = environ(prefix) | {"BILLPLANE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    client = Kafka(Settings.load(environ=values))
    await client.declare("x", [Destination(TOPIC, "fact", 3600, 10)], [])
    assert client.states() == {"kafka": "reconnecting"}
    with pytest.raises(NotPublished):
        await client.publish([])
    await client.close()
