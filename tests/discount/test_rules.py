"""Discounts that need no code: by user type and from an amount on, alone or together."""

import pytest

from tests.chassis.waiting import eventually
from tests.subscription.billing import Seller, fee, plan

HALF = {"kind": "user_type", "user_types": ["student"], "percent": "50", "name": "Students"}
BULK = {"kind": "threshold", "minimum_minor": 10_000, "currency_code": "EUR", "percent": "10"}


def line(minor, number=1, **fields):
    return {"line_id": str(number), "amount_minor": minor, **fields}


async def rule(seller, body, expect=201, **fields):
    return await seller.call("POST", "/v1/discount_rules", {**body, **fields}, expect)


async def would_take(seller, *lines, **fields):
    body = {"lines": list(lines), "currency_code": "EUR", **fields}
    answer = await seller.call("POST", "/v1/discount_calculations", body)
    return [(item["description"], item["amount_minor"]) for item in answer["applications"]]


async def test_a_rule_is_read_listed_and_archived(platform):
    seller = Seller(platform, "ten_rule_kept")
    made = await rule(seller, HALF)
    await rule(seller, BULK)

    assert (made["state"], made["per"], made["stackable"]) == ("active", "invoice", True)
    assert await seller.call("GET", f"/v1/discount_rules/{made['id']}") == made
    listed = await seller.call("GET", "/v1/discount_rules?kind=user_type")
    assert listed["data"] == [made]
    await seller.call("DELETE", f"/v1/discount_rules/{made['id']}", None, 204)
    assert (await seller.call("GET", f"/v1/discount_rules/{made['id']}"))["state"] == "archived"
    assert await would_take(seller, line(1000), user_type="student") == []
    other = Seller(platform, "ten_rule_of_another")
    assert (await other.call("GET", "/v1/discount_rules"))["data"] == []
    live = await seller.call("GET", "/v1/discount_rules", livemode=True)
    assert live["data"] == []


async def test_a_user_type_gets_its_discount_and_nobody_else(platform):
    seller = Seller(platform, "ten_rule_type")
    await rule(seller, HALF, cap_minor=700, currency_code="EUR")
    await seller.customer("ada", user_type="student", test_clock_id=None)
    await seller.customer("bob", user_type="vip", test_clock_id=None)

    assert await would_take(seller, line(1000), user_type="student") == [("Students", 500)]
    assert await would_take(seller, line(9000), user_type="student") == [("Students", 700)]
    assert await would_take(seller, line(1000), customer_id="ada") == [("Students", 500)]
    assert await would_take(seller, line(1000), customer_id="bob") == []
    assert await would_take(seller, line(1000)) == []


async def test_a_threshold_counts_the_lines_that_it_covers(platform):
    seller = Seller(platform, "ten_rule_threshold")
    await rule(seller, BULK, meters=["calls"], name="Bulk")

    small = [line(9_999, meter="calls"), line(5_000, 2)]
    large = [line(10_000, meter="calls"), line(5_000, 2)]

    assert await would_take(seller, *small) == []
    assert await would_take(seller, *large) == [("Bulk", 1_000)]
    assert await would_take(seller, *large, currency_code="USD") == []


async def test_what_does_not_stack_stands_alone(platform):
    seller = Seller(platform, "ten_rule_alone")
    await rule(seller, HALF, priority=1, stackable=False)
    await rule(seller, BULK, priority=2, name="Bulk")
    coupon = {"code": "TEN", "percent": "10", "priority": 0}
    await seller.call("POST", "/v1/coupons", coupon, 201)

    alone = await would_take(seller, line(20_000), user_type="student")
    after = {"lines": [line(20_000)], "currency_code": "EUR", "user_type": "student"}
    answer = await seller.call(
        "POST", "/v1/discount_calculations", {**after, "coupon_codes": ["TEN"]}
    )

    assert alone == [("Students", 10_000)]
    # The coupon comes first, so the rule that stands alone does not come at all.
    assert [item["code"] or item["description"] for item in answer["applications"]] == [
        "TEN",
        "Bulk",
    ]
    exclusive = {"code": "ONLY", "percent": "1", "priority": 9, "stackable": False}
    await seller.call("POST", "/v1/coupons", exclusive, 201)
    refused = await seller.call(
        "POST", "/v1/discount_calculations", {**after, "coupon_codes": ["ONLY"]}
    )
    assert refused["refused"] == [{"code": "ONLY", "reason": "COUPON_NOT_STACKABLE"}]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (HALF | {"user_types": []}, "/user_types"),
        (HALF | {"minimum_minor": 5}, "/minimum_minor"),
        (HALF | {"percent": None}, "/percent"),
        (HALF | {"amount_minor": 5, "percent": None}, "/currency_code"),
        (HALF | {"cap_minor": 5}, "/currency_code"),
        (BULK | {"minimum_minor": None}, "/minimum_minor"),
        (BULK | {"currency_code": None}, "/currency_code"),
        (BULK | {"user_types": ["vip"]}, "/user_types"),
        (BULK | {"kind": "weather"}, "/kind"),
        (BULK | {"per": "year"}, "/per"),
        (
            BULK | {"valid_from": "2026-02-01T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"},
            "/valid_until",
        ),
    ],
)
async def test_a_rule_that_says_nothing_is_refused(platform, body, field):
    refused = await rule(Seller(platform, "ten_rule_refused"), body, 422)

    assert refused["field"] == field


async def test_rules_and_coupons_lower_the_invoice_and_a_void_gives_all_back(platform):
    seller = Seller(platform, "ten_rule_billed")
    await rule(seller, HALF, priority=1)
    await rule(seller, BULK, priority=2, minimum_minor=8_000, name="Bulk")
    await seller.call(
        "POST", "/v1/coupons", {"code": "LAST", "percent": "10", "redemptions_max": 1}, 201
    )
    await seller.sells(plan(fee("100.00")))
    await seller.customer("ada", user_type="student")
    body = {"customer_id": "ada", "plan": "pro", "coupon_codes": ["LAST"]}
    await seller.call("POST", "/v1/subscriptions", body, 201)
    await seller.until("2026-02-01T00:00:00Z")
    assert (await seller.bills())["errors"] == []
    (invoice,) = await seller.invoices()

    # 100 - 10 % = 90; half of it 45; 10 % of that, as 100 reach the threshold: 40.50.
    assert (invoice["subtotal_minor"], invoice["net_minor"]) == (100_00, 40_50)
    path = f"/v1/discount_applications?invoice_id={invoice['id']}&order=asc"
    history = {row["description"]: row for row in (await seller.call("GET", path))["data"]}
    assert {name: (row["code"], row["amount_minor"]) for name, row in history.items()} == {
        "Coupon LAST": ("LAST", 10_00),
        "Students": (None, 45_00),
        "Bulk": (None, 4_50),
    }
    students = history["Students"]
    assert (students["coupon_id"], history["Coupon LAST"]["rule_id"]) == (None, None)
    by_rule = await seller.call("GET", f"/v1/discount_applications?rule_id={students['rule_id']}")
    assert by_rule["data"] == [students]

    await seller.call("POST", f"/v1/invoices/{invoice['id']}:void", {})

    async def all_given_back():
        rows = (await seller.call("GET", path))["data"]
        return all(row["reversed_at"] for row in rows)

    await eventually(all_given_back, 30)
    coupon = await seller.call("GET", "/v1/coupons/LAST")
    assert (coupon["redemptions"], coupon["state"]) == (0, "active")
