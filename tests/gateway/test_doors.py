"""One contract for both ways: services in the gateway's process, services in another."""

import io
import json

import pytest
from yarl import URL

from tests.gateway.conftest import answered, edge_of
from tests.gateway.test_routing import NAMES_IN_PATHS


@pytest.fixture(params=["together", "apart"])
def door(request):
    fixture = {"together": "platform", "apart": "apart"}[request.param]
    return request.getfixturevalue(fixture)


@pytest.fixture
def headers(door):
    return door.headers("ten_doors")


async def test_an_answer_comes_whole(door, headers):
    body = {"name": "Ada", "external_id": "ada-1", "metadata": {"note": "Zürich · 東京"}}
    status, given, text = await answered(
        door,
        "POST",
        "/v1/customers",
        json=body,
        headers={**headers, "Idempotency-Key": "one", "X-Request-Id": "req-of-mine"},
    )
    made = json.loads(text)
    assert (status, made["metadata"]) == (201, body["metadata"])
    assert given["Location"] == f"/v1/customers/{made['id']}"
    assert given["X-Request-Id"] == "req-of-mine"
    status, given, text = await answered(
        door, "POST", "/v1/customers", json=body, headers={**headers, "Idempotency-Key": "one"}
    )
    assert (status, given["Idempotent-Replayed"]) == (201, "true")
    assert json.loads(text) == made
    status, _, text = await answered(door, "GET", "/v1/customers?limit=1", headers=headers)
    assert (status, len(json.loads(text)["data"])) == (200, 1)


@pytest.mark.parametrize(("name", "written"), NAMES_IN_PATHS.items())
async def test_a_name_in_a_path_means_the_same(door, headers, name, written):
    body = {"name": "Odd", "external_id": name}
    await answered(door, "POST", "/v1/customers", json=body, headers=headers)
    async with door.http.get(
        URL(door.url(f"/v1/customers/{written}"), encoded=True), headers=headers
    ) as response:
        assert response.status == 200, await response.text()
        assert (await response.json())["external_id"] == name


async def test_a_refusal_is_a_problem(door, headers):
    status, given, text = await answered(door, "GET", "/v1/customers/nobody", headers=headers)
    problem = json.loads(text)
    assert (status, problem["reason"]) == (404, "CUSTOMER_NOT_FOUND")
    assert given["Content-Type"] == "application/problem+json"
    assert problem["request_id"] == given["X-Request-Id"]
    status, _, text = await answered(
        door, "POST", "/v1/customers", json={"nam": 1}, headers=headers
    )
    assert status == 422
    assert {"/name", "/nam"} <= {error["field"] for error in json.loads(text)["errors"]}


async def test_a_verb_without_a_body_arrives(door, headers):
    status, _, text = await answered(
        door, "POST", "/v1/subscriptions/sub_none:cancel", headers=headers
    )
    assert (status, json.loads(text)["reason"]) == (404, "SUBSCRIPTION_NOT_FOUND")


async def test_a_method_that_a_path_lacks_is_refused(door, headers):
    status, _, _ = await answered(door, "PUT", "/v1/customers", headers=headers)
    assert status == 405


async def test_a_body_over_the_limit_is_refused_announced_or_not(door, headers):
    limit = edge_of(door)._settings.body_limit_bytes
    headers = {**headers, "Content-Type": "application/json"}

    async def growing():
        for _ in range(limit // 65_536 + 2):
            yield b" " * 65_536

    for body in (io.BytesIO(b" " * (limit + 1)), growing()):
        status, _, text = await answered(door, "POST", "/v1/customers", data=body, headers=headers)
        assert (status, json.loads(text)["reason"]) == (413, "BODY_TOO_LARGE")


async def test_a_pdf_streams_through(door):
    headers = door.headers("ten_doors_pdf")
    customer = {"name": "Ada", "external_id": "ada", "address": {"country": "AT"}}
    await answered(door, "POST", "/v1/customers", json=customer, headers=headers)
    body = {
        "customer_id": "ada",
        "currency_code": "EUR",
        "lines": [{"description": f"Line {n}", "unit_amount": "1"} for n in range(40)],
    }
    status, _, text = await answered(door, "POST", "/v1/invoices", json=body, headers=headers)
    assert status == 201, text
    path = f"/v1/invoices/{json.loads(text)['id']}"
    status, _, text = await answered(door, "POST", f"{path}:finalize", headers=headers)
    assert status == 200, text
    status, given, pdf = await answered(door, "GET", f"{path}/pdf", headers=headers)
    assert (status, given["Content-Type"]) == (200, "application/pdf")
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert int(given.get("Content-Length", len(pdf))) == len(pdf)


async def test_a_service_that_is_away_is_told(apart, monkeypatch):
    edge = edge_of(apart)
    headers = apart.headers("ten_away")
    away = edge._settings.model_copy(update={"upstream_port": 1})
    with monkeypatch.context() as patched:
        patched.setattr(edge, "_settings", away)
        status, given, text = await answered(apart, "GET", "/v1/tax_rules", headers=headers)
    assert (status, json.loads(text)["reason"]) == (503, "UPSTREAM_UNAVAILABLE")
    assert given["Retry-After"] == "1"
    assert (await answered(apart, "GET", "/v1/tax_rules", headers=headers))[0] == 200


@pytest.mark.parametrize("credential", [None, "Bearer ", "Bearer sk_test_wrong", "Basic eDp5"])
async def test_a_public_door_is_open_whatever_credential_is_sent(door, credential):
    given = {} if credential is None else {"Authorization": credential}
    status, _, text = await answered(
        door,
        "POST",
        "/auth/login",
        json={"email": "no@example.com", "password": "x"},
        headers=given,
    )
    assert (status, json.loads(text)["reason"]) == (401, "CREDENTIALS_INVALID")
