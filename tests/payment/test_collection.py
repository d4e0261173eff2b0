"""From a final invoice to money: credit first, then the payment method, then again and again."""

import pytest

from tests.payment.biller import INVOICES, Biller


@pytest.fixture
def biller(shop):
    """Give a tenant that bills."""
    return Biller(shop.platform, shop.tenant)


async def test_a_final_invoice_is_collected_by_the_customers_card(biller):
    invoice = await biller.invoice(await biller.customer("pm_card_visa"))
    paid = await biller.invoice_until(invoice, "paid")
    row = await biller.collection(invoice, lambda row: row["state"] == "paid")
    intent = await biller.get(f"/v1/payment_intents/{row['payment_intent_id']}")
    assert (intent["amount_received"], intent["invoice"]) == (paid["total_minor"], invoice["id"])
    (fact,) = await biller.facts("payment.succeeded", 1)
    assert (fact["invoice_id"], fact["amount_minor"]) == (invoice["id"], paid["total_minor"])


async def test_a_draft_has_an_intent_that_charges_nothing(biller):
    customer = await biller.customer("pm_card_visa")
    line = {"description": "work", "unit_amount": "10.00"}
    body = {"customer_id": customer, "currency_code": "EUR", "lines": [line]}
    draft = await biller.own("POST", INVOICES, body, 201)
    row = await biller.collection(draft, lambda row: row["payment_intent_id"])
    intent = await biller.get(f"/v1/payment_intents/{row['payment_intent_id']}")
    assert (row["state"], intent["status"]) == ("prepared", "requires_payment_method")


async def test_an_invoice_waits_for_a_payment_method(biller):
    customer = await biller.customer()
    invoice = await biller.invoice(customer)
    await biller.collection(invoice, lambda row: row["state"] == "waiting")
    await biller.make("/v1/payment_methods/pm_card_visa/attach", {"customer": customer})
    await biller.invoice_until(invoice, "paid")


async def test_a_voided_invoice_is_collected_no_more(biller):
    customer = await biller.customer()
    invoice = await biller.invoice(customer)
    await biller.collection(invoice, lambda row: row["state"] == "waiting")
    await biller.own("POST", f"{INVOICES}/{invoice['id']}:void", None, 200)
    row = await biller.collection(invoice, lambda row: row["state"] == "closed")
    intent = await biller.get(f"/v1/payment_intents/{row['payment_intent_id']}")
    assert (intent["status"], intent["cancellation_reason"]) == ("canceled", "void_invoice")


async def test_a_decline_is_tried_again_in_the_customers_time(biller):
    clock = await biller.clock()
    card = "pm_card_visa_chargeDeclinedInsufficientFunds"
    customer = await biller.customer(card, test_clock_id=clock)
    invoice = await biller.invoice(customer)
    row = await biller.collection(invoice, lambda row: row["attempts"] == 1)
    assert row["next_attempt_at"].isoformat() == "2026-01-04T00:00:00+00:00"
    (fact,) = await biller.facts("payment.failed", 1)
    assert (fact["decline_code"], fact["next_attempt_at"]) == (
        "insufficient_funds",
        "2026-01-04T00:00:00Z",
    )
    await biller.advance(clock, "2026-01-04T00:00:00Z")
    row = await biller.collection(invoice, lambda row: row["attempts"] == 2)
    assert row["next_attempt_at"].isoformat() == "2026-01-09T00:00:00+00:00"
    await biller.make("/v1/payment_methods/pm_card_visa/attach", {"customer": customer})
    await biller.advance(clock, "2026-01-09T00:00:00Z")
    await biller.invoice_until(invoice, "paid")
    attempts = await biller.get(f"/v1/payment_intents/{row['payment_intent_id']}/attempts")
    assert [item["status"] for item in attempts["data"]] == ["declined", "declined", "succeeded"]


async def test_the_last_decline_ends_the_collection(biller):
    clock = await biller.clock()
    customer = await biller.customer("pm_card_visa_chargeDeclined", test_clock_id=clock)
    invoice = await biller.invoice(customer)
    for number, day in enumerate(("01", "04", "09", "16"), 1):
        await biller.advance(clock, f"2026-01-{day}T00:00:00Z")
        await biller.collection(invoice, lambda row, number=number: row["attempts"] == number)
    (fact,) = await biller.facts("collection.exhausted", 1)
    assert (fact["invoice_id"], fact["final_action"]) == (invoice["id"], "mark_uncollectible")
    await biller.invoice_until(invoice, "uncollectible")
    await biller.collection(invoice, lambda row: row["state"] == "closed")


async def test_credit_of_the_wallet_goes_first(biller):
    customer = await biller.customer("pm_card_visa")
    body = {"customer_id": customer, "currency_code": "EUR"}
    wallet = await biller.own("POST", "/v1/wallets", body, 201)
    top_up = {"amount_minor": 400, "manual_reason": "cash"}
    await biller.own("POST", f"/v1/wallets/{wallet['id']}:top_up", top_up)
    invoice = await biller.invoice(customer)
    paid = await biller.invoice_until(invoice, "paid")
    row = await biller.collection(invoice, lambda row: row["state"] == "paid")
    assert (row["credit_minor"], row["collected_minor"]) == (400, paid["total_minor"] - 400)
    (fact,) = await biller.facts("credit.applied", 1)
    assert (fact["amount_minor"], fact["invoice_id"]) == (400, invoice["id"])


async def test_a_wallet_that_covers_an_invoice_leaves_the_card_alone(biller):
    customer = await biller.customer("pm_card_visa")
    body = {"customer_id": customer, "currency_code": "EUR"}
    wallet = await biller.own("POST", "/v1/wallets", body, 201)
    top_up = {"amount_minor": 40_000, "manual_reason": "cash"}
    await biller.own("POST", f"/v1/wallets/{wallet['id']}:top_up", top_up)
    invoice = await biller.invoice(customer)
    await biller.invoice_until(invoice, "paid")
    row = await biller.collection(invoice, lambda row: row["state"] == "paid")
    intent = await biller.get(f"/v1/payment_intents/{row['payment_intent_id']}")
    assert (intent["status"], intent["amount_received"]) == ("canceled", 0)


async def test_a_customer_who_is_paying_is_left_to_it(biller):
    customer = await biller.customer()
    body = {"customer_id": customer, "currency_code": "EUR"}
    invoice = await biller.invoice(customer)
    row = await biller.collection(invoice, lambda row: row["state"] == "waiting")
    wallet = await biller.own("POST", "/v1/wallets", body, 201)
    top_up = {"amount_minor": 400, "manual_reason": "cash"}
    await biller.own("POST", f"/v1/wallets/{wallet['id']}:top_up", top_up)
    path = f"/v1/payment_intents/{row['payment_intent_id']}"
    card = "pm_card_authenticationRequired"
    asked = await biller.make(f"{path}/confirm", {"payment_method": card})
    await biller.make("/v1/payment_methods/pm_card_visa/attach", {"customer": customer})
    later = await biller.collection(invoice, lambda row: row["state"] == "due")
    assert later["credit_minor"] == 0
    page = asked["next_action"]["redirect_to_url"]["url"].split("/payments/")[1]
    await biller.send("POST", f"/payments/{page}/complete")
    paid = await biller.invoice_until(invoice, "paid")
    done = await biller.collection(invoice, lambda row: row["state"] == "paid")
    assert (done["collected_minor"], done["credit_minor"]) == (paid["total_minor"], 0)
