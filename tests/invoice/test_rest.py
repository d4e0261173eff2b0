"""REST of invoice: one-off invoices from draft to paid."""

import asyncio

import asyncpg
import pytest

from tests.invoice.client import SELLER


async def test_a_one_off_invoice_goes_from_draft_to_paid(client):
    await client.send("PUT", "/v1/invoice_settings", json=SELLER)
    customer = await client.customer(payment_terms_days=10, external_id="ext-1")
    draft = await client.create(
        customer_id="ext-1",
        lines=[
            {"description": "Consulting", "quantity": "2.5", "unit_amount": "99.99"},
            {"description": "Travel", "quantity": 3, "unit_amount": "10"},
        ],
        metadata={"order": "42"},
    )
    assert (draft["state"], draft["number"], draft["customer_id"]) == ("draft", None, customer)
    assert [line["amount_minor"] for line in draft["lines"]] == [24_998, 3_000]
    assert (draft["net_minor"], draft["tax_minor"], draft["total_minor"]) == (27_998, 5_600, 33_598)
    final = await client.send("POST", f"/v1/invoices/{draft['id']}:finalize")
    assert final["number"].startswith("TEST-SKY-")
    assert final["number"].endswith("-000001")
    for name in (final["id"], final["number"]):
        assert await client.send("GET", f"/v1/invoices/{name}") == final
    paid = await client.send(
        "POST", f"/v1/invoices/{final['number']}:mark_paid", json={"note": "cash"}
    )
    assert (paid["state"], paid["paid_minor"], paid["due_minor"]) == ("paid", 33_598, 0)
    again = await client.send("POST", f"/v1/invoices/{final['id']}:mark_paid")
    assert again == paid
    history = await client.send("GET", f"/v1/invoices/{final['id']}/history?order=asc")
    assert [(item["from"], item["to"]) for item in history["data"]] == [
        (None, "draft"),
        ("draft", "finalizing"),
        ("finalizing", "finalized"),
        ("finalized", "paid"),
    ]
    assert [item["note"] for item in history["data"]][-1] == "cash"
    assert history["data"][2]["tax_calculation_id"] == final["tax_calculation_id"]
    assert {item["cause"] for item in history["data"]} == {"user:usr_test"}


async def test_an_idempotency_key_makes_one_invoice_and_one_answer(client):
    customer = await client.customer()
    key = {"Idempotency-Key": "k1"}
    first = await client.create(customer_id=customer, headers=key)
    assert await client.create(customer_id=customer, headers=key) == first
    problem = await client.create(422, customer_id=customer, headers=key, due_on="2030-01-01")
    assert problem["reason"] == "IDEMPOTENCY_KEY_REUSED"
    finalize = f"/v1/invoices/{first['id']}:finalize"
    final = await client.send("POST", finalize, headers={"Idempotency-Key": "k2"})
    assert await client.send("POST", finalize, headers={"Idempotency-Key": "k2"}) == final
    assert len((await client.send("GET", "/v1/invoices"))["data"]) == 1


async def test_a_draft_is_changed_and_computed_anew(client):
    await client.send("POST", "/v1/coupons", 201, json={"code": "TEN", "percent": "10"})
    draft = await client.create()
    path = f"/v1/invoices/{draft['id']}"
    changed = await client.send("PATCH", path, json={"coupon_codes": ["TEN", "NONE"]})
    assert (changed["discount_minor"], changed["total_minor"]) == (1_000, 10_800)
    assert changed["refused_coupons"] == [{"code": "NONE", "reason": "COUPON_UNKNOWN"}]
    lines = [{"description": "Less", "unit_amount": "50"}]
    changed = await client.send("PATCH", path, json={"lines": lines, "due_on": "2031-05-01"})
    assert (changed["total_minor"], changed["due_on"]) == (5_400, "2031-05-01")
    final = await client.send("POST", f"{path}:finalize")
    assert (final["total_minor"], final["due_on"]) == (5_400, "2031-05-01")
    problem = await client.send("PATCH", path, 409, json={"lines": lines})
    assert problem["reason"] == "INVOICE_NOT_DRAFT"


async def test_only_drafts_are_deleted(client):
    draft = await client.create()
    await client.send("DELETE", f"/v1/invoices/{draft['id']}", 204)
    problem = await client.send("GET", f"/v1/invoices/{draft['id']}", 404)
    assert problem["reason"] == "INVOICE_NOT_FOUND"
    final = await client.final()
    problem = await client.send("DELETE", f"/v1/invoices/{final['id']}", 409)
    assert problem["reason"] == "INVOICE_NOT_DRAFT"


async def test_a_paid_invoice_is_not_voided_and_a_voided_one_not_paid(client):
    paid = await client.final()
    await client.send("POST", f"/v1/invoices/{paid['id']}:mark_paid")
    problem = await client.send("POST", f"/v1/invoices/{paid['id']}:void", 409)
    assert problem["reason"] == "INVOICE_NOT_OPEN"
    voided = await client.final()
    body = {"note": "sent to the wrong customer"}
    voided = await client.send("POST", f"/v1/invoices/{voided['id']}:void", json=body)
    assert (voided["state"], voided["due_minor"]) == ("voided", 0)
    problem = await client.send("POST", f"/v1/invoices/{voided['id']}:mark_paid", 409)
    assert problem["reason"] == "INVOICE_NOT_OPEN"
    draft = await client.create()
    problem = await client.send("POST", f"/v1/invoices/{draft['id']}:mark_paid", 409)
    assert problem["metadata"] == {"state": "draft"}


async def test_a_preview_is_computed_and_not_stored(client):
    body = {
        "customer_id": await client.customer(),
        "currency_code": "EUR",
        "lines": [{"description": "Work", "unit_amount": "100.00"}],
    }
    seen = await client.send("POST", "/v1/invoices/preview", json=body)
    assert (seen["id"], seen["total_minor"]) == (None, 12_000)
    assert (await client.send("GET", "/v1/invoices"))["data"] == []


async def test_invoices_are_listed_by_customer_and_state(client):
    first, second = await client.customer(), await client.customer()
    made = [await client.create(customer_id=customer) for customer in (first, second, first)]
    await client.send("POST", f"/v1/invoices/{made[0]['id']}:finalize")
    listed = await client.send("GET", f"/v1/invoices?customer_id={first}")
    assert [item["id"] for item in listed["data"]] == [made[2]["id"], made[0]["id"]]
    listed = await client.send("GET", f"/v1/invoices?customer_id={first}&state=draft")
    assert [item["id"] for item in listed["data"]] == [made[2]["id"]]
    page = await client.send("GET", "/v1/invoices?limit=2")
    rest = await client.send("GET", f"/v1/invoices?limit=2&cursor={page['next_cursor']}")
    assert [item["id"] for item in page["data"] + rest["data"]] == [
        item["id"] for item in reversed(made)
    ]
    await client.send("GET", "/v1/invoices?state=lost", 422)


async def test_live_and_test_invoices_do_not_mix(client):
    await client.create()
    assert (await client.send("GET", "/v1/invoices", livemode=True))["data"] == []


@pytest.mark.parametrize(
    ("values", "reason", "field"),
    [
        ({"customer_id": "cus_nobody"}, "CUSTOMER_UNKNOWN", "/customer_id"),
        ({"currency_code": "XXX"}, "CURRENCY_UNKNOWN", "/currency_code"),
        ({"lines": []}, "FIELD_INVALID", "/lines"),
        ({"lines": [{"description": "", "unit_amount": "1"}]}, "FIELD_TOO_SHORT",
         "/lines/0/description"),
        ({"lines": [{"description": "x", "unit_amount": "1e3"}]}, "FIELD_INVALID",
         "/lines/0/unit_amount"),
        ({"lines": [{"description": "x", "unit_amount": 1.5}]}, "FIELD_INVALID",
         "/lines/0/unit_amount"),
        ({"lines": [{"description": "x", "unit_amount": "1", "price": 1}]}, "FIELD_UNKNOWN",
         "/lines/0/price"),
        ({"lines": [{"description": "x", "quantity": "9" * 15, "unit_amount": "9" * 15}]},
         "AMOUNT_OUT_OF_RANGE", "/lines/0/unit_amount"),
        ({"lines": [{"description": "x", "unit_amount": "-1"}]}, "TOTAL_NEGATIVE", "/lines"),
        ({"lines": [{"description": "paid by 4242 4242 4242 4242", "unit_amount": "1"}]},
         "CARD_NUMBER_REFUSED", "/lines/0/description"),
        ({"metadata": {"card": "4242424242424242"}}, "CARD_NUMBER_REFUSED", "/metadata/card"),
        ({"lines": [{"description": "x", "unit_amount": "5" + "0" * 13}] * 30},
         "AMOUNT_OUT_OF_RANGE", "/lines"),
        ({"due_on": "soon"}, "DATE_INVALID", "/due_on"),
    ],
)  # fmt: skip
async def test_a_bad_invoice_is_refused_with_its_field(client, values, reason, field):
    problem = await client.create(422, **values)
    assert (problem["reason"], problem["field"]) == (reason, field)
    assert (await client.send("GET", "/v1/invoices"))["data"] == []


async def test_a_changed_discount_is_told_and_the_draft_shows_what_applies(client):
    coupon = {"code": "GONE", "percent": "10"}
    made = await client.send("POST", "/v1/coupons", 201, json=coupon)
    draft = await client.create(coupon_codes=["GONE"])
    await client.send("DELETE", f"/v1/coupons/{made['id']}", 204)
    problem = await client.send("POST", f"/v1/invoices/{draft['id']}:finalize", 409)
    assert problem["reason"] == "DISCOUNT_CHANGED"
    assert problem["metadata"] == {"GONE": "COUPON_ARCHIVED"}
    again = await client.send("GET", f"/v1/invoices/{draft['id']}")
    assert (again["state"], again["discount_minor"], again["total_minor"]) == ("draft", 0, 12_000)
    assert (await client.send("POST", f"/v1/invoices/{draft['id']}:finalize"))["state"] == (
        "finalized"
    )


async def test_the_pdf_says_what_the_invoice_says(client):
    await client.send("PUT", "/v1/invoice_settings", json=SELLER)
    await client.send("POST", "/v1/coupons", 201, json={"code": "TEN", "percent": "10"})
    draft = await client.create(coupon_codes=["TEN"])
    text = await client.pdf(draft["id"])
    assert "DRAFT" in text
    final = await client.send("POST", f"/v1/invoices/{draft['id']}:finalize")
    text = await client.pdf(final["number"])
    for expected in (
        "Skyport Handling GmbH",
        "Alpenglow KG",
        "Austria",
        final["number"],
        "Coupon TEN",
        "VAT 20 %",
        "€108.00",
        "Payable within 30 days.",
    ):
        assert expected in text
    assert "DRAFT" not in text
    german = await client.pdf(final["id"], "?locale=de")
    assert "Rechnung" in german
    assert "Österreich" in german
    assert "108,00 €" in german
    await client.send("POST", f"/v1/invoices/{final['id']}:void")
    assert "VOID" in await client.pdf(final["id"])
    await client.send("GET", f"/v1/invoices/{final['id']}/pdf?locale=xx", 422)


async def test_the_issued_pdf_is_printed_by_a_worker_and_kept(client, platform):
    final = await client.final(customer_id=await client.customer(locale="de"))
    printed = await client.pdf(final["id"])
    for _ in range(100):
        rows = await stored_documents(platform, client.tenant)
        if rows:
            break
        await asyncio.sleep(0.1)
    assert [(row["invoice_id"], row["locale"]) for row in rows] == [(final["id"], "de")]
    assert await client.pdf(final["id"]) == printed


async def stored_documents(platform, tenant):
    connection = await asyncpg.connect(platform.stores.admin_url)
    try:
        return await connection.fetch(
            "SELECT invoice_id, locale FROM invoice.invoice_documents WHERE tenant_id = $1", tenant
        )
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "name",
    [
        '"; #panic("x") $ \\',
        "<script>alert(1)</script>",
        "Robert'); DROP TABLE invoices;--",
        "\u202eesrever\u202c",
        "a" * 255,
        "日本語 العربية 👩‍🚀",
        "{{7*7}} ${7*7} %s",
    ],
)
async def test_hostile_names_are_only_text(client, name):
    draft = await client.create(customer_id=await client.customer(name=name))
    assert draft["customer"]["name"] == name
    assert "€120.00" in await client.pdf(draft["id"])


async def test_settings_are_stored_and_issued_documents_keep_theirs(client):
    defaults = await client.send("GET", "/v1/invoice_settings")
    assert (defaults["prefix"], defaults["payment_terms_days"]) == ("", 14)
    await client.send("PUT", "/v1/invoice_settings", json=SELLER)
    final = await client.final()
    other = {"seller": {"name": "Renamed SE"}, "prefix": "NEW-"}
    stored = await client.send("PUT", "/v1/invoice_settings", json=other)
    assert stored["seller"]["name"] == "Renamed SE"
    assert "Skyport Handling GmbH" in await client.pdf(final["id"])
    assert (await client.final())["number"].startswith("TEST-NEW-")
    for bad in ({"prefix": "a/b"}, {"payment_terms_days": -1}, {"seller": {"logo": "x"}}):
        await client.send("PUT", "/v1/invoice_settings", 422, json=bad)
