"""What RabbitMQ alone has: returns, dead-letter queues, a breaker, several hosts."""

import asyncio
import ssl
import time

import aio_pika
import pytest
from billplane.chassis.events import rabbitmq
from billplane.chassis.events.amqp import CircuitBreaker, addresses, tls_context
from billplane.chassis.events.rabbitmq import RabbitMq
from billplane.chassis.events.registry import destinations
from billplane.chassis.events.state import BrokerState
from billplane.chassis.events.transport import NotPublished, Outgoing, TopologyDiffers
from billplane.chassis.settings import Settings, SettingsError
from billplane.protos.pricing.v1.events_pb2 import PlanPublished

from tests.chassis.waiting import eventually
from tests.events.harness import TENANT, Messages, Way
from tests.fixtures.brokers import RABBITMQ, environ, needs_rabbitmq
from tests.fixtures.ports import free_port

pytestmark = needs_rabbitmq
WAY = Way("rabbitmq", "task")
QUEUE = WAY.message.destination


def settings(prefix, **changes):
    values = environ(prefix) | {f"BILLPLANE_{name.upper()}": str(changes[name]) for name in changes}
    return Settings.load(environ=values)


def task(number=1, destination=QUEUE):
    return Outgoing(destination, f"{TENANT}:p", b"{}", {"ce_id": f"evt_{number}"}, 0)


@pytest.fixture
async def messages(make_stores, prefix):
    made = Messages(await make_stores(), WAY, prefix)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def channel():
    """A client of the test's own."""
    connection = await aio_pika.connect(RABBITMQ)
    async with connection:
        yield await connection.channel(publisher_confirms=False)


async def test_a_task_that_no_queue_takes_stays_in_the_outbox_and_holds_up_no_other(messages):
    transport = messages.worker.transport
    assert transport.states()["rabbitmq"] == "connected"
    prefix = messages.environ["BILLPLANE_BROKER_PREFIX"]
    client = await aio_pika.connect(RABBITMQ)
    async with client:
        opened = await client.channel()
        exchange = await opened.get_exchange(f"{prefix}{rabbitmq.TASKS}")
        queue = await opened.get_queue(f"{prefix}{QUEUE}")
        await queue.unbind(exchange, QUEUE)
        await messages.publish("unroutable")
        with pytest.raises(NotPublished, match="no queue takes"):
            await messages.producer.transport.publish([task()])
        # The breaker counts what the broker fails at, and it does not fail here.
        assert transport.states()["rabbitmq"] == "connected"
        assert await messages.waiting() == 1
        await queue.bind(exchange, QUEUE)
        await messages.handled.until("unroutable", 1)
    await messages.flowed()


async def test_one_of_a_batch_that_cannot_be_routed_does_not_fail_the_others(messages):
    with pytest.raises(NotPublished) as refused:
        await messages.producer.transport.publish(
            [messages.outgoing(messages.envelope("a", 1)), task(2, "nobody.works"), task(3)]
        )
    assert list(refused.value.reasons) == [1]
    await messages.handled.until("a", 1)


async def test_what_consumers_die_of_too_often_ends_among_the_dead_letters(messages):
    await messages.stop()
    prefix = messages.environ["BILLPLANE_BROKER_PREFIX"]
    sender = RabbitMq(settings(prefix))
    await sender.declare("x", [], [])
    envelope = messages.envelope("deadly", 1)
    await sender.publish([messages.outgoing(envelope)])
    await sender.close()
    # A process that ends with a message in hand gives it back undone, as often as it is started.
    for _ in range(WAY.message.attempts_max + 1):
        connection = await aio_pika.connect(RABBITMQ)
        async with connection:
            opened = await connection.channel()
            queue = await opened.get_queue(f"{prefix}{QUEUE}")
            await eventually(lambda queue=queue: queue.get(fail=False), 5)
    await messages.start()

    async def both():
        return len(await messages.letters()) == 2

    await eventually(both)
    letters = {letter.consumer: letter for letter in await messages.letters()}
    assert {letter.reason for letter in letters.values()} == {"DELIVERY_LIMIT"}
    await messages.worker.dispatcher.replay(TENANT, False, letters["in_order"].id)
    assert messages.handled.ordered["deadly"] == [1]


async def test_attempts_are_counted_one_by_one_also_after_a_consumer_went_away(prefix):
    client = RabbitMq(settings(prefix))
    await client.declare("x", [], destinations([WAY.message]))
    await client.publish([task()])
    seen = []
    for _ in range(2):  # a consumer that goes away, and its successor
        deliveries = client.deliveries("x", [QUEUE])
        seen.append((await asyncio.wait_for(anext(deliveries), 20)).attempt)
        await deliveries.aclose()
    deliveries = client.deliveries("x", [QUEUE])
    for _ in range(3):
        delivery = await asyncio.wait_for(anext(deliveries), 20)
        seen.append(delivery.attempt)
        await client.retry("x", delivery)
    assert seen == [1, 2, 3, 4, 5]
    await deliveries.aclose()
    await client.close()


async def test_a_queue_that_differs_is_refused_with_what_differs(make_stores, channel, prefix):
    await channel.declare_queue(f"{prefix}{QUEUE}", durable=True)
    messages = Messages(await make_stores(), WAY, prefix)
    with pytest.raises(SettingsError, match="RabbitMQ has it otherwise") as refused:
        await messages.start()
    assert QUEUE in str(refused.value)


async def test_a_queue_that_was_deleted_is_declared_and_consumed_again(messages, channel):
    await messages.publish("before")
    await messages.handled.until("before", 1)
    await channel.queue_delete(f"{messages.environ['BILLPLANE_BROKER_PREFIX']}{QUEUE}")
    await messages.publish("after")
    await messages.handled.until("after", 1)


async def test_a_consumer_whose_queue_became_another_ends_with_what_differs(channel, prefix):
    client = RabbitMq(settings(prefix))
    worked_off = destinations([WAY.message])
    await client.declare("x", [], worked_off)
    deliveries = client.deliveries("x", [QUEUE])
    first = asyncio.create_task(anext(deliveries))
    await asyncio.sleep(0.2)
    await channel.queue_delete(prefix + QUEUE)
    await channel.declare_queue(prefix + QUEUE, durable=True)
    # What ends here ends the process: a half-service would go unnoticed.
    with pytest.raises(TopologyDiffers, match=QUEUE):
        await asyncio.wait_for(first, 20)
    with pytest.raises(NotPublished, match="otherwise"):
        await client.publish([task()])
    await client.close()


async def test_a_host_that_is_away_is_passed_over_for_the_next(prefix):
    dead = free_port()
    url = RABBITMQ.replace("@", f"@127.0.0.1:{dead},")
    client = RabbitMq(settings(prefix, rabbitmq_url=url))
    await client.declare("x", [], [])
    assert client.states() == {"rabbitmq": "connected"}
    await client.close()


async def test_a_broker_that_is_away_at_the_start_is_no_error(prefix):
    client = RabbitMq(settings(prefix, rabbitmq_url=f"amqp://x@127.0.0.1:{free_port()}"))
    await client.declare("x", [], [])
    assert client.states() == {"rabbitmq": "reconnecting"}
    for _ in range(5):
        with pytest.raises(NotPublished):
            await client.publish([task()])
    assert client.states() == {"rabbitmq": "open"}
    await client.close()


def test_hosts_are_read_with_their_log_in_and_virtual_host():
    found = addresses("amqps://me:word@one:5671,two:5672/here")
    assert [str(url.with_query(None)) for url in found] == [
        "amqps://me:word@one:5671/here",
        "amqps://me:word@two:5672/here",
    ]


def test_a_broker_is_verified_by_name_and_certificate_always():
    context = tls_context(settings(""))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    with pytest.raises(FileNotFoundError):
        tls_context(settings("", rabbitmq_ca_file="/nowhere/ca.pem"))


async def test_the_breaker_opens_after_failures_in_a_row_and_lets_a_probe_through():
    state = BrokerState("rabbitmq")
    breaker = CircuitBreaker(settings("", rabbitmq_reconnect_delay_seconds=0.1), state)
    breaker.succeeded()
    for _ in range(4):
        breaker.failed("nack")
    assert (state.value, breaker.allows()) == ("connected", True)
    breaker.failed("nack")
    assert (state.value, breaker.allows()) == ("open", False)
    time.sleep(0.1)  # noqa: ASYNC251 - shorter than a test is worth
    assert [breaker.allows(), breaker.allows()] == [True, False]
    breaker.succeeded()
    assert (state.value, breaker.allows()) == ("connected", True)
    off = CircuitBreaker(settings("", rabbitmq_circuit_breaker_enabled=False), state)
    for _ in range(9):
        off.failed("nack")
    assert off.allows()


async def test_a_task_carries_its_metadata_as_headers_and_is_persistent(messages, channel):
    prefix = messages.environ["BILLPLANE_BROKER_PREFIX"]
    copy = await channel.declare_queue(exclusive=True)
    await copy.bind(f"{prefix}{rabbitmq.TASKS}", "#")
    async with messages.transaction() as tx:
        await tx.enqueue(PlanPublished(plan_id="p"), key="p")
    message = await eventually(lambda: copy.get(fail=False))
    assert message.headers["ce_type"] == message.type == WAY.message.wire_type
    assert message.headers["ce_tenantid"] == TENANT
    assert message.message_id == message.headers["ce_id"]
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert message.routing_key == QUEUE
