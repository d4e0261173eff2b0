"""Two dialects at one door: Stripe's SDKs get Stripe's shapes, all others ours."""

import pytest
from billplane.chassis.app import Route
from billplane.chassis.routing import RoutingTable

TABLE = RoutingTable(
    [
        (Route("/v1/customers"), "subscription"),
        (Route("/v1/customers", dialect="stripe"), "payment"),
        (Route("/v1/payment_intents", dialect="stripe"), "payment"),
        (Route("/v1/plans"), "pricing"),
    ]
)
SDK = {b"stripe-version": b"2026-01-01"}
FORM = {b"content-type": b"application/x-www-form-urlencoded; charset=utf-8"}
JSON = {b"content-type": b"application/json"}


@pytest.mark.parametrize(
    ("path", "headers", "service"),
    [
        ("/v1/customers", SDK, "payment"),
        ("/v1/customers/cus_1", SDK, "payment"),
        ("/v1/customers", FORM, "payment"),
        ("/v1/customers", JSON, "subscription"),
        ("/v1/customers", {}, "subscription"),
        ("/v1/payment_intents", SDK, "payment"),
        ("/v1/payment_intents/pi_1/confirm", JSON, "payment"),
        ("/v1/plans", JSON, "pricing"),
        ("/v1/plans", FORM, "pricing"),
        ("/v1/plans/pln_1:archive", {}, "pricing"),
        ("/v1/plans", SDK, None),
        ("/v1/nothing", SDK, None),
        ("/v1/customersx", {}, None),
    ],
)
def test_the_path_and_the_dialect_choose_the_service(path, headers, service):
    found = TABLE.find(path, headers)
    assert (found and found[1]) == service


@pytest.mark.parametrize("path", ["/v1/plans", "/v1/nothing/at/all"])
async def test_what_has_no_form_in_the_dialect_is_refused_in_the_dialect(platform, path):
    headers = {**platform.headers("ten_dialect"), "Stripe-Version": "2026-01-01"}
    async with platform.http.get(platform.url(path), headers=headers) as answer:
        assert answer.status == 404
        body = await answer.json()
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["code"] == "unrecognized_url"
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Should-Retry"] == "false"


async def test_the_door_itself_refuses_in_the_dialect(platform):
    headers = {"Stripe-Version": "2026-01-01", "Authorization": "Bearer sk_test_wrong"}
    url = platform.url("/v1/customers")
    async with platform.http.get(url, headers=headers) as answer:
        body = await answer.json()
    assert answer.content_type == "application/json"
    assert body["error"]["type"] == "invalid_request_error"
    assert answer.status in (401, 404)
