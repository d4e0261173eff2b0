"""Money through the cluster's front door, by the clients that people have."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aio_pika
import pytest

from tests.cluster.kube import GATEWAY, NAMESPACE, ROOT, eventually

JUDGES = ROOT / ".venv-judges" / "bin" / "python"
# The ports that clients of the united systems dial, and whose they are.
KEPT = {8001: "tax", 8002: "discount", 8003: "invoice", 8004: "payment", 50052: "billing-core"}


@contextmanager
def forwarded(kube, service, port, local=0):
    """Lead a port of this machine to a service; give its number."""
    with subprocess.Popen(
        ["kubectl", "--context", kube.context, "-n", NAMESPACE, "port-forward",
         f"service/{service}", f"{local or ''}:{port}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            said = process.stdout.readline()
            assert "Forwarding from" in said, said
            yield int(said.split("127.0.0.1:")[1].split(" ")[0])
        finally:
            process.terminate()


def passing(python, *arguments, **environ):
    """Run tests against the cluster's gateway; all must pass, and some must run."""
    kept = {name: value for name, value in os.environ.items() if "_TEST_CLUSTER" not in name}
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT, env={**kept, "BILLPLANE_TEST_URL": GATEWAY, **environ},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert " passed" in done.stdout


def test_the_official_stripe_sdk_works_unmodified(kube, api):
    passing(
        JUDGES,
        *("-c", "/dev/null", "--rootdir", ".", "--confcutdir", "tests/judges"),
        *("--import-mode=importlib", "tests/judges/test_stripe.py"),
        BILLPLANE_JUDGE_URL=GATEWAY,
        BILLPLANE_JUDGE_KEY=api.key,
    )


def test_invoices_are_collected_and_the_books_say_so(kube):
    passing(sys.executable, "-n0", "tests/journeys/test_invoices_are_collected_and_posted.py")


def test_the_walk_throughs_of_the_united_systems_work_by_their_ports(kube):
    with ExitStack() as stack:
        for port, service in KEPT.items():
            stack.enter_context(forwarded(kube, service, port, port))
        folder = Path("tests/walkthroughs")
        names = ("test_billing_core.py", "test_billing_domain.py", "test_payments_ecosystem.py")
        # A first live key wants a tenant that staff has activated; RabbitMQ's reader is below.
        leave = "not register_login and not reader_of_rabbitmq"
        passing(sys.executable, "-n0", *(str(folder / name) for name in names), "-k", leave)


async def test_a_reader_of_rabbitmq_hears_of_an_invoice_and_its_payment(kube, api):
    secret = kube.secret("billplane-rabbitmq")
    with forwarded(kube, "rabbitmq", 5672) as port:
        connection = await aio_pika.connect(
            host="127.0.0.1", port=port, login=secret["username"], password=secret["password"]
        )
        async with connection:
            channel = await connection.channel()
            reader = await channel.declare_queue(exclusive=True)
            for name in ("invoice_created", "payment_received"):
                await reader.bind("billplane.events", name)
            made = await asyncio.to_thread(_invoice_and_payment, api)
            heard = {}
            async with asyncio.timeout(60):
                while heard.keys() != made.keys():
                    message = await reader.get(fail=False)
                    if message is None:
                        await asyncio.sleep(0.2)
                        continue
                    payload = json.loads(message.body)["payload"]
                    named = payload.get("invoice_id") or payload["payment_intent_id"]
                    if named in made.values():
                        heard[message.routing_key] = named
            assert heard == made


def _invoice_and_payment(api):
    customer = api.call("POST", "/v1/customers", {"name": "Reader", "currency_code": "EUR"})
    lines = [{"description": "Fee", "quantity": "1", "unit_amount": "12.00"}]
    body = {"customer_id": customer["id"], "currency_code": "EUR", "lines": lines}
    invoice = api.call("POST", "/v1/invoices", body)
    paid = {"amount": 500, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    intent = api.call("POST", "/payments/payment_intents", paid)
    return {"invoice_created": invoice["id"], "payment_received": intent["id"]}


@pytest.fixture(autouse=True)
def _ready(kube):
    """Wait until what was killed before is back."""
    eventually(kube.all_ready, 300, kube.not_ready)
