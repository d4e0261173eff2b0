"""The last redemption, asked for by many invoices at once; and fifty calls with one key."""

import asyncio

from tests.subscription.billing import Seller

FIFTY = 50
INVOICES = 15


async def statuses(seller, path, body=None, count=FIFTY, **headers):
    """Send the same request many times at once; return (status, body) of each."""
    given = {**seller.platform.headers(seller.tenant), **headers}

    async def send(at):
        url = seller.platform.url(at)
        async with seller.platform.http.post(url, json=body, headers=given) as answer:
            return answer.status, await answer.json()

    paths = [path] * count if isinstance(path, str) else path
    return await asyncio.gather(*(send(each) for each in paths))


async def test_the_last_coupon_lowers_one_of_many_invoices(platform):
    seller = Seller(platform, "ten_last_coupon")
    coupon = {"code": "LAST", "percent": "10", "redemptions_max": 1}
    await seller.call("POST", "/v1/coupons", coupon, 201)
    line = {"description": "Work", "quantity": "1", "unit_amount": "100.00"}

    async def draft(number):
        await seller.customer(f"c{number}", test_clock_id=None)
        body = {
            "customer_id": f"c{number}",
            "currency_code": "EUR",
            "lines": [line],
            "coupon_codes": ["LAST"],
        }
        return await seller.call("POST", "/v1/invoices", body, 201)

    drafts = [await draft(number) for number in range(INVOICES)]
    assert {item["discount_minor"] for item in drafts} == {10_00}

    answers = await statuses(seller, [f"/v1/invoices/{item['id']}:finalize" for item in drafts], {})

    won = [body for status, body in answers if status == 200]
    assert [body["discount_minor"] for body in won] == [10_00]
    assert {body["reason"] for status, body in answers if status != 200} == {"DISCOUNT_CHANGED"}
    assert (await seller.call("GET", "/v1/coupons/LAST"))["redemptions"] == 1
    history = await seller.call("GET", "/v1/discount_applications?limit=200")
    assert [row["reference"] for row in history["data"]] == [won[0]["id"]]
    # The others show what they come to now, and can be issued.
    loser = next(item for item in drafts if item["id"] != won[0]["id"])
    again = await seller.call("POST", f"/v1/invoices/{loser['id']}:finalize", {})
    assert (again["discount_minor"], again["net_minor"]) == (0, 100_00)


async def test_fifty_calls_with_one_key_have_one_effect(platform):
    seller = Seller(platform, "ten_same_key")
    coupon = {"code": "ONE", "percent": "10"}

    answers = await statuses(seller, "/v1/coupons", coupon, **{"Idempotency-Key": "the-same"})

    made = {answer["id"] for status, answer in answers if status == 201}
    others = {answer["reason"] for status, answer in answers if status != 201}
    assert len(made) == 1
    assert others <= {"IDEMPOTENCY_KEY_IN_USE"}
    listed = await seller.call("GET", "/v1/coupons")
    assert {item["id"] for item in listed["data"]} == made
