"""The main job: a meter, a plan, a customer, usage, a billing run, an invoice with its PDF."""

import asyncio

METER = {
    "eventType": "api.request",
    "aggregation": "Sum",
    "valueProperty": "$.units",
    "groupBy": [{"name": "region", "property": "$.region"}],
}
PLAN = {
    "currency": "EUR",
    "interval": {"unit": "Month", "anchor": "Calendar", "timeZone": "Europe/Berlin"},
    "charges": [
        {"name": "platform", "recurring": {"amount": "49.00", "billed": "InArrears"}},
        {
            "name": "api-calls",
            "usage": {
                "meter": "api-requests",
                "model": {
                    "graduated": {
                        "tiers": [
                            {"upTo": "100", "unitAmount": "0"},
                            {"unitAmount": "0.02"},
                        ]
                    }
                },
            },
        },
    ],
}


async def billed(platform, tenant, **body):
    """Start a billing run and wait for its end."""

    async def call(method, path, expect, **options):
        # A token of its own for each call: a run may outlive one.
        headers = platform.headers(tenant)
        return await platform.request(method, path, headers=headers, expect=expect, **options)

    run = await call("POST", "/v1/billing_runs", 202, json=body)
    async with asyncio.timeout(300):
        while run["state"] == "running":
            await asyncio.sleep(0.05)
            run = await call("GET", f"/v1/billing_runs/{run['id']}", 200)
    return run


async def test_a_month_of_usage_becomes_one_finalized_invoice(platform):
    headers = platform.headers("ten_journey")

    async def post(path, body, expect=201):
        return await platform.request("POST", path, json=body, headers=headers, expect=expect)

    await post("/v1/meters", {"name": "api-requests", "spec": METER})
    await post("/v1/plans", {"name": "pro", "spec": PLAN})
    clock = await post("/v1/test_clocks", {"now": "2026-01-01T00:00:00+01:00"})
    customer = await post(
        "/v1/customers",
        {
            "name": "Ada GmbH",
            "external_id": "ada",
            "address": {"country": "DE"},
            "test_clock_id": clock["id"],
        },
    )
    subscription = await post("/v1/subscriptions", {"customer_id": "ada", "plan": "pro"})
    assert subscription["current_period_ends_at"] == "2026-01-31T23:00:00Z"
    events = [
        {
            "specversion": "1.0",
            "type": "api.request",
            "source": "tests",
            "id": f"e{number}",
            "subject": "ada" if number % 2 else customer["id"],
            "time": "2026-01-15T12:00:00Z",
            "data": {"units": "2.5", "region": "eu"},
        }
        for number in range(100)
    ]
    answer = await post("/v1/usage_events", events, 202)
    assert (answer["accepted"], answer["duplicates"]) == (100, 0)
    assert (await post("/v1/usage_events", events[:3], 202))["duplicates"] == 3

    estimate = await platform.request("GET", "/api/v1/billing/ada", headers=headers, expect=200)
    # 250 units: 100 free, 150 at 2 cents; and the fee.
    assert estimate["subtotal_minor"] == 49_00 + 3_00

    await post(f"/v1/test_clocks/{clock['id']}:advance", {"to": "2026-02-01T00:00:00+01:00"}, 200)
    run = await billed(platform, "ten_journey")
    assert run["errors"] == []
    listed = await platform.request("GET", "/v1/invoices", headers=headers, expect=200)
    (invoice,) = listed["data"]
    assert invoice["state"] == "finalized"
    assert invoice["number"].startswith("TEST-2026-")
    assert invoice["net_minor"] == 52_00
    assert invoice["tax_minor"] == 9_88
    assert invoice["total_minor"] == 61_88
    again = await billed(platform, "ten_journey")
    assert again["periods"] == 0
    async with platform.http.get(
        platform.url(f"/v1/invoices/{invoice['id']}/pdf"), headers=headers
    ) as answer:
        assert answer.status == 200
        assert (await answer.read()).startswith(b"%PDF-")


async def test_usage_after_its_period_was_billed_goes_on_the_next_invoice_once(platform):
    headers = platform.headers("ten_late")

    async def post(path, body, expect=201):
        return await platform.request("POST", path, json=body, headers=headers, expect=expect)

    async def use(number, at, units):
        event = {
            "type": "api.request",
            "source": "tests",
            "id": f"late{number}",
            "subject": "ada",
            "time": at,
            "data": {"units": units},
        }
        await post("/v1/usage_events", event, 202)

    async def bill(clock, to):
        await post(f"/v1/test_clocks/{clock}:advance", {"to": to}, 200)
        assert (await billed(platform, "ten_late"))["errors"] == []
        listed = await platform.request("GET", "/v1/invoices", headers=headers, expect=200)
        return listed["data"][0]

    await post("/v1/meters", {"name": "api-requests", "spec": METER})
    await post("/v1/plans", {"name": "pro", "spec": PLAN})
    clock = (await post("/v1/test_clocks", {"now": "2026-01-01T00:00:00+01:00"}))["id"]
    await post("/v1/customers", {"name": "Ada", "external_id": "ada", "test_clock_id": clock})
    await post("/v1/subscriptions", {"customer_id": "ada", "plan": "pro"})
    await use(1, "2026-01-10T00:00:00Z", "80")
    january = await bill(clock, "2026-02-01T00:00:00+01:00")
    assert january["subtotal_minor"] == 49_00
    # 80 of 100 free units were billed; 70 more come late: 50 of them cost 2 cents each.
    await use(2, "2026-01-20T00:00:00Z", "70")
    february = await bill(clock, "2026-03-01T00:00:00+01:00")
    (late,) = [line for line in february["lines"] if "late usage" in line["description"]]
    assert late["amount_minor"] == 1_00
    assert february["subtotal_minor"] == 49_00 + 1_00
    march = await bill(clock, "2026-04-01T00:00:00+02:00")
    assert march["subtotal_minor"] == 49_00
