"""The whole platform with facts on Kafka and tasks on RabbitMQ, and what it does without them."""

import importlib.util
import re

import pytest
from billplane.chassis import metrics

from tests.fixtures import brokers
from tests.fixtures.brokers import needs_kafka, needs_rabbitmq
from tests.journeys import test_metered_usage_becomes_an_invoice as journey


@needs_kafka
@needs_rabbitmq
async def test_a_month_of_usage_becomes_an_invoice_over_kafka_and_rabbitmq(
    run_platform, make_stores, prefix
):
    settings = brokers.environ(prefix)
    async with run_platform(await make_stores(), **settings) as platform:
        await journey.test_a_month_of_usage_becomes_one_finalized_invoice(platform)
        ready = await platform.request("GET", "/health/ready", port=8001, expect=200)
        assert ready["brokers"] == {"kafka": "connected", "rabbitmq": "connected"}
        text = metrics.exposition()[0].decode()
        away = re.findall(r'broker_state{broker="(\w+)",state="(?!connected)\w+"} 1.0', text)
        assert away == []
        redis = platform.platform.runtimes["invoice"].redis
        streams = [key async for key in redis.scan_iter("billplane.*")]
        assert streams == []


@pytest.mark.parametrize("module", ["aiokafka", "faststream", "kafka"])
def test_no_second_client_of_kafka_is_needed(module):
    assert importlib.util.find_spec(module) is None
