"""Who built on the payments ecosystem registers, takes a key, and comes to a paid invoice."""

import asyncio
import json
import shlex
from pathlib import Path

from tests.walkthroughs.notes import API_KEY, AUTHORIZED, LOGIN, REGISTER, Developer

CLOUD_EVENTS = json.loads((Path(__file__).parent / "cloudevents.json").read_text("utf-8"))

METER = {
    "eventType": "api.request",
    "aggregation": "Sum",
    "valueProperty": "$.units",
    "groupBy": [{"name": "region", "property": "$.region"}],
}
PLAN = {
    "currency": "EUR",
    "interval": {"unit": "Month", "anchor": "Calendar"},
    "charges": [
        {"name": "platform", "recurring": {"amount": "49.00", "billed": "InArrears"}},
        {"name": "api", "usage": {"meter": "api", "model": {"perUnit": {"unitAmount": "0.02"}}}},
    ],
}


async def test_register_login_and_a_key(notes):
    user = (await notes.run(REGISTER, expect=201)).json
    assert user.keys() == {"id", "email", "tenant_id", "created_at"}
    assert user["email"] == "dev@example.com"
    taken = (await notes.run(REGISTER, expect=409)).json
    assert taken["reason"] == "EMAIL_TAKEN"
    short = REGISTER.replace("securepassword", "short").replace("dev@", "other@")
    assert (await notes.run(short, expect=422)).json["reason"] == "PASSWORD_TOO_SHORT"
    nowhere = REGISTER.replace("dev@example.com", "dev at example")
    assert (await notes.run(nowhere, expect=422)).json["reason"] == "EMAIL_INVALID"

    session = (await notes.run(LOGIN, expect=200)).json
    assert session["token_type"] == "Bearer"
    assert 0 < session["expires_in"] <= 900
    wrong = (await notes.run(LOGIN.replace("securepassword", "wrongpassword"), expect=401)).json
    unknown = (await notes.run(LOGIN.replace("dev@", "nobody@"), expect=401)).json
    assert wrong["reason"] == unknown["reason"] == "CREDENTIALS_INVALID"

    made = (await notes.run(API_KEY, expect=201, TOKEN=session["access_token"])).json
    assert made["key"].startswith("sk_test_")
    assert (made["type"], made["livemode"], made["scopes"]) == ("test", False, ["*"])
    live = API_KEY.replace('"test"', '"live"')
    made = (await notes.run(live, expect=201, TOKEN=session["access_token"])).json
    assert made["key"].startswith("sk_live_")
    listed = 'curl localhost:8080/auth/api_keys -H "Authorization: Bearer $TOKEN"'
    answer = await notes.run(listed, expect=200, TOKEN=session["access_token"])
    assert [key["type"] for key in answer.json["data"]].count("live") == 1
    assert made["key"].encode() not in answer.body


async def test_a_key_for_usage_and_bills_needs_no_further_scope(notes, developer):
    await developer.post("/v1/meters", {"name": "api", "spec": METER})
    plan = {**PLAN, "default": True}
    await developer.post("/v1/plans", {"name": "pro", "spec": plan})
    login = LOGIN.replace("dev@example.com", developer.email)
    token = (await notes.run(login, expect=200)).json["access_token"]
    scoped = API_KEY.replace('"notes"', '"notes","scopes":["usage:write","billing:read"]')
    key = (await notes.run(scoped, expect=201, TOKEN=token)).json["key"]
    narrow = Developer(notes, key, developer.email)
    usage = {"customer_id": "ada", "resource_type": "api.request", "quantity": 5}
    await narrow.post("/api/v1/usage", usage, 202)
    bill = await narrow.get("/api/v1/billing/ada")
    assert bill["total_minor"] == 49_10
    assert (await narrow.get("/v1/customers", 403))["reason"] == "SCOPE_MISSING"


async def test_events_are_taken_single_in_batches_and_as_cloudevents(developer, tmp_path):
    await developer.post("/v1/meters", {"name": "api", "spec": METER})
    single = {
        "specversion": "1.0",
        "type": "api.request",
        "source": "notes",
        "id": "e-single",
        "subject": "ada",
        "time": "2026-01-15T12:00:00Z",
        "data": {"units": "10", "region": "eu"},
    }
    answer = await developer.post("/v1/usage_events", single, 202)
    assert answer["results"] == [{"index": 0, "id": "e-single", "status": "accepted"}]
    batch = [{**single, "id": f"e-{number}"} for number in range(100)]
    (tmp_path / "events.json").write_text(json.dumps(batch))
    send = (
        f"curl localhost:8080/v1/usage_events {AUTHORIZED} --data-binary @events.json"
        " -H 'Content-Type: application/cloudevents-batch+json'"
    )
    answer = (await developer.run(send, 202)).json
    assert (answer["accepted"], answer["duplicates"]) == (100, 0)
    answer = (await developer.run(send, 202)).json
    assert (answer["accepted"], answer["duplicates"]) == (0, 100)

    structured, binary = CLOUD_EVENTS
    for sent in (structured["structured"], binary["binary"], binary["structured"]):
        headers = " ".join(
            f"-H {shlex.quote(f'{name}: {value}')}" for name, value in sent["headers"].items()
        )
        body = shlex.quote(sent["body"])
        command = f"curl localhost:8080/v1/usage_events {AUTHORIZED} {headers} -d {body}"
        answer = (await developer.run(command, 202)).json
        repeated = sent is binary["structured"]
        assert answer["results"][0]["status"] == ("duplicate" if repeated else "accepted")

    query = "starts_at=2026-01-01T00:00:00Z&ends_at=2026-02-01T00:00:00Z&group_by=region"
    usage = await developer.get(f"/v1/usage?meter=api&customer_id=ada&{query}")
    counted = {row["dimensions"]["region"]: row["quantity"] for row in usage["data"]}
    assert counted == {"eu": "1012.5", "münchen 🥨": "7"}
    problem = await developer.post("/v1/usage_events", [single, {**single, "type": "nothing"}], 422)
    assert problem["errors"] == [
        {
            "index": 1,
            "field": "/1/type",
            "reason": "METER_UNKNOWN",
            "detail": "no meter counts events of type nothing",
        }
    ]


async def test_from_a_plan_to_a_paid_invoice_with_its_pdf(developer):
    await developer.post("/v1/meters", {"name": "api", "spec": METER})
    plan = await developer.post("/v1/plans", {"name": "pro", "spec": PLAN})
    quote = await developer.post(
        "/v1/quotes", {"plan": "pro", "items": [{"meter": "api", "quantity": "150"}]}, 200
    )
    assert quote["total_minor"] == 52_00
    clock = await developer.post("/v1/test_clocks", {"now": "2026-01-01T00:00:00Z"})
    customer = await developer.post(
        "/v1/customers",
        {
            "name": "Ada GmbH",
            "external_id": "ada",
            "address": {"country": "DE"},
            "test_clock_id": clock["id"],
        },
    )
    subscription = await developer.post("/v1/subscriptions", {"customer_id": "ada", "plan": "pro"})
    assert subscription["plan_id"] == plan["id"]
    assert subscription["customer_id"] == customer["id"]
    event = {
        "type": "api.request",
        "source": "notes",
        "id": "e-1",
        "subject": "ada",
        "time": "2026-01-20T08:00:00Z",
        "data": {"units": 150, "region": "eu"},
    }
    await developer.post("/v1/usage_events", event, 202)
    preview = await developer.get(f"/v1/subscriptions/{subscription['id']}:preview")
    assert preview["net_minor"] == 52_00
    await developer.post(
        f"/v1/test_clocks/{clock['id']}:advance", {"to": "2026-02-01T00:00:00Z"}, 200
    )
    run = await developer.post("/v1/billing_runs", {"finalize": False}, 202)
    async with asyncio.timeout(120):
        while run["state"] == "running":
            await asyncio.sleep(0.05)
            run = await developer.get(f"/v1/billing_runs/{run['id']}")
    assert run["errors"] == []
    (draft,) = (await developer.get("/v1/invoices"))["data"]
    assert (draft["state"], draft["number"]) == ("draft", None)
    assert draft["total_minor"] == preview["total_minor"] == 61_88

    invoice = await developer.post(f"/v1/invoices/{draft['id']}:finalize", "", 200)
    assert (invoice["state"], invoice["total_minor"]) == ("finalized", 61_88)
    pdf = await developer.run(
        f"curl localhost:8080/v1/invoices/{draft['id']}/pdf {AUTHORIZED}", 200
    )
    assert pdf.body.startswith(b"%PDF-")
    paid = await developer.post(f"/v1/invoices/{draft['id']}:mark_paid", {"note": "bank"}, 200)
    assert (paid["state"], paid["paid_minor"], paid["due_minor"]) == ("paid", 61_88, 0)
    history = await developer.get(f"/v1/invoices/{draft['id']}/history?order=asc")
    assert [change["to"] for change in history["data"]] == [
        "draft",
        "finalizing",
        "finalized",
        "paid",
    ]


INTENT = f"""curl -X POST localhost:8080/payments/payment_intents {AUTHORIZED} \
-H 'Content-Type: application/json' -d '{{"amount":2000,"currency":"usd"}}'"""
CONFIRM = f"""curl -X POST localhost:8080/payments/payment_intents/$INTENT/confirm {AUTHORIZED}"""
ACCOUNT = f"""curl -X POST localhost:8080/ledger/accounts {AUTHORIZED} \
-H 'Content-Type: application/json' -d '{{"name":"NAME","type":"TYPE","currency":"USD"}}'"""
TRANSACTION = f"""curl -X POST localhost:8080/ledger/transactions {AUTHORIZED} \
-H 'Content-Type: application/json' -d '{{"currency_code":"USD","description":"payout","postings":[\
{{"account_id":"'$DEBIT'","direction":"debit","amount_minor":700}},\
{{"account_id":"'$CREDIT'","direction":"credit","amount_minor":700}}]}}'"""


async def test_an_intent_is_confirmed_and_money_is_moved_in_the_ledger(notes, developer):
    key = {"KEY": developer.key}
    intent = (await notes.run(INTENT, expect=200, **key)).json
    assert (intent["object"], intent["status"]) == ("payment_intent", "requires_payment_method")
    confirmed = (await notes.run(CONFIRM, expect=200, INTENT=intent["id"], **key)).json
    assert (confirmed["status"], confirmed["amount_received"]) == ("succeeded", 2_000)
    # The money of a payment that belongs to no invoice stands in the books by itself.
    async with asyncio.timeout(120):
        held = {}
        while held.get("unapplied_payments:USD") != 2_000:
            await asyncio.sleep(0.05)
            page = await developer.get("/ledger/accounts")
            held = {item["external_id"]: item["balance_minor"] for item in page["data"]}
    made = {}
    for name, kind in (("Capital", "equity"), ("Bank", "asset")):
        command = ACCOUNT.replace("NAME", name).replace("TYPE", kind)
        made[name] = (await notes.run(command, expect=201, **key)).json["id"]
    empty = {"DEBIT": made["Capital"], "CREDIT": made["Bank"]}
    refused = (await notes.run(TRANSACTION, expect=409, **empty, **key)).json
    assert refused["reason"] == "INSUFFICIENT_FUNDS"
    filled = {"DEBIT": made["Bank"], "CREDIT": made["Capital"]}
    posted = (await notes.run(TRANSACTION, expect=201, **filled, **key)).json
    assert posted["state"] == "posted"
    bank = await developer.get(f"/ledger/accounts/{made['Bank']}")
    assert (bank["balance_minor"], bank["available_minor"], bank["entry_count"]) == (700, 700, 1)
    unbalanced = TRANSACTION.replace('"credit","amount_minor":700', '"credit","amount_minor":701')
    refused = (await notes.run(unbalanced, expect=422, **filled, **key)).json
    assert refused["reason"] == "TRANSACTION_UNBALANCED"
