"""Brokers that are killed, or away for a while: no message lost, none run twice, no long wait."""

import asyncio
import os
import time

import pytest
from billplane.chassis import metrics
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from yarl import URL

from tests.chassis.waiting import eventually
from tests.events.harness import Messages, Way
from tests.fixtures import brokers
from tests.fixtures.brokers import Container

# `make soak` sets two minutes.
AWAY_SECONDS = float(os.environ.get("BILLPLANE_TEST_BROKER_AWAY_SECONDS", "15"))
SETTLE_SECONDS = 6
WAYS = []
if brokers.KAFKA_CONTAINER:
    WAYS.append(pytest.param(Way("kafka", "fact"), id="kafka"))
if brokers.RABBITMQ_CONTAINER:
    WAYS.append(pytest.param(Way("rabbitmq", "task"), id="rabbitmq"))


@pytest.fixture(params=WAYS)
def way(request):
    """The brokers that this run may kill."""
    return request.param


@pytest.fixture
async def container(way):
    """The broker's container; it runs again afterwards."""
    name = brokers.KAFKA_CONTAINER if way.broker == "kafka" else brokers.RABBITMQ_CONTAINER
    found = Container(name)
    yield found
    found.start()
    await answering(way)


@pytest.fixture
async def messages(make_stores, way, container, prefix):
    made = Messages(await make_stores(), way, prefix)
    await made.start()
    # RabbitMQ 4.0 writes where a new quorum queue's data lies a few seconds after it is declared;
    # killed before, it does not find the queue again.
    await asyncio.sleep(SETTLE_SECONDS)
    yield made
    await made.stop()


async def answers(way):
    """Tell whether the broker itself answers, not only the port that leads to it."""
    if way.broker == "kafka":
        admin = AdminClient({"bootstrap.servers": brokers.KAFKA, "log_level": 0})
        try:
            return bool((await asyncio.to_thread(admin.list_topics, timeout=0.5)).brokers)
        except KafkaException:
            return False
    url = URL(brokers.RABBITMQ)
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(b"AMQP\x00\x00\x09\x01")
            first = await reader.read(1)
            writer.close()
            return first == b"\x01"
    except OSError:
        return False


async def answering(way):
    await eventually(lambda: answers(way), 90)


class Load:
    """Publishes without end, each message for an aggregate of its own and one for a common one."""

    def __init__(self, messages):
        self.messages = messages
        self.count = 0
        self._task = asyncio.create_task(self._run())

    async def _run(self):
        while True:
            await self.messages.publish(f"load_{self.count}")
            await self.messages.publish("common")
            self.count += 1
            await asyncio.sleep(0.05)

    async def end(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def check(self):
        """Every message that was stored is handled once, the common ones in their order."""
        handled = self.messages.handled
        await self.messages.flowed(60)
        for number in range(self.count):
            await handled.until(f"load_{number}", 1, "any_order", 60)
            assert handled.any_order[f"load_{number}"] == [1]
        await handled.until("common", self.count, seconds=60)
        assert handled.ordered["common"] == list(range(1, len(handled.ordered["common"]) + 1))
        assert await self.messages.letters() == []


def left(messages):
    """Count what has left the outbox: what is confirmed, or arrived while its batch goes on."""
    confirmed = metrics.PUBLISHED.labels("pricing", messages.message.wire_type)._value.get()
    arrived = sum(len(versions) for versions in list(messages.handled.any_order.values()))
    return confirmed, arrived


async def test_a_broker_that_is_killed_under_load_loses_nothing_and_repeats_nothing(
    messages, container
):
    load = Load(messages)
    await messages.handled.until("load_20", 1)
    for _ in range(2):
        container.kill()
        await asyncio.sleep(1)
        container.start()
        await answering(messages.way)
        await asyncio.sleep(3)
    await load.end()
    await load.check()


async def test_what_waited_for_a_broker_leaves_within_two_seconds_of_its_return(
    messages, container
):
    load = Load(messages)
    await messages.handled.until("load_5", 1)
    waited = await returning(messages, container, load, AWAY_SECONDS)
    if waited >= 2:  # on a crowded machine it may take a second look
        waited = await returning(messages, container, load, AWAY_SECONDS)
    assert waited < 2
    await load.end()
    await load.check()


async def returning(messages, container, load, seconds):
    """Take the broker away for so long, and return how long after its return a message left."""
    container.kill()

    async def noticed():
        return messages.producer.transport.states()[messages.way.broker] != "connected"

    await eventually(noticed)
    stored = load.count
    await asyncio.sleep(seconds)
    before = left(messages)
    # Requests went on all the time.
    assert load.count - stored > seconds
    container.start()
    await answering(messages.way)
    returned = time.monotonic()
    await eventually(lambda: _more(messages, before), 60)
    return time.monotonic() - returned


async def _more(messages, before):
    return any(now > then for now, then in zip(left(messages), before, strict=True))
