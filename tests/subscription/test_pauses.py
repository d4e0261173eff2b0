"""Pauses, ends with a credit, items for the next invoice, and trials that end."""

import pytest

from tests.chassis.waiting import eventually
from tests.subscription.billing import fee, plan


async def test_a_pause_costs_nothing_and_credits_what_was_paid_for_it(seller):
    await seller.sells(plan(fee("31.00", "InAdvance")))
    made = await seller.subscribes()
    await seller.bills()
    await seller.until("2026-01-11T00:00:00Z")
    paused = await seller.does("pause", made)
    assert (paused["state"], paused["paused_at"][:10]) == ("paused", "2026-01-11")
    await seller.until("2026-03-22T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == [31_00, 0]
    resumed = await seller.does("resume", made)
    # Nobody paid the first invoice.
    assert (resumed["state"], resumed["paused_at"]) == ("past_due", None)
    assert resumed["current_period_ends_at"][:10] == "2026-04-01"
    await seller.bills()
    await seller.until("2026-04-01T00:00:00Z")
    await seller.bills()
    # Ten days of March are charged, against 21 days of January that were paid for.
    assert await seller.amounts() == [31_00, 0, 0, 31_00 + 10_00 - 21_00]


async def test_usage_of_a_pause_is_not_billed(seller):
    meter = {"eventType": "call", "aggregation": "Count"}
    await seller.call("POST", "/v1/meters", {"name": "calls", "spec": meter}, 201)
    usage = {"meter": "calls", "model": {"perUnit": {"unitAmount": "1.00"}}}
    await seller.sells(plan(fee("31.00"), {"name": "calls", "usage": usage}))
    made = await seller.subscribes()
    events = [
        {
            "specversion": "1.0", "id": f"e{day}", "source": "t", "type": "call",
            "subject": "ada", "time": f"2026-01-{day:02}T12:00:00Z", "data": {},
        }
        for day in (5, 15, 16, 25)
    ]  # fmt: skip
    await seller.call("POST", "/v1/usage_events", events, 202)
    await seller.until("2026-01-11T00:00:00Z")
    await seller.does("pause", made)
    await seller.until("2026-01-21T00:00:00Z")
    await seller.does("resume", made)
    await seller.until("2026-02-01T00:00:00Z")
    await seller.bills()
    assert await seller.amounts() == [10_00 + 1_00, 11_00 + 1_00]


async def test_what_is_not_paused_cannot_be_resumed_and_the_other_way_round(seller):
    await seller.sells(plan(fee("31.00")))
    made = await seller.subscribes()
    refused = await seller.does("resume", made, expect=409)
    assert refused["reason"] == "SUBSCRIPTION_NOT_PAUSED"
    await seller.until("2026-01-05T00:00:00Z")
    await seller.does("pause", made)
    refused = await seller.does("pause", made, expect=409)
    assert refused["reason"] == "SUBSCRIPTION_NOT_ACTIVE"
    refused = await seller.changes_plan(made, "pro", 409)
    assert refused["reason"] == "SUBSCRIPTION_NOT_ACTIVE"
    ended = await seller.does("cancel", made)
    await seller.bills()
    assert (await seller.state(ended))["state"] == "ended"
    assert await seller.amounts() == [4_00]


async def test_an_end_now_with_a_credit_leaves_it_to_the_customers_next_invoice(seller):
    await seller.sells(plan(fee("31.00", "InAdvance")))
    made = await seller.subscribes()
    await seller.bills()
    await seller.until("2026-01-11T00:00:00Z")
    await seller.does("cancel", made, {"at_period_end": False, "proration": "create"})
    await seller.bills()
    body = {"customer_id": "ada", "plan": "pro"}
    await seller.call("POST", "/v1/subscriptions", body, 201)
    await seller.until("2026-02-01T00:00:00Z")
    await seller.bills()
    # 21.00 of what was paid pays for the days of the second one.
    assert await seller.amounts() == [31_00, 0, 21_00 - 21_00, 31_00]


async def test_an_item_goes_on_the_next_invoice_once(seller):
    await seller.sells(plan(fee("31.00")))
    made = await seller.subscribes()
    body = {"customer_id": "ada", "description": "Set-up", "amount_minor": 150_00}
    item = await seller.call("POST", "/v1/invoice_items", body, 201)
    other = await seller.call(
        "POST", "/v1/invoice_items", {**body, "subscription_id": made["id"]}, 201
    )
    await seller.call("DELETE", f"/v1/invoice_items/{other['id']}", None, 204)
    shown = await seller.call("GET", f"/v1/subscriptions/{made['id']}:preview")
    assert shown["net_minor"] == 181_00
    for month in ("02", "03"):
        await seller.until(f"2026-{month}-01T00:00:00Z")
        await seller.bills()
    assert await seller.amounts() == [181_00, 31_00]
    found = await seller.call("GET", f"/v1/invoice_items/{item['id']}")
    assert found["invoice_id"] == (await seller.invoices())[0]["id"]
    refused = await seller.call("DELETE", f"/v1/invoice_items/{item['id']}", None, 409)
    assert refused["reason"] == "INVOICE_ITEM_BILLED"


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"customer_id": "nobody"}, 404, "CUSTOMER_NOT_FOUND"),
        ({"subscription_id": "sub_none"}, 404, "SUBSCRIPTION_NOT_FOUND"),
        ({"amount_minor": 0}, 422, "FIELD_INVALID"),
        ({"amount_minor": 2**53}, 422, "FIELD_INVALID"),
        ({"currency_code": "XQX"}, 422, "CURRENCY_UNKNOWN"),
        ({"description": "card 4242 4242 4242 4242"}, 422, "CARD_NUMBER_REFUSED"),
    ],
)
async def test_a_bad_item_is_refused(seller, changes, status, reason):
    await seller.sells(plan(fee("31.00")))
    await seller.subscribes()
    body = {"customer_id": "ada", "description": "Set-up", "amount_minor": 1, **changes}
    refused = await seller.call("POST", "/v1/invoice_items", body, status)
    assert refused["reason"] == reason


async def test_the_end_of_a_trial_is_told_once_three_days_before(seller):
    await seller.sells(plan(fee("31.00", "InAdvance"), trial="14d"))
    made = await seller.subscribes()

    async def told():
        page = await seller.call("GET", "/v1/events?type=customer.subscription.trial_will_end")
        return [event["data"]["object"]["subscription_id"] for event in page["data"]] or None

    async def state(wanted):
        return (await seller.state(made))["state"] == wanted or None

    await seller.until("2026-01-11T23:00:00Z")
    await eventually(lambda: state("trialing"))
    await seller.until("2026-01-12T00:00:00Z")
    assert await eventually(told) == [made["id"]]
    await seller.until("2026-01-15T00:00:00Z")
    await eventually(lambda: state("active"))
    await seller.bills()
    assert await seller.amounts() == [17_00]
    assert await told() == [made["id"]]
