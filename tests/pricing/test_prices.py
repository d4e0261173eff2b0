"""Prices one by one, and what some quantity costs a customer."""

import pytest
from billplane.protos.pricing.v1 import pricing_pb2 as pb
from billplane.protos.pricing.v1 import pricing_pb2_grpc

from tests.subscription.billing import Seller, fee, plan


def usage(meter, price):
    return {"name": meter, "usage": {"meter": meter, "model": {"perUnit": {"unitAmount": price}}}}


SPEC = plan(fee("49"), usage("calls", "0.02"), usage("bytes", "0.003"))


async def listed(seller, query=""):
    page = await seller.call("GET", f"/v1/prices?order=asc{query}")
    return [(row["version"], row["charge"], row["model"]) for row in page["data"]]


async def test_each_charge_of_each_version_is_a_price(platform):
    seller = Seller(platform, "ten_prices_listed")
    await seller.sells(SPEC)
    await seller.sells(plan(usage("calls", "1")), name="dear")
    assert await listed(seller, "&plan=pro") == [
        (1, "fee-inarrears", "recurring"),
        (1, "calls", "perUnit"),
        (1, "bytes", "perUnit"),
    ]
    assert await listed(seller, "&meter=calls") == [(1, "calls", "perUnit")] * 2
    await seller.changes({"charges": [usage("calls", "0.03")]})
    assert await listed(seller, "&plan=pro") == [(2, "calls", "perUnit")]
    assert len(await listed(seller, "&plan=pro&version=1")) == 3
    first = await seller.call("GET", "/v1/prices?plan=pro&version=1&meter=bytes")
    (row,) = first["data"]
    assert await seller.call("GET", f"/v1/prices/{row['id']}") == row
    assert row["spec"]["usage"]["model"] == {"perUnit": {"unitAmount": "0.003"}}
    page = await seller.call("GET", "/v1/prices?limit=1")
    assert len(page["data"]) == 1
    assert page["next_cursor"]


async def test_a_price_costs_what_its_version_said(platform):
    seller = Seller(platform, "ten_prices_asked")
    await seller.sells(SPEC)
    (row,) = (await seller.call("GET", "/v1/prices?plan=pro&meter=calls"))["data"]
    await seller.changes({"charges": [usage("calls", "9")]})

    answer = await seller.call(
        "POST", "/v1/prices:calculate", {"price": row["id"], "quantity": "12.5"}
    )

    assert (answer["total_minor"], answer["exact_amount"], answer["price_version"]) == (
        25,
        "0.25",
        1,
    )
    newest = {"plan": "pro", "meter": "calls", "quantity": "12.5"}
    assert (await seller.call("POST", "/v1/prices:calculate", newest))["total_minor"] == 112_50


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"price": "price_none", "quantity": "1"}, 404, "PRICE_NOT_FOUND"),
        ({"plan": "none", "meter": "calls", "quantity": "1"}, 404, "PLAN_NOT_FOUND"),
        ({"plan": "pro", "meter": "pigeons", "quantity": "1"}, 422, "METER_NOT_PRICED"),
        ({"plan": "pro", "meter": "calls", "quantity": "many"}, 422, "USAGE_QUANTITY_INVALID"),
        ({"plan": "pro", "meter": "calls", "quantity": "1", "currency_code": "USD"}, 409, None),
        ({"plan": "pro", "customer_id": "nobody"}, 404, "CUSTOMER_NOT_FOUND"),
    ],
)
async def test_a_question_without_an_answer_is_refused(platform, body, status, reason):
    tenant = "ten_prices_refused"
    seller = Seller(platform, tenant)
    headers = platform.headers(tenant)
    async with platform.http.post(
        platform.url("/v1/plans"), json={"name": "pro", "spec": SPEC}, headers=headers
    ) as made:
        assert made.status in (201, 409)

    answer = await seller.call("POST", "/v1/prices:calculate", body, status)

    assert reason is None or answer["reason"] == reason


async def test_a_customers_own_plan_version_and_currency_count(platform):
    seller = Seller(platform, "ten_prices_customer")
    feed = {
        "base": "EUR",
        "currencies": ["USD"],
        "source": {"static": {"rates": [{"quote": "USD", "rate": "1.5", "asOf": "2026-01-01"}]}},
    }
    made = await seller.call(
        "POST", "/v1/exchange_rate_feeds", {"name": "fixed", "spec": feed}, 201
    )
    await seller.call("POST", f"/v1/exchange_rate_feeds/{made['id']}:refresh")
    await seller.sells(SPEC | {"alsoPricedIn": [{"currency": "USD", "rateFeed": "fixed"}]})
    await seller.customer("ada", currency_code="USD")
    await seller.call("POST", "/v1/subscriptions", {"customer_id": "ada", "plan": "pro"}, 201)
    await seller.changes({"charges": [usage("calls", "9")]})
    question = {"customer_id": "ada", "meter": "calls", "quantity": "100"}

    answer = await seller.call("POST", "/v1/prices:calculate", question)

    # 100 x 0.02 by the version that the customer is on, at 1.5 dollars a euro.
    assert (answer["currency_code"], answer["total_minor"]) == ("USD", 3_00)
    assert answer["rate"]["rate"] == "1.5"
    assert answer["price_version"] == 1
    quote = {"customer_id": "ada", "items": [{"meter": "calls", "quantity": "100"}]}
    assert (await seller.call("POST", "/v1/quotes", quote))["total_minor"] == (
        49_00 + 2_00
    ) * 3 // 2
    async with platform.channel() as channel:
        stub = pricing_pb2_grpc.PricingServiceStub(channel)
        told = await stub.CalculatePrice(
            pb.CalculatePriceRequest(customer_id="ada", meter="calls", quantity="100"),
            metadata=platform.metadata(seller.tenant),
        )
    assert (told.currency_code, told.total_minor, told.version) == ("USD", 3_00, 1)
