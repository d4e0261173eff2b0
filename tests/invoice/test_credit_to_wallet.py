"""What a credit note leaves over of a paid invoice fills the customer's wallet, once."""

import asyncio

from tests.chassis.waiting import eventually
from tests.invoice.test_credit_notes import credit, invoice_of

PAID_MINOR = 12_000


async def paid(client, customer):
    """Give an invoice that was paid past the platform."""
    made = await client.final(customer_id=customer)
    assert made["total_minor"] == PAID_MINOR
    await client.send("POST", f"/v1/invoices/{made['id']}:mark_paid")
    return made


async def wallet_of(client, customer, minor):
    """Wait until the customer's one wallet holds so much, and return it."""

    async def holds():
        page = await client.send("GET", f"/v1/wallets?customer_id={customer}")
        found = [one for one in page["data"] if one["balance"]["posted_minor"] == minor]
        return found[0] if len(page["data"]) == len(found) == 1 else None

    return await eventually(holds, 60)


async def books_say(client, **wanted):
    """Wait until accounts have these balances."""

    async def so():
        page = await client.send("GET", "/v1/ledger/accounts?limit=200")
        found = {item["external_id"]: item["balance_minor"] for item in page["data"]}
        same = {name: found.get(name, 0) for name in wanted} == wanted
        trial = await client.send("GET", "/v1/ledger/trial_balance")
        even = all(row["debit_minor"] == row["credit_minor"] for row in trial["data"])
        return same and even and found

    return await eventually(so, 60)


async def test_what_is_left_over_becomes_the_customers_credit_and_pays_the_next_invoice(client):
    customer = await client.customer()
    made = await paid(client, customer)
    note = await credit(client, made, amount_minor=2_000, reason="late")
    assert (note["applied_minor"], note["excess_minor"], note["excess"]) == (0, 2_000, "credit")
    wallet = await wallet_of(client, customer, 2_000)
    assert wallet["currency_code"] == "EUR"
    (moved,) = (await client.send("GET", f"/v1/wallets/{wallet['id']}/operations"))["data"]
    assert (moved["kind"], moved["amount_minor"]) == ("top_up", 2_000)
    assert moved["credit_note_id"] == note["id"]
    assert note["number"] in moved["description"]
    account = f"wallet:{wallet['id']}"
    wanted = {account: 2_000, "unapplied_payments:EUR": 0, "cash:manual:EUR": PAID_MINOR}
    await books_say(client, **wanted, **{"receivables:EUR": 0})
    following = await client.final(customer_id=customer)

    async def settled():
        found = await invoice_of(client, following)
        return found if found["paid_minor"] else None

    assert (await eventually(settled, 60))["paid_minor"] == 2_000
    await books_say(client, **{account: 0, "receivables:EUR": PAID_MINOR - 2_000})


async def test_what_is_due_is_lowered_first_and_only_the_rest_is_credit(client):
    customer = await client.customer()
    wanted = {"customer_id": customer, "currency_code": "EUR"}
    wallet = await client.send("POST", "/v1/wallets", 201, json=wanted)
    added = {"amount_minor": 5_000, "manual_reason": "cash"}
    await client.send("POST", f"/v1/wallets/{wallet['id']}:top_up", json=added)
    made = await client.final(customer_id=customer)

    async def collected():
        return (await invoice_of(client, made))["paid_minor"] == 5_000

    await eventually(collected, 60)
    note = await credit(client, made)
    assert (note["applied_minor"], note["excess_minor"]) == (7_000, 5_000)
    again = await wallet_of(client, customer, 5_000)
    assert again["id"] == wallet["id"]
    balances = {"unapplied_payments:EUR": 0, "receivables:EUR": 0, "revenue:EUR": 0}
    await books_say(client, **balances, **{f"wallet:{wallet['id']}": 5_000})


async def test_notes_at_once_fill_one_wallet_and_a_repeated_request_fills_it_once(client):
    customer = await client.customer()
    made = await paid(client, customer)
    key = {"Idempotency-Key": "again"}
    body = {"invoice_id": made["id"], "amount_minor": 700}
    first = await client.send("POST", "/v1/credit_notes", 201, json=body, headers=key)
    assert await client.send("POST", "/v1/credit_notes", 201, json=body, headers=key) == first
    await asyncio.gather(*(credit(client, made, amount_minor=100) for _ in range(8)))
    wallet = await wallet_of(client, customer, 1_500)
    moved = (await client.send("GET", f"/v1/wallets/{wallet['id']}/operations"))["data"]
    notes = (await client.send("GET", "/v1/credit_notes"))["data"]
    assert sorted(one["credit_note_id"] for one in moved) == sorted(one["id"] for one in notes)
    await books_say(client, **{f"wallet:{wallet['id']}": 1_500, "unapplied_payments:EUR": 0})


async def test_credit_for_nobody_is_refused_before_anything_is_issued(client, billing):
    final = await billing.finalize((await billing.create(10_000)).id)
    await client.send("POST", f"/v1/invoices/{final.id}:mark_paid")
    problem = await credit(client, {"id": final.id}, 409, amount_minor=100)
    assert (problem["reason"], problem["field"]) == ("CREDIT_NOT_POSSIBLE", "/excess")
    assert (await client.send("GET", "/v1/credit_notes"))["data"] == []
    made = await credit(client, {"id": final.id}, amount_minor=100, excess="by_hand")
    assert (made["excess_minor"], made["number"][-6:]) == (100, "000001")
