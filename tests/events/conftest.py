"""The transports that this run can try, and the messages over each."""

import pytest
from billplane.chassis.events import consumer, redis_streams, transport

from tests.events.harness import Messages, Way
from tests.fixtures.brokers import KAFKA, RABBITMQ

WAYS = [Way("redis", "fact"), Way("redis", "task")]
WAYS += [Way("kafka", "fact")] if KAFKA else []
WAYS += [Way("rabbitmq", "task")] if RABBITMQ else []


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(transport, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(redis_streams, "BLOCK_MILLISECONDS", 50)
    monkeypatch.setattr(consumer, "GAP_SECONDS", 1)


@pytest.fixture(params=WAYS, ids=lambda way: f"{way.broker}-{way.kind}s")
def way(request):
    """Each transport that is there."""
    return request.param


@pytest.fixture
async def messages(make_stores, way, prefix):
    """Run a producer and a handling service over one transport."""
    made = Messages(await make_stores(), way, prefix)
    await made.start()
    yield made
    await made.stop()
