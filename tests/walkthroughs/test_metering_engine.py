"""Who counted usage with the metering engine finds every command of their notes working."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

USAGE = """curl -X POST localhost:8080/api/v1/usage -H 'Content-Type: application/json' \
-d '{"customer_id":"c-1","resource_type":"api_call","quantity":100}'"""


async def test_usage_is_counted_and_estimated_without_a_credential(notes):
    answer = await notes.run(USAGE, expect=202)
    assert answer.json["status"] == "accepted"
    assert answer.json["event_id"]
    bill = (await notes.run("curl localhost:8080/api/v1/billing/c-1", expect=200)).json
    now = datetime.now(UTC)
    assert bill["customer_id"] == "c-1"
    assert bill["currency_code"] == "EUR"
    assert bill["period"]["starts_at"] == f"{now:%Y-%m}-01T00:00:00Z"
    assert bill["plan"]["version"] == 1
    assert bill["lines"] == [
        {
            "resource_type": "api_call",
            "quantity": "100",
            "description": "API calls",
            "amount_minor": 100,
        }
    ]
    amounts = {name: value for name, value in bill.items() if name.endswith("_minor")}
    assert amounts == {
        "subtotal_minor": 100,
        "discount_minor": 0,
        "tax_minor": 0,
        "total_minor": 100,
    }
    assert bill["estimated"] is True
    assert datetime.fromisoformat(bill["calculated_at"]) <= datetime.now(UTC)


async def test_two_equal_posts_are_two_events_and_a_repeated_event_id_is_one(notes):
    post = USAGE.replace("c-1", "c-2")
    first, second = [(await notes.run(post, expect=202)).json for _ in range(2)]
    assert first["event_id"] != second["event_id"]
    named = post.replace('"quantity":100', '"quantity":"0.5","event_id":"e-1"')
    assert (await notes.run(named, expect=202)).json == {"event_id": "e-1", "status": "accepted"}
    assert (await notes.run(named, expect=202)).json == {"event_id": "e-1", "status": "duplicate"}
    bill = (await notes.run("curl localhost:8080/api/v1/billing/c-2", expect=200)).json
    assert [line["quantity"] for line in bill["lines"]] == ["200.5"]


async def test_many_at_once_are_all_counted(notes):
    post = USAGE.replace("c-1", "c-3").replace("100", "7")
    await asyncio.gather(*(notes.run(post, expect=202) for _ in range(20)))
    bill = (await notes.run("curl localhost:8080/api/v1/billing/c-3", expect=200)).json
    assert [line["quantity"] for line in bill["lines"]] == ["140"]


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        (('"api_call"', '"nothing"'), "METER_UNKNOWN", "/resource_type"),
        (("100}", "1e13}"), "QUANTITY_OUT_OF_RANGE", "/quantity"),
        (("100}", "-1}"), "QUANTITY_OUT_OF_RANGE", "/quantity"),
        (('"quantity":100', '"amount":100'), "FIELD_UNKNOWN", "/amount"),
    ],
)
async def test_what_cannot_be_counted_is_refused_with_its_reason(notes, change, reason, field):
    problem = (await notes.run(USAGE.replace(*change), expect=422)).json
    assert problem["reason"] == reason
    assert problem["field"] == field


async def test_counted_usage_can_be_read_from_its_documented_table(notes, laptop):
    await notes.run(USAGE.replace("c-1", "c-4"), expect=202)
    connection = await asyncpg.connect(laptop.stores.database_url)
    async with asyncio.timeout(10):
        rows = []
        while not rows:
            await asyncio.sleep(0.05)
            async with connection.transaction():
                await connection.execute("SET LOCAL ROLE metering_reader")
                rows = await connection.fetch(
                    "SELECT tenant_id, quantity, event_count, starts_at, updated_at"
                    " FROM metering.usage_records WHERE customer_id = 'c-4'"
                )
    await connection.close()
    (row,) = rows
    assert (row["tenant_id"], row["quantity"], row["event_count"]) == ("default", 100, 1)
    assert row["starts_at"].minute == 0


async def test_health_answers_without_touching_anything(notes):
    health = await notes.run("curl localhost:8080/health", expect=200)
    assert health.json == {"status": "ok"}


async def test_other_paths_of_the_demo_tenant_stay_closed(notes):
    problem = (await notes.run("curl localhost:8080/v1/customers", expect=401)).json
    assert problem["reason"] == "CREDENTIAL_MISSING"


@pytest.mark.parametrize(
    ("port", "title"), [(8001, "Tax"), (8002, "Discount"), (8003, "Invoice"), (8081, "Identity")]
)
async def test_a_service_answers_on_its_kept_port_with_its_own_documentation(notes, port, title):
    document = (await notes.run(f"curl localhost:{port}/openapi.json", expect=200)).json
    assert document["info"]["title"] == f"Billplane {title}"
    page = await notes.run(f"curl localhost:{port}/docs", expect=200)
    assert b'<script src="docs/swagger-ui-bundle.js">' in page.body
    script = await notes.run(f"curl localhost:{port}/docs/swagger-ui-bundle.js", expect=200)
    assert len(script.body) > 1_000_000
    assert (await notes.run(f"curl localhost:{port}/health", expect=200)).json == {"status": "ok"}
