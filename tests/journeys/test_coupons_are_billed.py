"""Coupons and amounts of invoices, over REST alone: how long, how much, and what goes together."""

import pytest

from tests.subscription.billing import Seller, fee, plan


@pytest.fixture
async def shop(platform, request):
    """Give a tenant that sells one plan of 100.00 a month."""
    made = Seller(platform, f"ten_{request.node.name}"[:100])
    await made.sells(plan(fee("100")))
    return made


async def coupon(shop, code, **values):
    if "amount_minor" in values:
        values.setdefault("currency_code", "EUR")
    else:
        values.setdefault("percent", "10")
    return await shop.call("POST", "/v1/coupons", {"code": code, **values}, 201)


async def months(shop, *codes, number=4):
    """Subscribe with coupons, and return the net amount of each of some months."""
    made = await shop.subscribes(coupon_codes=list(codes))
    for month in range(2, number + 2):
        await shop.until(f"2026-{month:02d}-01T00:00:00Z")
        await shop.bills()
    found = await shop.invoices()
    return [item["net_minor"] for item in found if item["subscription_id"] == made["id"]]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ({"duration": "once"}, [9_000, 10_000, 10_000, 10_000]),
        ({"duration": "repeating", "duration_periods": 3}, [9_000, 9_000, 9_000, 10_000]),
        ({"duration": "forever"}, [9_000, 9_000, 9_000, 9_000]),
    ],
    ids=["once", "repeating", "forever"],
)
async def test_a_coupon_lasts_for_its_periods(shop, duration, expected):
    made = await coupon(shop, "TEN", **duration)
    assert await months(shop, "TEN") == expected
    path = f"/v1/discount_applications?coupon_id={made['id']}"
    found = (await shop.call("GET", path))["data"]
    assert len(found) == expected.count(9_000)
    assert {item["amount_minor"] for item in found} == {1_000}
    held = await shop.call("GET", "/v1/coupons/TEN")
    assert held["redemptions"] == 1  # however many periods it lasts, one subscription holds it


async def test_a_repeating_coupon_that_has_expired_goes_on_for_who_holds_it(shop):
    await coupon(
        shop, "TEN", duration="repeating", duration_periods=3,
        valid_until="2026-02-10T00:00:00Z",
    )  # fmt: skip
    assert await months(shop, "TEN") == [9_000, 9_000, 9_000, 10_000]


async def test_coupons_stack_by_priority_each_on_what_the_one_before_left(shop):
    await coupon(shop, "FIX", amount_minor=2_000, priority=1, duration="forever")
    await coupon(shop, "HALF", percent="50", priority=2, duration="once")
    await coupon(
        shop,
        "CAP",
        percent="20",
        cap_minor=500,
        currency_code="EUR",
        priority=3,
        duration="forever",
    )
    # 100 - 20 = 80, half of it 40, a fifth of that is 8 and at most 5; then without HALF.
    assert await months(shop, "CAP", "HALF", "FIX", number=2) == [3_500, 7_500]
    first, _ = await shop.invoices()
    discounts = [(item["code"], item["amount_minor"]) for item in first["discounts"]]
    assert discounts == [("FIX", 2_000), ("HALF", 4_000), ("CAP", 500)]


async def test_one_that_does_not_stack_stands_alone_and_nothing_goes_below_zero(shop):
    await coupon(shop, "ALONE", percent="30", stackable=False, duration="forever")
    await coupon(shop, "MORE", percent="10", priority=5, duration="forever")
    assert await months(shop, "ALONE", "MORE", number=2) == [7_000, 7_000]
    await coupon(shop, "ALL", amount_minor=99_999, priority=-1, duration="once")
    body = {"customer_id": "ada", "currency_code": "EUR", "coupon_codes": ["ALL"]}
    body["lines"] = [{"description": "Work", "unit_amount": "12.34"}]
    made = await shop.call("POST", "/v1/invoices", body, 201)
    assert (made["discount_minor"], made["net_minor"], made["total_minor"]) == (1_234, 0, 0)


async def test_a_rule_counts_from_its_minimum_amount_on(shop):
    rule = {"kind": "threshold", "name": "Volume", "minimum_minor": 10_000, "percent": "5"}
    await shop.call("POST", "/v1/discount_rules", {**rule, "currency_code": "EUR"}, 201)
    await shop.customer("bob")
    found = []
    for amount in ("99.99", "100.00", "250.00"):
        body = {"customer_id": "bob", "currency_code": "EUR"}
        body["lines"] = [{"description": "Work", "unit_amount": amount}]
        found.append((await shop.call("POST", "/v1/invoices", body, 201))["discount_minor"])
    assert found == [0, 500, 1_250]
    # With a coupon too: the rule looks at what the lines are before discounts.
    await coupon(shop, "TEN", duration="forever", priority=-1)
    assert await months(shop, "TEN", number=2) == [8_550, 8_550]
