"""Brokers over TLS: messages flow where their certificate is verified, and nowhere else."""

import pytest
from billplane.chassis.events.transport import NotPublished

from tests.events.harness import Messages, Way
from tests.fixtures import brokers

AUTHORITY = brokers.NAMED["BILLPLANE_TEST_CA_FILE"]
SERVERS = {
    "kafka": ("BILLPLANE_KAFKA_BOOTSTRAP_SERVERS", brokers.NAMED["BILLPLANE_TEST_KAFKA_TLS"]),
    "rabbitmq": ("BILLPLANE_RABBITMQ_URL", brokers.NAMED["BILLPLANE_TEST_RABBITMQ_TLS"]),
}
WAYS = [Way("kafka", "fact"), Way("rabbitmq", "task")]
pytestmark = pytest.mark.skipif(not AUTHORITY, reason="no broker with TLS is named")


def tls(way, **environ):
    """Give the settings that reach a broker at its port with TLS."""
    variable, address = SERVERS[way.broker]
    return {variable: address, **environ}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.broker)
async def test_messages_travel_over_tls(make_stores, way, prefix):
    authority = {f"BILLPLANE_{way.broker.upper()}_CA_FILE": AUTHORITY}
    messages = Messages(await make_stores(), way, prefix, **tls(way, **authority))
    await messages.start()
    try:
        await messages.publish("sealed", 3)
        await messages.handled.until("sealed", 3)
        await messages.flowed()
    finally:
        await messages.stop()
    assert messages.handled.ordered["sealed"] == [1, 2, 3]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.broker)
async def test_a_broker_whose_certificate_nobody_vouches_for_gets_nothing(make_stores, way, prefix):
    protocol = {"BILLPLANE_KAFKA_SECURITY_PROTOCOL": "SSL"} if way.broker == "kafka" else {}
    messages = Messages(await make_stores(), way, prefix, **tls(way, **protocol))
    await messages.start()
    try:
        await messages.publish("kept", 1)

        with pytest.raises(NotPublished):
            await messages.deliver(messages.envelope("kept", 1))
        assert messages.producer.transport.states()[way.broker] == "reconnecting"
        assert await messages.waiting() == 1
    finally:
        await messages.stop()
