"""Copies of facts for programs outside, which none of ours reads."""

import json

import aio_pika
import pytest
from billplane import catalog
from billplane.chassis.events import rabbitmq
from billplane.chassis.events.transport import KAFKA_MIRROR, RABBITMQ_MIRROR
from billplane.listener.domain import Mirror
from billplane.listener.service.facts import FACTS
from billplane.listener.service.mirrors import MIRRORS

from tests.chassis.waiting import eventually
from tests.fixtures import brokers
from tests.fixtures.brokers import RABBITMQ, needs_rabbitmq
from tests.listener.test_rest import CALCULATION


def test_no_service_of_ours_reads_a_copy():
    copies = {
        name
        for mirror in MIRRORS.values()
        for place in mirror.destinations(rabbitmq=True, kafka=True)
        for name in (place, place.removeprefix(RABBITMQ_MIRROR).removeprefix(KAFKA_MIRROR))
    }
    for service in catalog.SERVICES:
        app = catalog.load(service)
        for interest in app.consumers.interests if app.consumers else ():
            assert interest.message.destination not in copies, service
        assert service == "listener" or not app.mirrors, service


def test_every_fact_that_is_copied_exists_under_a_name_of_its_own():
    known = {message.wire_type for message in FACTS}
    assert set(MIRRORS) <= known
    places = [
        place
        for mirror in MIRRORS.values()
        for place in mirror.destinations(rabbitmq=True, kafka=True)
    ]
    assert len(places) == len(set(places))


def test_a_copy_goes_where_a_broker_is():
    mirror = Mirror(rabbitmq="payment_received", kafka="payment.succeeded")
    assert mirror.destinations(rabbitmq=True, kafka=True) == [
        "mirror.rabbitmq/payment_received",
        "mirror.kafka/payment.succeeded",
    ]
    assert mirror.destinations(rabbitmq=True, kafka=False) == ["mirror.rabbitmq/payment_received"]
    assert mirror.destinations(rabbitmq=False, kafka=False) == []


@needs_rabbitmq
@pytest.mark.parametrize("enabled", ["true", "false"])
async def test_a_program_outside_reads_the_same_envelope_under_the_name_it_knows(
    run_platform, make_stores, prefix, enabled
):
    way = {name: value for name, value in brokers.environ(prefix).items() if "KAFKA" not in name}
    way["BILLPLANE_LISTENER_MIRRORS_ENABLED"] = enabled
    async with await aio_pika.connect(RABBITMQ) as connection:
        channel = await connection.channel()
        async with run_platform(await make_stores(), ("listener", "tax"), **way) as platform:
            outside = await channel.declare_queue(exclusive=True)
            await outside.bind(prefix + rabbitmq.MIRRORS, "tax_calculated")
            headers = platform.headers("ten_mirror")
            made = await platform.request(
                "POST", "/v1/tax_calculations", json=CALCULATION, headers=headers, expect=201
            )

            async def recorded():
                page = await platform.request("GET", "/v1/audit_entries", headers=headers)
                return page["data"]

            (entry,) = await eventually(recorded)
            shown = await platform.request("GET", "/v1/reactions", headers=headers, expect=200)
            mirrors = {item["enabled"] for item in shown["data"] if item["name"] == "mirror"}
            assert mirrors == {enabled == "true"}
            if enabled == "false":
                assert await outside.get(fail=False) is None
                return
            message = await eventually(lambda: outside.get(fail=False))
            body = json.loads(message.body)
            assert body["metadata"]["event_id"] == entry["event_id"] == message.headers["ce_id"]
            assert body["payload"] == entry["payload"]
            assert body["metadata"]["aggregate_id"] == made["id"]


@needs_rabbitmq
async def test_nothing_of_the_whole_platform_is_bound_to_the_exchange_of_copies(
    run_platform, make_stores, prefix
):
    way = {name: value for name, value in brokers.environ(prefix).items() if "KAFKA" not in name}
    async with run_platform(await make_stores(), **way):
        async with await aio_pika.connect(RABBITMQ) as connection:
            channel = await connection.channel(on_return_raises=True)
            exchange = await channel.get_exchange(prefix + rabbitmq.MIRRORS)
            for mirror in MIRRORS.values():
                with pytest.raises(aio_pika.exceptions.PublishError):
                    await exchange.publish(aio_pika.Message(b"{}"), mirror.rabbitmq)
