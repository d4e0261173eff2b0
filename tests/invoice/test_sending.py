"""Invoices that are sent, and collected on demand."""

from types import SimpleNamespace

import pytest
from billplane.notification import peers
from billplane.notification.providers.base import Attachment, Letter
from billplane.notification.providers.smtp import SmtpWay

from tests.chassis.waiting import eventually


async def notifications(client):
    async def there():
        return (await client.send("GET", "/v1/notifications"))["data"]

    return await eventually(there)


async def test_an_issued_invoice_is_sent_to_its_customer(client):
    customer = await client.customer(email="ap@alpenglow.example", locale="de")
    draft = await client.create(customer_id=customer)
    problem = await client.send("POST", f"/v1/invoices/{draft['id']}:send", 409)
    assert problem["reason"] == "INVOICE_NOT_ISSUED"
    final = await client.send("POST", f"/v1/invoices/{draft['id']}:finalize")
    sent = await client.send("POST", f"/v1/invoices/{final['number']}:send")
    assert sent["id"] == final["id"]
    (letter,) = await notifications(client)
    assert (letter["template"], letter["recipient"]) == ("invoice_issued", "ap@alpenglow.example")
    history = (await client.send("GET", f"/v1/invoices/{final['id']}/history"))["data"]
    assert history[0]["note"] == "sent to ap@alpenglow.example"


async def test_an_invoice_without_an_address_is_sent_where_one_says(client):
    final = await client.final()
    path = f"/v1/invoices/{final['id']}:send"
    assert (await client.send("POST", path, 409))["reason"] == "RECIPIENT_MISSING"
    await client.send("POST", path, 422, json={"to": "nobody"})
    await client.send("POST", path, json={"to": "boss@alpenglow.example"})
    (letter,) = await notifications(client)
    assert letter["recipient"] == "boss@alpenglow.example"


async def test_the_pdf_goes_along_with_the_e_mail(client, platform):
    final = await client.final()
    runtime = platform.platform.runtimes["notification"]
    worker = SimpleNamespace(runtime=runtime)
    file = await peers.invoice_pdf(worker, client.tenant, final["id"], livemode=False)
    letter = Letter("msg_1", "a@b.example", "Invoice", "text\n", "<p>text</p>",
                    attachments=(Attachment(*file),))  # fmt: skip
    written = SmtpWay(runtime.settings, runtime.clock)._written(letter)
    (attached,) = written.iter_attachments()
    assert attached.get_filename() == f"{final['number']}.pdf"
    assert attached.get_content_type() == "application/pdf"
    assert attached.get_content().startswith(b"%PDF-1.7")


async def stripe(client, path, **fields):
    headers = {**client.platform.headers(client.tenant), "Stripe-Version": "2026-01-01"}
    return await client.platform.request("POST", path, data=fields, headers=headers, expect=200)


async def told(client, path):
    headers = {**client.platform.headers(client.tenant), "Stripe-Version": "2026-01-01"}
    return await client.platform.request("GET", path, headers=headers, expect=200)


async def becomes(client, invoice, state):
    async def so():
        found = await client.send("GET", f"/v1/invoices/{invoice['id']}")
        return found if found["state"] == state else None

    return await eventually(so)


async def test_an_invoice_is_collected_on_demand_credited_and_refunded(client):
    customer = await client.customer()
    final = await client.final(customer_id=customer)
    path = f"/v1/invoices/{final['id']}:pay"
    problem = await client.send("POST", path, 402)
    assert problem["reason"] == "PAYMENT_DECLINED"
    assert problem["metadata"]["state"] == "no_payment_method"
    part = {"invoice_id": final["id"], "amount_minor": 2_000}
    await client.send("POST", "/v1/credit_notes", 201, json=part)

    async def lowered():
        intents = (await told(client, f"/v1/payment_intents?customer={customer}"))["data"]
        return [intent["id"] for intent in intents if intent["amount"] == 10_000]

    (intent,) = await eventually(lowered)
    await stripe(client, "/v1/payment_methods/pm_card_visa/attach", customer=customer)
    assert (await client.send("POST", path))["state"] in ("paid", "processing")
    paid = await becomes(client, final, "paid")
    assert (paid["paid_minor"], paid["credited_minor"]) == (10_000, 2_000)
    assert (await client.send("POST", path))["state"] == "paid"
    body = {"invoice_id": final["id"], "amount_minor": 3_000, "excess": "refund"}
    note = await client.send("POST", "/v1/credit_notes", 201, json=body)
    assert (note["applied_minor"], note["excess_minor"]) == (0, 3_000)

    async def refunded():
        return (await told(client, f"/v1/refunds?payment_intent={intent}"))["data"]

    (refund,) = await eventually(refunded)
    assert refund["amount"] == 3_000

    async def posted():
        accounts = (await client.send("GET", "/ledger/accounts?limit=200"))["data"]
        found = {one["external_id"]: one["balance_minor"] for one in accounts}
        return found if found.get("cash:simulated:EUR") else None

    async def settled():
        found = await posted()
        wanted = {"receivables:EUR": 0, "unapplied_payments:EUR": 0}
        return all(found and found.get(name) == held for name, held in wanted.items())

    assert await eventually(settled)


@pytest.mark.parametrize("state", ["draft", "voided"])
async def test_only_what_is_owed_is_collected(client, state):
    made = await (client.create() if state == "draft" else client.final())
    if state == "voided":
        await client.send("POST", f"/v1/invoices/{made['id']}:void")
    problem = await client.send("POST", f"/v1/invoices/{made['id']}:pay", 409)
    assert (problem["reason"], problem["metadata"]) == ("INVOICE_NOT_OPEN", {"state": state})


async def test_receivables_are_listed_by_customer_currency_and_age(client):
    first = await client.customer(name="First", payment_terms_days=0)
    second = await client.customer(name="Second", payment_terms_days=10)
    invoices = [
        await client.final(customer_id=first),
        await client.final(customer_id=first, currency_code="USD"),
        await client.final(customer_id=second),
    ]
    await client.create(customer_id=first)
    due = invoices[0]["due_on"]
    year, month, day = (int(part) for part in due.split("-"))
    later = f"{year + 1}-{month:02d}-{min(day, 28):02d}"
    found = await client.send("GET", f"/v1/receivables?as_of={due}&order=asc")
    assert [(row["customer_name"], row["currency_code"], row["current_minor"])
            for row in found["data"]] == [
        ("First", "EUR", 12_000), ("First", "USD", 12_000), ("Second", "EUR", 12_000)
    ]  # fmt: skip
    old = await client.send("GET", f"/v1/receivables?as_of={later}&currency_code=EUR")
    assert {row["days_over_90_minor"] for row in old["data"]} == {12_000}
    assert [(total["currency_code"], total["total_minor"]) for total in old["totals"]] == [
        ("EUR", 24_000)
    ]
    note = {"invoice_id": invoices[0]["id"], "amount_minor": 2_000}
    await client.send("POST", "/v1/credit_notes", 201, json=note)
    await client.send("POST", f"/v1/invoices/{invoices[2]['id']}:mark_paid")
    left = await client.send("GET", f"/v1/receivables?as_of={later}&currency_code=EUR")
    assert [(row["customer_name"], row["total_minor"]) for row in left["data"]] == [
        ("First", 10_000)
    ]
    page = await client.send("GET", f"/v1/receivables?as_of={due}&limit=1")
    rest = await client.send("GET", f"/v1/receivables?limit=1&cursor={page['next_cursor']}")
    assert page["data"][0] != rest["data"][0]
    assert (await client.send("GET", "/v1/receivables?as_of=2000-01-01"))["data"] == []
    await client.send("GET", "/v1/receivables?as_of=soon", 422)
