"""Which service answers a path, and what stands before all of them."""

import json

import pytest
from billplane import catalog
from billplane.chassis.routing import RoutingTable
from billplane.gateway.edge import load_routes

from tests.gateway.conftest import ORIGIN, answered

NAMES_IN_PATHS = {
    "with space": "with%20space",
    "what?": "what%3F",
    "50%": "50%25",
    "a#b": "a%23b",
    "größe": "gr%C3%B6%C3%9Fe",
}


@pytest.mark.parametrize(
    ("path", "prefix", "service"),
    [
        ("/v1/customers", "/v1/customers", "subscription"),
        ("/v1/customers/", "/v1/customers", "subscription"),
        ("/v1/customers/a:b:c", "/v1/customers", "subscription"),
        ("/v1/subscriptions/sub_1:cancel", "/v1/subscriptions", "subscription"),
        ("/v1/usage_events:validate", "/v1/usage_events", "metering"),
        ("/v1/usage/ada", "/v1/usage", "metering"),
        ("/v1/invoices/inv_1/pdf", "/v1/invoices", "invoice"),
        ("/auth/api_keys/k1/rotate", "/auth/api_keys", "identity"),
        ("/.well-known/jwks.json", "/.well-known/jwks.json", "identity"),
    ],
)
def test_the_longest_declared_prefix_answers(path, prefix, service):
    route, found = RoutingTable(load_routes()).find(path, {})
    assert (route.prefix, found) == (prefix, service)


@pytest.mark.parametrize(
    "path",
    ["/", "", "//", "/v1", "/v1/customersx", "/v2/customers", "/auth", "/:x", "/v1:customers"],
)
def test_nothing_else_is_a_route(path):
    assert RoutingTable(load_routes()).find(path, {}) is None


def test_every_declared_route_is_in_the_table():
    declared = {
        (route.prefix, name) for name in catalog.SERVICES for route in catalog.load(name).routes
    }
    assert {(route.prefix, service) for route, service in load_routes()} == declared


async def test_an_unknown_path_is_a_problem_and_not_a_question_of_credentials(platform):
    status, headers, text = await answered(platform, "GET", "/v1/unheard_of")
    problem = json.loads(text)
    assert (status, problem["reason"]) == (404, "ROUTE_NOT_FOUND")
    assert headers["X-Request-Id"] == problem["request_id"]


@pytest.mark.parametrize("sent", ["", "with space", "é", "x" * 129])
async def test_a_request_id_that_is_none_is_replaced(platform, sent):
    _, headers, _ = await answered(
        platform,
        "GET",
        "/v1/tax_settings",
        headers={**platform.headers("ten_ids"), "X-Request-Id": sent},
    )
    assert headers.getall("X-Request-Id")[0].startswith("req_")
    assert len(headers.getall("X-Request-Id")) == 1


async def test_the_merged_document_has_every_path(platform):
    _, _, text = await answered(platform, "GET", "/openapi.json")
    merged = json.loads(text)
    for name in catalog.SERVICES:
        if catalog.load(name).front is None:
            own = platform.platform.runtimes[name].openapi["paths"]
            # A plain request for customers is the billing's, in whatever other dialect they speak.
            theirs = {path for path in own if path.startswith("/v1/customers")}
            reached = own.keys() - (theirs if name == "payment" else set())
            assert reached <= merged["paths"].keys(), name
    assert "/v1/customers/{customer}/payment_methods" not in merged["paths"]
    references = set(_references(merged))
    known = {f"#/components/schemas/{name}" for name in merged["components"]["schemas"]}
    assert references <= known


def _references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _references(item)


async def test_a_page_of_an_allowed_origin_may_ask_and_read(strict):
    asks = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, idempotency-key",
    }
    status, headers, _ = await answered(strict, "OPTIONS", "/v1/customers", headers=asks)
    assert (status, headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)
    assert headers["Access-Control-Allow-Headers"] == "authorization, idempotency-key"
    for path, expected in (("/v1/tax_settings", 401), ("/nowhere", 404)):
        status, headers, _ = await answered(strict, "GET", path, headers={"Origin": ORIGIN})
        assert (status, headers["Access-Control-Allow-Origin"]) == (expected, ORIGIN), path


async def test_a_page_of_another_origin_may_not(strict, platform):
    for where, origin in ((strict, "https://evil.example"), (platform, ORIGIN)):
        asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        _, headers, _ = await answered(where, "OPTIONS", "/v1/customers", headers=asks)
        assert "Access-Control-Allow-Origin" not in headers
        _, headers, _ = await answered(where, "GET", "/health", headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in headers


async def test_the_demo_tenant_serves_until_it_has_a_live_key(strict, monkeypatch):
    monkeypatch.setattr("billplane.gateway.edge._DEMO_SECONDS", 0)
    status, _, _ = await answered(strict, "GET", "/api/v1/billing/nobody")
    assert status == 404
    status, _, text = await answered(strict, "GET", "/v1/customers")
    assert (status, json.loads(text)["reason"]) == (401, "CREDENTIAL_MISSING")
    bad = {"Authorization": "Bearer sk_test_nonsense"}
    status, _, text = await answered(strict, "GET", "/api/v1/billing/nobody", headers=bad)
    assert (status, json.loads(text)["reason"]) == (401, "CREDENTIAL_INVALID")

    owner = strict.headers("demo")
    key = await strict.request(
        "POST", "/auth/api_keys", json={"type": "live", "scopes": ["*"]}, headers=owner, expect=201
    )
    status, headers, text = await answered(strict, "GET", "/api/v1/billing/nobody")
    assert (status, json.loads(text)["reason"]) == (401, "DEMO_DISABLED")
    assert headers["WWW-Authenticate"].startswith("Bearer")
    await strict.request("DELETE", f"/auth/api_keys/{key['id']}", headers=owner, expect=None)
    status, _, _ = await answered(strict, "GET", "/api/v1/billing/nobody")
    assert status == 404
