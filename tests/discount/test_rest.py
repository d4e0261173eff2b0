"""REST of discount."""

import pytest

LINES = [{"line_id": "1", "amount_minor": 10_000}, {"line_id": "2", "amount_minor": 5_000}]


async def make(platform, tenant, expect=201, **body):
    body = {"code": "WELCOME10", "percent": "10", **body}
    return await platform.request(
        "POST", "/v1/coupons", json=body, headers=platform.headers(tenant), expect=expect
    )


async def calculate(platform, tenant, expect=200, **body):
    body = {"coupon_codes": ["welcome10"], "lines": LINES, "currency_code": "EUR", **body}
    headers = platform.headers(tenant)
    return await platform.request(
        "POST", "/v1/discount_calculations", json=body, headers=headers, expect=expect
    )


async def test_a_coupon_is_made_read_listed_and_archived(platform):
    headers = platform.headers("ten_coupons")
    made = await make(platform, "ten_coupons", name="Welcome", redemptions_max=5)
    assert (made["state"], made["percent"], made["redemptions"]) == ("active", "10", 0)
    for name in (made["id"], "WELCOME10", "welcome10"):
        read = await platform.request("GET", f"/v1/coupons/{name}", headers=headers, expect=200)
        assert read == made
    await platform.request("DELETE", f"/v1/coupons/{made['id']}", headers=headers, expect=204)
    listed = await platform.request("GET", "/v1/coupons", headers=headers, port=8002, expect=200)
    assert [(item["code"], item["state"]) for item in listed["data"]] == [("WELCOME10", "archived")]
    refused = (await calculate(platform, "ten_coupons"))["refused"]
    assert refused == [{"code": "WELCOME10", "reason": "COUPON_ARCHIVED"}]


async def test_codes_are_unique_in_a_tenant_and_mode_whatever_their_case(platform):
    await make(platform, "ten_unique")
    problem = await make(platform, "ten_unique", code="welcome10", expect=409)
    assert problem["reason"] == "COUPON_CODE_TAKEN"
    await make(platform, "ten_unique_other")
    live = platform.headers("ten_unique", livemode=True)
    body = {"code": "WELCOME10", "percent": "20"}
    await platform.request("POST", "/v1/coupons", json=body, headers=live, expect=201)
    read = await platform.request("GET", "/v1/coupons/WELCOME10", headers=live, expect=200)
    assert read["percent"] == "20"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"percent": None}, "/percent"),
        ({"amount_minor": 100, "currency_code": "EUR"}, "/percent"),
        ({"percent": "0"}, "/percent"),
        ({"percent": "100.5"}, "/percent"),
        ({"percent": "1e2"}, "/percent"),
        ({"percent": None, "amount_minor": 100}, "/currency_code"),
        ({"currency_code": "EUX"}, "/currency_code"),
        ({"cap_minor": 100}, "/currency_code"),
        ({"duration": "repeating"}, "/duration_periods"),
        ({"duration_periods": 3}, "/duration_periods"),
        ({"duration": "always"}, "/duration"),
        ({"redemptions_max": 0}, "/redemptions_max"),
        ({"code": "with space"}, "/code"),
        ({"code": "X" * 65}, "/code"),
        ({"valid_until": "2020-01-01T00:00:00Z", "valid_from": "2021-01-01T00:00:00Z"},
         "/valid_until"),
        ({"discount": "10"}, "/discount"),
    ],
)  # fmt: skip
async def test_a_bad_coupon_is_refused_with_its_field(platform, body, field):
    problem = await make(platform, "ten_bad_coupons", expect=422, **body)
    assert problem["field"] == field
    headers = platform.headers("ten_bad_coupons")
    assert (await platform.request("GET", "/v1/coupons", headers=headers))["data"] == []


async def test_a_calculation_shows_what_would_apply_and_stores_nothing(platform):
    made = await make(platform, "ten_calculation")
    body = await calculate(platform, "ten_calculation", coupon_codes=["welcome10", "nothing"])
    assert body == {
        "applications": [
            {
                "coupon_id": made["id"],
                "rule_id": None,
                "code": "WELCOME10",
                "description": "Coupon WELCOME10",
                "amount_minor": 1500,
                "shares": [
                    {"line_id": "1", "amount_minor": 1000},
                    {"line_id": "2", "amount_minor": 500},
                ],
            }
        ],
        "total_minor": 1500,
        "currency_code": "EUR",
        "refused": [{"code": "nothing", "reason": "COUPON_UNKNOWN"}],
    }
    headers = platform.headers("ten_calculation")
    listed = await platform.request("GET", "/v1/discount_applications", headers=headers)
    assert listed == {"data": [], "next_cursor": None}


async def test_amounts_that_together_are_too_large_are_refused(platform):
    lines = [{"line_id": str(index), "amount_minor": 2**53 - 1} for index in range(2)]
    problem = await calculate(platform, "ten_large", lines=lines, expect=422)
    assert problem["reason"] == "AMOUNT_OUT_OF_RANGE"


async def test_lines_with_one_id_are_refused(platform):
    problem = await calculate(platform, "ten_lines", lines=[LINES[0], LINES[0]], expect=422)
    assert (problem["reason"], problem["field"]) == ("LINE_ID_REPEATED", "/lines/1/line_id")


async def test_a_coupon_can_be_asked_for_as_of_an_instant(platform):
    await make(platform, "ten_at", valid_until="2026-01-31T00:00:00Z")
    early = await calculate(platform, "ten_at", at="2026-01-30T23:59:59Z")
    late = await calculate(platform, "ten_at", at="2026-01-31T00:00:00Z")
    assert (early["total_minor"], late["total_minor"]) == (1500, 0)
    assert late["refused"] == [{"code": "WELCOME10", "reason": "COUPON_EXPIRED"}]
