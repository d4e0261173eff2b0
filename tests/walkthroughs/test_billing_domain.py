"""Who built on the billing domain finds its services on their ports, each with its own pages."""

import json

import aio_pika
import pytest
from billplane.chassis.events import rabbitmq

from tests.chassis.waiting import eventually
from tests.fixtures import brokers
from tests.fixtures.brokers import RABBITMQ, needs_rabbitmq

PORTS = {8001: "Tax", 8002: "Discount", 8003: "Invoice", 8004: "Payment"}


@pytest.mark.parametrize("port", PORTS)
async def test_a_service_answers_on_the_port_that_it_had(notes, port):
    page = await notes.run(f"curl localhost:{port}/docs", expect=200)
    assert b"swagger-ui" in page.body
    document = (await notes.run(f"curl localhost:{port}/openapi.json", expect=200)).json
    assert PORTS[port] in document["info"]["title"]
    health = await notes.run(f"curl localhost:{port}/health", expect=200)
    assert health.json == {"status": "ok"}


async def test_a_payment_is_made_on_the_port_that_payment_had(notes, developer):
    body = json.dumps({"amount": 500, "currency": "eur", "payment_method": "pm_card_visa"})
    command = (
        'curl -X POST localhost:8004/payments/payment_intents -H "Authorization: Bearer $KEY"'
        f" -H 'Content-Type: application/json' -d '{body}'"
    )
    intent = (await notes.run(command, expect=200, KEY=developer.key)).json
    assert intent["status"] == "requires_confirmation"


@needs_rabbitmq
async def test_a_reader_of_rabbitmq_hears_of_invoices_and_payments_by_the_names_it_knows(
    run_platform, make_stores, prefix
):
    way = {name: value for name, value in brokers.environ(prefix).items() if "KAFKA" not in name}
    async with await aio_pika.connect(RABBITMQ) as connection:
        channel = await connection.channel()
        async with run_platform(await make_stores(), **way) as platform:
            reader = await channel.declare_queue(exclusive=True)
            for name in ("invoice_created", "payment_received"):
                await reader.bind(prefix + rabbitmq.MIRRORS, name)
            headers = platform.headers("ten_reader")
            await platform.request(
                "POST",
                "/v1/customers",
                json={"name": "Ada", "external_id": "ada", "currency_code": "EUR"},
                headers=headers,
                expect=201,
            )
            lines = [{"description": "Fee", "quantity": "1", "unit_amount": "12.00"}]
            body = {"customer_id": "ada", "currency_code": "EUR", "lines": lines}
            invoice = await platform.request(
                "POST", "/v1/invoices", json=body, headers=headers, expect=201
            )
            body = {
                "amount": 500,
                "currency": "eur",
                "payment_method": "pm_card_visa",
                "confirm": True,
            }
            intent = await platform.request(
                "POST", "/payments/payment_intents", json=body, headers=headers, expect=200
            )
            heard = {}
            while len(heard) < 2:
                message = await eventually(lambda: reader.get(fail=False))
                heard[message.routing_key] = json.loads(message.body)["payload"]
            assert heard["invoice_created"]["invoice_id"] == invoice["id"]
            assert heard["payment_received"]["payment_intent_id"] == intent["id"]
            assert heard["payment_received"]["amount_minor"] == 500
