"""Rules of a tenant: stacked levels, plans, versions, exemptions, and what is kept of them."""

import pytest

from tests.subscription.billing import Seller, fee, plan

CHICAGO = {"country": "US", "region": "IL", "city": "Chicago", "postal_code": "60601"}
ILLINOIS = [
    {"level": "state", "region": "IL", "rate": "0.0625"},
    {"level": "county", "region": "IL", "postal_prefix": "606", "rate": "0.0175"},
    {"level": "city", "region": "US-IL", "city": "chicago", "rate": "0.0125"},
]


async def rule(seller, expect=201, **fields):
    body = {"country": "US", "rate": "0.1", "valid_from": "2020-01-01", **fields}
    return await seller.call("POST", "/v1/tax_rules", body, expect)


async def taxed(seller, customer, *lines, expect=201):
    body = {
        "customer": customer,
        "currency_code": "USD",
        "lines": [
            {"line_id": str(number), "tax_on": "2026-01-31", "amount_minor": 10_000, **line}
            for number, line in enumerate(lines or [{}])
        ],
    }
    return await seller.call("POST", "/v1/tax_calculations", body, expect)


def groups(calculation):
    return [
        (group["jurisdiction"], group["rate"], group["tax_minor"])
        for group in calculation["groups"]
    ]


async def test_state_county_and_city_are_owed_apart_and_each_rounded_once(platform):
    seller = Seller(platform, "ten_tax_stacked")
    for level in ILLINOIS:
        await rule(seller, stacked=True, **level)

    found = await taxed(seller, CHICAGO, {"amount_minor": 333}, {"amount_minor": 334})
    elsewhere = await taxed(seller, {"country": "US", "region": "IL", "postal_code": "61101"})

    # 6.67 dollars: 41.6875, 11.6725 and 8.3375 cents.
    assert groups(found) == [
        ("US-IL", "0.06250000", 42),
        ("US-IL-606", "0.01750000", 12),
        ("US-IL-chicago", "0.01250000", 8),
    ]
    assert found["tax_minor"] == sum(line["tax_minor"] for line in found["lines"]) == 62
    assert groups(elsewhere) == [("US-IL", "0.06250000", 625)]
    inclusive = await taxed(seller, CHICAGO, {"amount_minor": 10_925, "inclusive": True})
    assert (inclusive["net_minor"], inclusive["tax_minor"]) == (10_000, 925)


async def test_a_level_has_one_rule_the_most_specific(platform):
    seller = Seller(platform, "ten_tax_levels")
    for level in ILLINOIS:
        await rule(seller, stacked=True, **level)
    await rule(
        seller, stacked=True, level="state", region="IL", category="Food", rate="0.01",
        treatment="REDUCED",
    )  # fmt: skip

    found = await taxed(seller, CHICAGO, {"category": "Food"}, {})

    assert [(group["category"], group["rate"]) for group in found["groups"]] == [
        ("Food", "0.01000000"),
        ("Food", "0.01750000"),
        ("Food", "0.01250000"),
        ("Standard", "0.06250000"),
        ("Standard", "0.01750000"),
        ("Standard", "0.01250000"),
    ]


async def test_line_product_plan_customer_and_place_go_before_one_another(platform):
    seller = Seller(platform, "ten_tax_order")
    place = await rule(seller, rate="0.05", region="IL")
    await rule(seller, rate="0.04", customer_id="cus_7")
    await rule(seller, rate="0.03", plan="pro")
    await rule(seller, rate="0.02", category="Books")
    lines = [
        {},
        {"plan_name": "pro"},
        {"plan_name": "pro", "category": "Books"},
        {"plan_name": "pro", "category": "Books", "rule_id": place["id"]},
    ]

    ours = await taxed(seller, CHICAGO | {"customer_id": "cus_7"}, *lines)
    others = await taxed(seller, CHICAGO, {})

    assert [line["tax_minor"] for line in ours["lines"]] == [400, 300, 200, 500]
    assert others["tax_minor"] == 500


async def test_the_next_version_begins_on_its_day_and_history_keeps_the_one_it_used(platform):
    seller = Seller(platform, "ten_tax_versions")
    first = await rule(seller, rate="0.1")
    path = f"/v1/tax_rules/{first['id']}:replace"
    second = await seller.call("POST", path, {"valid_from": "2026-01-01", "rate": "0.12"}, 201)

    old = await taxed(seller, CHICAGO, {"tax_on": "2025-12-31"}, {"rule_id": first["id"]})
    again = await seller.call("POST", path, {"valid_from": "2027-01-01", "rate": "0.2"}, 409)

    assert (second["version"], second["series"]) == (2, first["id"])
    ended = await seller.call("GET", f"/v1/tax_rules/{first['id']}")
    assert ended["valid_until"] == "2026-01-01"
    assert [
        (group["rule_id"], group["rule_version"], group["tax_minor"]) for group in old["groups"]
    ] == [(first["id"], 1, 1_000), (second["id"], 2, 1_200)]
    assert again["reason"] == "TAX_RULE_SUPERSEDED"
    await seller.call("DELETE", f"/v1/tax_rules/{first['id']}", None, 204)
    assert await seller.call("GET", f"/v1/tax_calculations/{old['id']}") == old


async def test_zero_and_exempt_differ_from_the_standard_rate_and_from_each_other(platform):
    seller = Seller(platform, "ten_tax_categories")
    german = {"country": "DE", "customer_id": "cus_9"}

    found = await taxed(
        seller, german, {"category": "Zero"}, {"category": "Exempt"}, {"category": "Reduced"}, {}
    )

    assert [(group["treatment"], group["tax_minor"]) for group in found["groups"]] == [
        ("ZERO", 0),
        ("EXEMPT", 0),
        ("REDUCED", 700),
        ("STANDARD", 1_900),
    ]
    listed = await seller.call("GET", "/v1/tax_calculations?customer_id=cus_9")
    assert [item["id"] for item in listed["data"]] == [found["id"]]
    assert (await seller.call("GET", "/v1/tax_calculations?customer_id=cus_8"))["data"] == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"treatment": "EXEMPT"}, "/rate"),
        ({"level": "state"}, "/level"),
        ({"valid_until": "2019-01-01"}, "/valid_until"),
        ({"level": "planet", "stacked": True}, "/level"),
        ({"rate": "1.5"}, "/rate"),
    ],
)
async def test_a_rule_that_contradicts_itself_is_refused(platform, fields, field):
    refused = await rule(Seller(platform, "ten_tax_contradicts"), 422, **fields)

    assert refused["field"] == field


@pytest.mark.parametrize(
    ("kind", "value", "valid", "country"),
    [
        ("eu_vat", "ATU13585627", True, "AT"),
        ("eu_vat", "EL 094259216", True, "GR"),
        ("eu_vat", "ATU13585628", False, ""),
        ("eu_vat", "US123", False, ""),
        ("gb_vat", "GB 980 7806 84", True, "GB"),
        ("us_ein", "91-1144442", True, "US"),
        ("ch_uid", "CHE-100.155.212", True, "CH"),
        ("xx_vat", "1", None, ""),
        ("os_path", "1", None, ""),
        ("..", "1", None, ""),
    ],
)
async def test_tax_ids_are_checked_by_form_and_digits(platform, kind, value, valid, country):
    seller = Seller(platform, "ten_tax_ids")

    found = await seller.call("POST", "/v1/tax_ids:validate", {"type": kind, "value": value})

    assert (found["valid"], found["country"]) == (valid, country)
    assert (found["reason"] == "") is bool(valid)


async def test_a_wrong_tax_id_is_taxed_as_a_consumers_and_the_record_says_so(platform):
    seller = Seller(platform, "ten_tax_ids_kept")
    await seller.call("PUT", "/v1/tax_settings", {"country": "DE"})
    austrian = {"country": "AT", "tax_type": "business"}

    def with_id(number):
        return austrian | {"tax_ids": [{"type": "eu_vat", "value": number}]}

    right = await taxed(seller, with_id("ATU 1358 5627"))
    wrong = await taxed(seller, with_id("ATU13585628"))

    assert (right["tax_minor"], right["groups"][0]["treatment"]) == (0, "REVERSE_CHARGE")
    assert (wrong["tax_minor"], wrong["groups"][0]["treatment"]) == (2_000, "STANDARD")
    assert [(item["tax_ids"][0]["valid"], item["country"]) for item in (right, wrong)] == [
        (True, "AT"),
        (False, "AT"),
    ]


async def test_an_invoice_bears_the_taxes_of_state_county_and_city(platform):
    seller = Seller(platform, "ten_tax_billed")
    for level in ILLINOIS:
        await rule(seller, stacked=True, **level)
    await rule(seller, rate="0", treatment="EXEMPT", plan="school")
    spec = plan(fee("66.67"), currency="USD")
    await seller.sells(spec)
    await seller.sells(spec, name="school")
    customers = {}
    for name in ("pro", "school"):
        address = {name: CHICAGO[name] for name in ("country", "region", "city", "postal_code")}
        made = await seller.customer(name, currency_code="USD", address=address)
        customers[made["id"]] = name
        await seller.call("POST", "/v1/subscriptions", {"customer_id": name, "plan": name}, 201)
    await seller.until("2026-02-01T00:00:00Z")
    assert (await seller.bills())["errors"] == []

    invoices = {customers[item["customer_id"]]: item for item in await seller.invoices()}

    # 416.6875, 116.6725 and 83.3375 cents, each rounded alone.
    assert [tax["tax_minor"] for tax in invoices["pro"]["taxes"]] == [417, 117, 83]
    assert (invoices["pro"]["tax_minor"], invoices["school"]["tax_minor"]) == (617, 0)
    path = f"/v1/tax_calculations?reference={invoices['pro']['id']}"
    (kept,) = (await seller.call("GET", path))["data"]
    assert [group["exact_tax"] for group in kept["groups"]] == [
        "416.68750000",
        "116.67250000",
        "83.33750000",
    ]
