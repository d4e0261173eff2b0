"""What every transport promises: once in effect, in order, never lost, nobody held up."""

import asyncio

import asyncpg
import pytest
from billplane.chassis.events import consumer
from billplane.chassis.events.brokers import choose
from billplane.chassis.events.relay import Relay
from billplane.chassis.settings import Settings
from redis.asyncio import Redis

from tests.chassis.waiting import eventually
from tests.events.harness import TENANT


async def test_every_message_is_handled_once_and_in_the_order_of_its_aggregate(messages):
    plans = [f"plan_{number}" for number in range(10)]
    relays = [Relay(messages.producer) for _ in range(3)]
    await asyncio.gather(*(messages.publish(plan, 8) for plan in plans))
    await asyncio.gather(*(relay.publish_claimed() for relay in relays))
    for plan in plans:
        await messages.handled.until(plan, 8)
        await messages.handled.until(plan, 8, "any_order")
    await messages.flowed()
    for plan in plans:
        assert messages.handled.ordered[plan] == list(range(1, 9))
        assert sorted(messages.handled.any_order[plan]) == list(range(1, 9))


async def test_a_message_that_comes_twice_has_its_effect_once(messages):
    envelope = messages.envelope("twice", 1)
    await messages.deliver(envelope, envelope)
    await messages.deliver(envelope)
    await messages.publish("the last")
    await messages.handled.until("the last", 1, "any_order")
    await messages.handled.until("twice", 1)
    assert messages.handled.ordered["twice"] == [1]
    assert messages.handled.any_order["twice"] == [1]


async def test_an_ordered_handler_parks_what_came_too_early(messages):
    first, second = messages.envelope("gap", 1), messages.envelope("gap", 2)
    await messages.deliver(second)
    await messages.handled.until("gap", 1, "any_order")
    assert messages.handled.ordered["gap"] == []
    await messages.deliver(first)
    await messages.handled.until("gap", 2)
    assert messages.handled.ordered["gap"] == [1, 2]
    assert messages.handled.any_order["gap"] == [2, 1]
    assert await messages.letters() == []


async def test_a_gap_that_stays_is_set_aside_and_can_be_replayed_once_it_is_filled(messages):
    dispatcher = messages.worker.dispatcher
    await messages.deliver(messages.envelope("hole", 2))
    (letter,) = await eventually(messages.letters)
    assert (letter.reason, letter.consumer) == ("GAP", "in_order")
    with pytest.raises(consumer.Parked):
        await dispatcher.replay(TENANT, False, letter.id)
    await messages.deliver(messages.envelope("hole", 1))
    await messages.handled.until("hole", 1)
    await dispatcher.replay(TENANT, False, letter.id)
    assert messages.handled.ordered["hole"] == [1, 2]
    assert await messages.letters() == []


async def test_a_poisoned_message_is_tried_again_then_set_aside_and_holds_up_nobody(messages):
    messages.handled.failing.add("bad")
    await messages.publish("bad")
    for number in range(5):
        await messages.publish(f"good_{number}")
    for number in range(5):
        await messages.handled.until(f"good_{number}", 1, "any_order")
    # The other handler of the same message has done its part.
    await messages.handled.until("bad", 1)
    (letter,) = await eventually(messages.letters)
    assert (letter.reason, letter.attempts) == ("NOT_FOUND", messages.message.attempts_max)
    assert (letter.tenant_id, letter.livemode) == (TENANT, False)
    assert messages.handled.ordered["bad"] == [1]
    messages.handled.failing.clear()
    await messages.worker.dispatcher.replay(TENANT, False, letter.id)
    assert messages.handled.any_order["bad"] == [1]
    assert await messages.letters() == []


@pytest.mark.parametrize("envelope", [b"no JSON", b'{"metadata": 1, "payload": 2}'])
async def test_a_message_that_nobody_can_read_is_passed_over(messages, envelope):
    await messages.deliver(envelope)
    await messages.publish("after it")
    await messages.handled.until("after it", 1)


async def test_types_of_tomorrow_and_unknown_fields_are_passed_over(messages):
    wire_type = f'"{messages.message.wire_type}"'.encode()
    await messages.deliver(messages.envelope("tomorrow", 1).replace(wire_type, b'"plan.dreamt"'))
    await messages.deliver(messages.envelope("tomorrow", 1))
    await messages.handled.until("tomorrow", 1)
    assert messages.handled.ordered["tomorrow"] == [1]


async def test_what_a_dead_relay_had_claimed_is_published_by_the_next(messages):
    connection = await asyncpg.connect(messages.stores.admin_url)
    messages.producer._tasks[0].cancel()  # this process' own relay stands for the dead one
    await asyncio.sleep(0.05)
    await messages.publish("left")
    await connection.execute("SELECT * FROM pricing.claim_outbox('a dead relay', 0.5, 10, '{}')")
    other = Relay(messages.producer)
    assert await other.publish_claimed() == 0
    assert await eventually(other.publish_claimed) == 1
    await messages.handled.until("left", 1)
    assert await messages.waiting() == 0
    await connection.close()


async def test_a_stop_finishes_and_acknowledges_the_message_in_hand(messages):
    begun, going_on = asyncio.Event(), asyncio.Event()

    async def gate(_event):
        begun.set()
        await going_on.wait()

    messages.handled.gates["in hand"] = gate
    await messages.publish("in hand")
    await messages.publish("behind it")
    await asyncio.wait_for(begun.wait(), 20)
    stopping = asyncio.create_task(messages.stop())
    await asyncio.sleep(0.2)
    going_on.set()
    await stopping
    assert messages.handled.any_order["in hand"] == [1]
    messages.handled.gates.clear()
    await messages.start()
    await messages.handled.until("behind it", 1, "any_order")
    await messages.publish("in hand")
    await messages.handled.until("in hand", 2, "any_order")
    assert messages.handled.any_order["in hand"] == [1, 2]


async def test_what_a_killed_consumer_had_in_hand_is_delivered_to_the_next(messages):
    settings = Settings.load(environ={**messages.stores.environ(0), **messages.environ})
    wanted = messages.worker.dispatcher.destinations
    envelope = messages.envelope("kept", 1)
    await messages.deliver(envelope)
    await messages.handled.until("kept", 1)
    await messages.stop()
    envelope = messages.envelope("kept", 2)
    async with Redis.from_url(settings.redis_url) as redis:
        sending = choose(settings, redis, "sender")
        await sending.declare("sender", wanted, [])
        await sending.publish([messages.outgoing(envelope)])
        for process in ("first", "second"):
            transport = choose(settings, redis, process)
            await transport.declare("subscription", [], wanted)
            deliveries = transport.deliveries("subscription", [item.name for item in wanted])
            delivery = await asyncio.wait_for(anext(deliveries), 20)
            assert delivery.envelope == envelope
            # Not acknowledged: as if the process had ended here.
            await deliveries.aclose()
            await transport.close()
        await sending.close()


async def test_readiness_and_metrics_tell_the_state_of_the_broker(messages):
    name = messages.way.broker
    port = 8080 + messages.platform.settings.port_offset
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    assert f'"{name}":"connected"' in answer
    text = consumer.metrics.exposition()[0].decode()
    assert f'billplane_broker_state{{broker="{name}",state="connected"}} 1.0' in text
