"""Subscriptions whose invoices are not paid."""

import json

import pytest
from billplane.protos.invoice.v1 import events_pb2 as invoice
from billplane.protos.listener.v1 import listener_pb2, listener_pb2_grpc
from billplane.protos.payment.v1 import events_pb2 as payment

from tests.chassis.waiting import eventually
from tests.fixtures.facts import tell
from tests.subscription.billing import fee, plan


@pytest.fixture
async def subscription(seller):
    """Give a subscription whose clock is in its first period."""
    await seller.sells(plan(fee("10")))
    return await seller.subscribes()


async def becomes(seller, subscription, state):
    async def so():
        found = await seller.call("GET", f"/v1/subscriptions/{subscription['id']}")
        return found["state"] == state

    await eventually(so)


def past_due(subscription, invoice_id):
    return invoice.InvoicePastDue(invoice_id=invoice_id, subscription_id=subscription["id"])


async def test_a_subscription_is_past_due_until_its_last_invoice_is_settled(seller, subscription):
    for name in ("inv_1", "inv_2"):
        fact = past_due(subscription, name)
        await tell(seller.platform, fact, name, seller.tenant, wire_type="invoice.past_due")
    await becomes(seller, subscription, "past_due")
    ends = [
        invoice.InvoicePaid(invoice_id="inv_1", subscription_id=subscription["id"]),
        invoice.InvoiceVoided(invoice_id="inv_3", subscription_id=subscription["id"]),
    ]
    for fact in ends:
        await tell(seller.platform, fact, fact.invoice_id, seller.tenant, times=2)
    with pytest.raises(TimeoutError):
        await eventually(lambda: held(seller, subscription, "active"), 0.5)
    fact = invoice.InvoiceUncollectible(invoice_id="inv_2", subscription_id=subscription["id"])
    await tell(seller.platform, fact, "inv_2", seller.tenant)
    await becomes(seller, subscription, "active")


async def held(seller, subscription, state):
    found = await seller.call("GET", f"/v1/subscriptions/{subscription['id']}")
    return found["state"] == state


async def test_a_past_due_subscription_is_billed_on(seller, subscription):
    fact = past_due(subscription, "inv_1")
    await tell(seller.platform, fact, "inv_1", seller.tenant, wire_type="invoice.past_due")
    await becomes(seller, subscription, "past_due")
    await seller.until("2026-02-01T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == [1_000]
    await becomes(seller, subscription, "past_due")


async def test_dunning_that_ends_so_ends_the_subscription(seller, subscription):
    fact = payment.CollectionExhausted(
        invoice_id="inv_1", subscription_id=subscription["id"], final_action="cancel_subscription"
    )
    await seller.until("2026-01-20T00:00:00Z")
    await tell(seller.platform, fact, "inv_1", seller.tenant, times=2)
    await becomes(seller, subscription, "canceled")


async def test_customers_and_clocks_are_told_about(seller):
    await seller.sells(plan(fee("10")))
    made = await seller.customer("ada", email="ada@example.com")
    path = f"/v1/customers/{made['id']}"
    changed = await seller.call("PATCH", path, {"name": "Ada Lovelace"})
    await seller.call("DELETE", path, expect=204)
    await seller.until("2026-01-05T00:00:00Z")
    await seller.until("2026-01-05T00:00:00Z")

    stub = listener_pb2_grpc.ListenerServiceStub
    async with seller.platform.channel() as channel:

        async def audited():
            request = listener_pb2.ListAuditEntriesRequest(page_size=200)
            metadata = seller.platform.metadata(seller.tenant)
            page = await stub(channel).ListAuditEntries(request, metadata=metadata)
            types = ("customer.", "test_clock.")
            found = [entry for entry in page.audit_entries if entry.message.startswith(types)]
            return found if len(found) >= 4 else None

        found = await eventually(audited)
    told = {entry.message: json.loads(entry.payload_json) for entry in found}
    assert len(found) == len(told) == 4
    assert told["test_clock.advanced"]["now"] == "2026-01-05T00:00:00Z"
    assert json.loads(told["customer.created"]["object_json"]) == {**made, "object": "customer"}
    assert json.loads(told["customer.updated"]["object_json"]) == {**changed, "object": "customer"}
