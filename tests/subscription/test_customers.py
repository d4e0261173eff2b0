"""Customers and test clocks over REST."""

import asyncio

import pytest

from tests.subscription.billing import fee, plan


async def test_a_customer_is_found_by_either_id_everywhere(seller):
    await seller.sells(plan(fee("10")))
    made = await seller.customer("b7e4/ä?", currency_code="EUR")
    for name in (made["id"], "b7e4%2F%C3%A4%3F"):
        if "%2F" not in name:
            assert await seller.call("GET", f"/v1/customers/{name}") == made
    body = {"customer_id": "b7e4/ä?", "plan": "pro"}
    subscribed = await seller.call("POST", "/v1/subscriptions", body, 201)
    assert subscribed["customer_id"] == made["id"]
    await seller.until("2026-02-01T00:00:00Z")
    run = await seller.bills(customer_ids=["b7e4/ä?"])
    assert (run["invoiced"], run["errors"]) == (1, [])
    listed = await seller.call("GET", f"/v1/subscriptions?customer_id={made['id']}")
    assert [item["id"] for item in listed["data"]] == [subscribed["id"]]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"currency_code": "XXY"}, "CURRENCY_UNKNOWN"),
        ({"currency_code": "eur"}, "FIELD_INVALID"),
        ({"address": {"country": "Austria"}}, "FIELD_INVALID"),
        ({"time_zone": "Mars/Olympus"}, "FIELD_INVALID"),
        ({"payment_terms_days": -1}, "FIELD_INVALID"),
        ({"color": "blue"}, "FIELD_UNKNOWN"),
    ],
)
async def test_a_customer_with_a_bad_field_is_refused_whole(seller, fields, reason):
    body = {"name": "Ada", "external_id": "bad", **fields}
    refused = await seller.call("POST", "/v1/customers", body, 422)
    assert refused["errors"][0]["reason"] in (reason, "TIME_ZONE_UNKNOWN", "FIELD_OUT_OF_RANGE")
    assert (await seller.call("GET", "/v1/customers"))["data"] == []


async def test_an_external_id_is_one_customers_in_a_mode(seller):
    body = {"name": "Ada", "external_id": "ada"}
    first = await seller.call("POST", "/v1/customers", body, 201)
    refused = await seller.call("POST", "/v1/customers", body, 409)
    assert (refused["reason"], refused["field"]) == ("EXTERNAL_ID_TAKEN", "/external_id")
    await seller.call("POST", "/v1/customers", body, 201, livemode=True)
    other = await seller.call("POST", "/v1/customers", {"name": "Bea", "external_id": "bea"}, 201)
    await seller.call("PATCH", f"/v1/customers/{other['id']}", {"external_id": "ada"}, 409)
    changed = await seller.call("PATCH", "/v1/customers/ada", {"name": "Countess"})
    assert (changed["id"], changed["name"]) == (first["id"], "Countess")


async def test_a_customer_who_subscribed_is_not_deleted(seller):
    await seller.sells(plan(fee("10")))
    await seller.subscribes("ada")
    refused = await seller.call("DELETE", "/v1/customers/ada", expect=409)
    assert refused["reason"] == "CUSTOMER_IN_USE"
    await seller.customer("bea")
    await seller.call("DELETE", "/v1/customers/bea", expect=204)
    await seller.call("GET", "/v1/customers/bea", expect=404)


async def test_a_currency_that_the_plan_is_not_priced_in_is_refused(seller):
    await seller.sells(plan(fee("10")))
    await seller.customer("ada", currency_code="JPY")
    body = {"customer_id": "ada", "plan": "pro"}
    refused = await seller.call("POST", "/v1/subscriptions", body, 409)
    assert refused["reason"] == "CURRENCY_NOT_PRICED"
    assert refused["metadata"] == {"currency_code": "JPY", "priced_in": "EUR"}


async def test_a_test_clock_moves_forward_only(seller):
    await seller.sells(plan(fee("10")), now="2026-01-10T00:00:00Z")
    await seller.until("2026-01-10T00:00:00Z")
    refused = await seller.call(
        "POST", f"/v1/test_clocks/{seller.clock}:advance", {"to": "2026-01-09T00:00:00Z"}, 409
    )
    assert (refused["reason"], refused["field"]) == ("CLOCK_MOVES_FORWARD", "/to")
    wanted = [f"2026-01-{day}T00:00:00Z" for day in range(11, 29)]
    path = f"/v1/test_clocks/{seller.clock}:advance"
    await asyncio.gather(*(seller.call("POST", path, {"to": to}, None) for to in reversed(wanted)))
    clock = await seller.call("GET", f"/v1/test_clocks/{seller.clock}")
    assert clock["now"] == wanted[-1]


async def test_test_clocks_exist_in_test_mode_only(seller):
    body = {"now": "2026-01-01T00:00:00Z"}
    refused = await seller.call("POST", "/v1/test_clocks", body, 409, livemode=True)
    assert refused["reason"] == "TEST_MODE_ONLY"
    await seller.sells(plan(fee("10")))
    path = f"/v1/test_clocks/{seller.clock}"
    await seller.call("GET", path, expect=404, livemode=True)
    to = {"to": "2026-03-01T00:00:00Z"}
    await seller.call("POST", f"{path}:advance", to, 404, livemode=True)
    customer = {"name": "Ada", "test_clock_id": seller.clock}
    await seller.call("POST", "/v1/customers", customer, 409, livemode=True)
    unknown = {"name": "Ada", "test_clock_id": "clk_unknown"}
    refused = await seller.call("POST", "/v1/customers", unknown, 404)
    assert refused["field"] == "/test_clock_id"
