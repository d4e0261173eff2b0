"""REST of pricing: plans and their versions, archiving, quotes."""

import pytest

from tests.pricing.service import hash_of, spec

USAGE = {
    "name": "calls",
    "usage": {
        "meter": "api-calls",
        "model": {"graduated": {"tiers": [{"upTo": "1000", "unitAmount": "0"},
                                          {"unitAmount": "0.002"}]}},
    },
}  # fmt: skip
FEE = {"name": "platform", "recurring": {"amount": "49.00"}}


async def create(platform, tenant, document, name="pro", expect=201):
    return await platform.request(
        "POST", "/v1/plans", json={"name": name, "spec": document},
        headers=platform.headers(tenant), expect=expect,
    )  # fmt: skip


async def test_a_created_plan_is_read_by_id_and_by_name_with_its_defaults(platform):
    headers = platform.headers("ten_plan_read")
    made = await create(platform, "ten_plan_read", spec())
    assert made["id"].startswith("plan_")
    assert (made["version"], made["origin"], made["state"]) == (1, "api", "active")
    assert made["spec"]["charges"][0]["recurring"]["prorate"] is True
    assert made["spec_hash"] == hash_of(spec())
    for wanted in (made["id"], "pro"):
        found = await platform.request("GET", f"/v1/plans/{wanted}", headers=headers, expect=200)
        assert found == made
    listed = await platform.request("GET", "/v1/plans", headers=headers, expect=200)
    assert listed == {"data": [made], "next_cursor": None}


async def test_a_patch_makes_the_next_version_and_the_first_stays_as_it_was(platform):
    headers = platform.headers("ten_plan_patch")
    made = await create(platform, "ten_plan_patch", spec(minimumCommitment="10"))
    path = f"/v1/plans/{made['id']}"
    body = {"spec": {"displayName": "Pro", "minimumCommitment": None}}
    second = await platform.request("PATCH", path, json=body, headers=headers, expect=200)
    assert (second["version"], second["spec"]["displayName"]) == (2, "Pro")
    assert "minimumCommitment" not in second["spec"]
    again = await platform.request("PATCH", path, json=body, headers=headers, expect=200)
    assert again == second
    first = await platform.request("GET", f"{path}?version=1", headers=headers, expect=200)
    assert first == made
    listed = await platform.request("GET", f"{path}/versions", headers=headers, expect=200)
    assert [item["version"] for item in listed["data"]] == [2, 1]
    missing = await platform.request("GET", f"{path}?version=3", headers=headers, expect=404)
    assert missing["reason"] == "PLAN_VERSION_NOT_FOUND"


async def test_the_currency_of_a_plan_never_changes(platform):
    made = await create(platform, "ten_plan_currency", spec())
    refused = await platform.request(
        "PATCH", f"/v1/plans/{made['id']}", json={"spec": {"currency": "USD"}},
        headers=platform.headers("ten_plan_currency"), expect=422,
    )  # fmt: skip
    assert (refused["reason"], refused["field"]) == ("IMMUTABLE", "spec.currency")


async def test_a_bad_spec_names_every_field_and_stores_nothing(platform):
    graduated = {"tiers": [{"upTo": "ten", "unitAmount": "1"}, {"unitAmount": "-1"}]}
    usage = {"meter": "api-calls", "model": {"graduated": graduated}}
    bad = spec({"name": "calls", "usage": usage})
    refused = await create(platform, "ten_plan_bad", bad, expect=422)
    assert refused["reason"] == "INVALID_SPEC"
    tiers = "spec.charges[0].usage.model.graduated.tiers"
    fields = [item["field"] for item in refused["errors"]]
    assert fields == [f"{tiers}[0].upTo", f"{tiers}[1].unitAmount"]
    listed = await platform.request(
        "GET", "/v1/plans", headers=platform.headers("ten_plan_bad"), expect=200
    )
    assert listed["data"] == []


async def test_a_name_and_the_default_can_be_held_by_one_plan_only(platform):
    tenant = "ten_plan_taken"
    await create(platform, tenant, spec(default=True))
    assert (await create(platform, tenant, spec(), expect=409))["reason"] == "NAME_TAKEN"
    taken = await create(platform, tenant, spec(default=True), name="other", expect=409)
    assert taken["reason"] == "DEFAULT_PLAN_TAKEN"
    other = await create(platform, tenant, spec(), name="other")
    refused = await platform.request(
        "PATCH", f"/v1/plans/{other['id']}", json={"spec": {"default": True}},
        headers=platform.headers(tenant), expect=409,
    )  # fmt: skip
    assert refused["metadata"]["name"] == "pro"


async def test_an_archived_plan_stays_readable_and_frees_its_name(platform):
    tenant = "ten_plan_archived"
    headers = platform.headers(tenant)
    made = await create(platform, tenant, spec())
    path = f"/v1/plans/{made['id']}"
    archived = await platform.request("POST", f"{path}:archive", headers=headers, expect=200)
    assert archived == made | {"state": "archived"}
    for wanted in (made["id"], "pro"):
        found = await platform.request("GET", f"/v1/plans/{wanted}", headers=headers, expect=200)
        assert found == archived
    refused = await platform.request(
        "PATCH", path, json={"spec": {"displayName": "Pro"}}, headers=headers, expect=409
    )
    assert refused["reason"] == "PLAN_ARCHIVED"
    successor = await create(platform, tenant, spec())
    found = await platform.request("GET", "/v1/plans/pro", headers=headers, expect=200)
    assert found["id"] == successor["id"] != made["id"]


async def test_a_plan_that_somebody_has_cannot_be_deleted_until_they_leave(platform):
    tenant = "ten_plan_in_use"
    headers = platform.headers(tenant)
    made = await create(platform, tenant, spec(trial="30d"))
    customer = await platform.request(
        "POST", "/v1/customers", json={"name": "Ada"}, headers=headers, expect=201
    )
    subscription = await platform.request(
        "POST", "/v1/subscriptions", json={"customer_id": customer["id"], "plan": "pro"},
        headers=headers, expect=201,
    )  # fmt: skip
    for livemode in (False, True):
        refused = await platform.request(
            "DELETE", f"/v1/plans/{made['id']}",
            headers=platform.headers(tenant, livemode=livemode), expect=409,
        )  # fmt: skip
        assert (refused["reason"], refused["metadata"]["live"]) == ("IN_USE", 1)
    await platform.request(
        "POST", f"/v1/subscriptions/{subscription['id']}:cancel", json={"at_period_end": False},
        headers=headers, expect=200,
    )  # fmt: skip
    await platform.request("DELETE", f"/v1/plans/{made['id']}", headers=headers, expect=204)
    found = await platform.request("GET", f"/v1/plans/{made['id']}", headers=headers, expect=200)
    assert found["state"] == "archived"


async def test_a_plan_is_not_deleted_while_nobody_can_say_who_has_it(make_stores, run_platform):
    async with run_platform(await make_stores(), ("pricing", "exchange_rate")) as alone:
        made = await create(alone, "ten_a", spec())
        refused = await alone.request("DELETE", f"/v1/plans/{made['id']}", expect=503)
        assert refused["reason"].startswith("PEER_")
        found = await alone.request("GET", "/v1/plans/pro", expect=200)
        assert found["state"] == "active"


async def test_a_quote_has_fees_usage_and_bounds_of_one_period(platform):
    headers = platform.headers("ten_quote")
    made = await create(platform, "ten_quote", spec(FEE, USAGE, minimumCommitment="100.00"))
    body = {
        "plan": "pro",
        "at": "2026-02-10T12:00:00Z",
        "items": [{"meter": "api-calls", "quantity": "3500.5"}],
    }
    quote = await platform.request("POST", "/v1/quotes", json=body, headers=headers, expect=200)
    assert [(line["charge"], line["amount_minor"]) for line in quote["lines"]] == [
        ("platform", 49_00),
        ("calls", 5_00),
        ("minimumCommitment", 46_00),
    ]
    assert quote["lines"][1]["exact_amount"] == "5.001"
    assert (quote["total_minor"], quote["currency_code"], quote["rate"]) == (100_00, "EUR", None)
    assert quote["plan"] == {"id": made["id"], "name": "pro", "version": 1}
    assert (quote["starts_at"], quote["ends_at"]) == (
        "2026-02-01T00:00:00Z",
        "2026-03-01T00:00:00Z",
    )


async def test_an_anniversary_quote_begins_where_it_is_asked_for(platform):
    headers = platform.headers("ten_quote_anniversary")
    document = spec(FEE, interval={"unit": "Month"})
    await create(platform, "ten_quote_anniversary", document)
    quote = await platform.request(
        "POST", "/v1/quotes", json={"plan": "pro", "at": "2026-01-31T10:00:00Z"},
        headers=headers, expect=200,
    )  # fmt: skip
    assert (quote["ends_at"], quote["total_minor"]) == ("2026-02-28T10:00:00Z", 49_00)


async def test_a_quote_in_another_currency_names_the_rate_it_used(platform):
    tenant = "ten_quote_usd"
    headers = platform.headers(tenant)
    rates = [{"quote": "USD", "rate": "1.3194", "asOf": "2026-01-02"},
             {"quote": "USD", "rate": "1.4", "asOf": "2026-02-20"}]  # fmt: skip
    feed = {"base": "EUR", "currencies": ["USD"], "source": {"static": {"rates": rates}}}
    await platform.request(
        "POST", "/v1/exchange_rate_feeds", json={"name": "ecb", "spec": feed}, headers=headers,
        expect=201,
    )  # fmt: skip
    await platform.request(
        "POST", "/v1/exchange_rate_feeds/ecb:refresh", headers=headers, expect=200
    )
    priced = spec(FEE, alsoPricedIn=[{"currency": "USD", "rateFeed": "ecb"}])
    await create(platform, tenant, priced)
    body = {"plan": "pro", "at": "2026-02-10T12:00:00Z", "currency_code": "USD"}
    quote = await platform.request("POST", "/v1/quotes", json=body, headers=headers, expect=200)
    assert quote["total_minor"] == 64_65  # 64.6506
    assert quote["exact_amount"] == "64.6506"
    assert (quote["rate"]["rate"], quote["rate"]["as_of"]) == ("1.3194", "2026-01-02")
    assert quote["lines"][0]["detail"]["conversion"]["rate_id"] == quote["rate"]["rate_id"]
    refused = await platform.request(
        "POST", "/v1/quotes", json=body | {"currency_code": "GBP"}, headers=headers, expect=409
    )
    assert refused["reason"] == "CURRENCY_NOT_PRICED"
    early = await platform.request(
        "POST", "/v1/quotes", json=body | {"at": "2025-12-31T00:00:00Z"}, headers=headers,
        expect=404,
    )  # fmt: skip
    assert early["reason"] == "RATE_NOT_FOUND"


@pytest.mark.parametrize(
    ("item", "reason", "field"),
    [
        ({"meter": "storage", "quantity": "1"}, "METER_NOT_PRICED", "/items/0/meter"),
        ({"meter": "api-calls", "quantity": "1e9"}, "USAGE_QUANTITY_INVALID", "/items/0/quantity"),
        ({"meter": "api-calls", "quantity": "NaN"}, "USAGE_QUANTITY_INVALID", "/items/0/quantity"),
    ],
)
async def test_a_bad_item_is_refused_by_its_field(platform, item, reason, field):
    tenant = f"ten_quote_{reason}_{item['quantity']}".lower()
    await create(platform, tenant, spec(FEE, USAGE))
    refused = await platform.request(
        "POST", "/v1/quotes", json={"plan": "pro", "items": [item]},
        headers=platform.headers(tenant), expect=422,
    )  # fmt: skip
    assert (refused["reason"], refused["field"]) == (reason, field)


async def test_a_key_that_may_only_read_makes_no_plan(platform):
    headers = platform.headers("ten_plan_scope", scopes=("plans:read",))
    refused = await platform.request(
        "POST", "/v1/plans", json={"name": "pro", "spec": spec()}, headers=headers, expect=403
    )
    assert refused["reason"] == "SCOPE_MISSING"
    await platform.request("GET", "/v1/plans", headers=headers, expect=200)


@pytest.mark.parametrize("path", ["/v1/plans/%00", "/v1/plans?cursor=a%00b"])
async def test_an_address_that_no_store_can_hold_is_refused(platform, path):
    refused = await platform.request("GET", path, expect=422)
    assert refused["reason"] == "TEXT_INVALID"
