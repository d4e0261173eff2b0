"""A key, an answer: reliability's table of situations, row by row."""

import asyncio
import hashlib
import json

import asyncpg
import grpc
import pytest
from billplane.chassis import idempotency
from billplane.chassis.auth import Principal
from billplane.chassis.call import Call
from billplane.chassis.errors import IdempotencyKeyReused
from billplane.chassis.rest import canonical
from billplane.protos.subscription.v1 import subscription_pb2 as pb
from billplane.protos.subscription.v1 import subscription_pb2_grpc
from billplane.subscription.service import customers
from google.rpc import error_details_pb2, status_pb2


class Caller:
    """A tenant that sends keys."""

    def __init__(self, platform, tenant):
        self.platform = platform
        self.tenant = tenant

    async def post(self, path, body, key, **options):
        """Send a request; return its status, body and headers."""
        headers = {**self.platform.headers(self.tenant, **options), "Idempotency-Key": key}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
        async with self.platform.http.post(
            self.platform.url(path), data=data, headers=headers
        ) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def names(self):
        """Return the names of the customers there are."""
        found = await self.platform.request(
            "GET", "/v1/customers?limit=200", headers=self.platform.headers(self.tenant), expect=200
        )
        return sorted(item["name"] for item in found["data"])

    async def stored_keys(self, service="subscription"):
        """Return the keys that have an answer."""
        connection = await asyncpg.connect(self.platform.stores.admin_url)
        rows = await connection.fetch(
            f"SELECT key FROM {service}.idempotency WHERE tenant_id = $1", self.tenant
        )
        await connection.close()
        return {row["key"] for row in rows}


@pytest.fixture
def caller(platform, request):
    """Give a tenant of the test's own."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:16]
    return Caller(platform, f"ten_key_{name}")


async def test_an_answer_that_shows_a_secret_is_kept_sealed_and_told_again(caller):
    body = {"url": "https://example.com/hook", "enabled_events": ["*"]}
    first = await caller.post("/v1/webhook_endpoints", body, "secret-1")
    assert first[0] == 200
    again = await caller.post("/v1/webhook_endpoints", body, "secret-1")
    assert again[1] == first[1]
    assert again[1]["secret"].startswith("whsec_")
    connection = await asyncpg.connect(caller.platform.stores.admin_url)
    kept = await connection.fetchval(
        "SELECT body FROM notification.idempotency WHERE tenant_id = $1", caller.tenant
    )
    await connection.close()
    assert kept
    assert first[1]["secret"].encode() not in kept


async def test_the_same_request_again_gets_the_same_answer_and_has_no_effect(caller):
    first = await caller.post("/v1/customers", {"name": "Ada", "metadata": {"a": "b"}}, "k1")
    assert first[0] == 201
    assert "Idempotent-Replayed" not in first[2]
    # Written otherwise, but saying the same.
    again = await caller.post(
        "/v1/customers", b'{ "metadata": {"a":"b"},\n"name": "\\u0041da"}', "k1"
    )
    assert again[:2] == first[:2]
    assert again[2]["Idempotent-Replayed"] == "true"
    assert again[2]["Location"] == first[2]["Location"]
    assert again[2]["X-Request-Id"] != first[2]["X-Request-Id"]
    assert await caller.names() == ["Ada"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/customers", {"name": "Bob"}),
        ("/v1/customers", {"name": "Ada", "email": ""}),
        ("/v1/test_clocks", {"name": "Ada", "now": "2026-01-01T00:00:00Z"}),
    ],
)
async def test_another_request_under_the_key_is_refused_and_never_runs(caller, path, body):
    await caller.post("/v1/customers", {"name": "Ada"}, "k1")
    status, problem, _ = await caller.post(path, body, "k1")
    assert (status, problem["reason"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert await caller.names() == ["Ada"]
    # What the key stood for, it still stands for.
    status, _, headers = await caller.post("/v1/customers", {"name": "Ada"}, "k1")
    assert (status, headers["Idempotent-Replayed"]) == (201, "true")


def test_digits_beyond_a_float_tell_requests_apart():
    assert canonical(b'{"a": 1.5, "b": 2}') == canonical(b'{"b":2,"a":1.5}')
    assert canonical(b'{"a": 1.5}') != canonical(b'{"a": 1.50000000000000000001}')
    assert canonical(b'{"a": 1.5}') != canonical(b'{"a": "1.5"}')
    assert canonical(b"no JSON") == b"no JSON"
    assert canonical(b"[" * 100_000) == b"[" * 100_000


async def test_a_key_whose_first_request_still_runs_is_in_use(caller, platform):
    text = "\0".join(("subscription", caller.tenant, "False", "k1"))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    connection = await asyncpg.connect(platform.stores.admin_url)
    try:
        async with connection.transaction():
            lock = int.from_bytes(digest, signed=True)
            await connection.execute("SELECT pg_advisory_xact_lock($1)", lock)
            status, problem, headers = await caller.post("/v1/customers", {"name": "Ada"}, "k1")
            assert (status, problem["reason"]) == (409, "IDEMPOTENCY_KEY_IN_USE")
            assert headers["Retry-After"] == "1"
    finally:
        await connection.close()
    assert (await caller.post("/v1/customers", {"name": "Ada"}, "k1"))[0] == 201


async def test_what_failed_before_it_ran_leaves_the_key_free(caller, platform):
    bad = [
        (422, await caller.post("/v1/customers", {"nam": "Ada"}, "k1")),
        (400, await caller.post("/v1/customers", b"{", "k1")),
        (403, await caller.post("/v1/customers", {"name": "Ada"}, "k1", scopes=("taxes:read",))),
    ]
    for expected, (status, problem, _) in bad:
        assert status in (expected, 422), problem
    async with platform.http.post(
        platform.url("/v1/customers"), json={"name": "Ada"}, headers={"Idempotency-Key": "k1"}
    ) as answer:
        assert answer.status == 401
    assert await caller.stored_keys() == set()
    assert (await caller.post("/v1/customers", {"name": "Ada"}, "k1"))[0] == 201


async def test_what_a_use_case_refused_is_refused_again_in_the_same_words(caller, platform):
    first = await caller.post("/v1/customers", {"name": "Ada", "external_id": "ada"}, "k1")
    refused = await caller.post("/v1/customers", {"name": "Bob", "external_id": "ada"}, "k2")
    assert refused[0] == 409
    path = f"/v1/customers/{first[1]['id']}"
    await platform.request("DELETE", path, headers=platform.headers(caller.tenant), expect=204)
    again = await caller.post("/v1/customers", {"name": "Bob", "external_id": "ada"}, "k2")
    assert again[:2] == refused[:2]
    assert again[2]["Idempotent-Replayed"] == "true"
    assert again[2]["Content-Type"] == "application/problem+json"
    assert await caller.names() == []


async def test_a_failure_of_ours_stores_nothing_and_the_key_runs_again(caller, monkeypatch):
    def fail(_currency):
        raise RuntimeError("a defect")

    with monkeypatch.context() as broken:
        broken.setattr(customers, "check_currency", fail)
        status, problem, _ = await caller.post("/v1/customers", {"name": "Ada"}, "k1")
        assert (status, problem["reason"]) == (500, "INTERNAL")
        assert "defect" not in json.dumps(problem)
    assert await caller.stored_keys() == set()
    assert await caller.names() == []
    assert (await caller.post("/v1/customers", {"name": "Ada"}, "k1"))[0] == 201


async def test_a_refusal_never_becomes_the_answer_of_a_request_that_took_a_step_elsewhere(
    caller, platform
):
    runtime = platform.platform.runtimes["subscription"]
    principal = Principal("user:usr_test", caller.tenant, False, frozenset(["*"]))

    async def refuse():
        told = idempotency.StoredAnswer(409, {}, b"refused")
        async with runtime.database.write(runtime, principal) as tx:
            await idempotency.store_refusal(tx, "k", "f", told, begun=False)

    async with Call(runtime, principal, key="k", fingerprint="f", keeps_refusals=True) as call:
        async with call.writing():
            # The same request is refused at another replica before this step ends, and after.
            during = asyncio.create_task(refuse())
            await asyncio.sleep(0.1)
        await during
        await refuse()
        assert call.begun
        await call.last()
        await call.answer(201, {}, b"made")
    again = Call(runtime, principal, key="k", fingerprint="f", keeps_refusals=True)
    with pytest.raises(idempotency.Replay) as replay:
        async with again, again.writing():
            pytest.fail("what was answered runs again")
    assert (replay.value.answer.status, replay.value.answer.body) == (201, b"made")


async def test_a_request_that_is_refused_after_its_own_step_keeps_the_refusal(caller, platform):
    runtime = platform.platform.runtimes["subscription"]
    principal = Principal("user:usr_test", caller.tenant, False, frozenset(["*"]))
    async with Call(runtime, principal, key="k", fingerprint="f", keeps_refusals=True) as call:
        async with call.writing():
            pass
    told = idempotency.StoredAnswer(402, {}, b"declined")
    async with runtime.database.write(runtime, principal) as tx:
        await idempotency.store_refusal(tx, "k", "f", told, begun=call.begun)
    async with runtime.database.read(runtime, principal) as reading:
        kept = await idempotency.find(reading, "k", "f")
        with pytest.raises(IdempotencyKeyReused):
            await idempotency.find(reading, "k", "another")
    assert kept == told


async def test_fifty_at_once_have_one_effect(caller):
    answers = await asyncio.gather(
        *(caller.post("/v1/customers", {"name": "Ada"}, "k1") for _ in range(50))
    )
    assert {status for status, _, _ in answers} <= {201, 409}
    made = {body["id"] for status, body, _ in answers if status == 201}
    assert len(made) == 1
    assert {body["reason"] for status, body, _ in answers if status == 409} <= {
        "IDEMPOTENCY_KEY_IN_USE"
    }
    assert await caller.names() == ["Ada"]
    status, body, _ = await caller.post("/v1/customers", {"name": "Ada"}, "k1")
    assert (status, {body["id"]}) == (201, made)


async def test_work_of_several_steps_has_one_effect_too_and_its_whole_answer_is_kept(
    caller, platform
):
    await caller.post("/v1/customers", {"name": "Ada", "external_id": "ada"}, "k0")
    headers = platform.headers(caller.tenant)
    await platform.request(
        "PUT", "/v1/tax_settings", json={"country": "DE"}, headers=headers, expect=200
    )
    await platform.request(
        "PATCH",
        "/v1/customers/ada",
        json={"address": {"country": "DE"}},
        headers=headers,
        expect=200,
    )
    lines = [{"description": f"line {number}", "unit_amount": "1"} for number in range(400)]
    body = {"customer_id": "ada", "currency_code": "EUR", "lines": lines}
    answers = await asyncio.gather(*(caller.post("/v1/invoices", body, "k1") for _ in range(8)))
    while any(status == 409 for status, _, _ in answers):
        answers = await asyncio.gather(*(caller.post("/v1/invoices", body, "k1") for _ in range(2)))
    assert {status for status, _, _ in answers} == {201}
    status, made, replayed = await caller.post("/v1/invoices", body, "k1")
    assert (status, replayed["Idempotent-Replayed"]) == (201, "true")
    assert len(made["lines"]) == 400
    listed = await platform.request("GET", "/v1/invoices", headers=headers, expect=200)
    assert [item["id"] for item in listed["data"]] == [made["id"]]


async def test_reading_takes_no_key(caller, platform):
    headers = {**platform.headers(caller.tenant), "Idempotency-Key": "k1"}
    await platform.request("GET", "/v1/customers", headers=headers, expect=200)
    assert await caller.stored_keys() == set()


# gRPC: request_id is the key -------------------------------------------------------------------


async def _create(channel, platform, caller, name, request_id="r1"):
    stub = subscription_pb2_grpc.SubscriptionServiceStub(channel)
    request = pb.CreateCustomerRequest(request_id=request_id, customer=pb.Customer(name=name))
    return await stub.CreateCustomer(request, metadata=platform.metadata(caller.tenant))


def _reason(error):
    for key, value in error.trailing_metadata():
        if key == "grpc-status-details-bin":
            info = error_details_pb2.ErrorInfo()
            for detail in status_pb2.Status.FromString(value).details:
                if detail.Unpack(info):
                    return info.reason
    return ""


async def test_a_call_again_gets_the_same_answer_and_another_is_refused(caller, platform):
    async with platform.channel() as channel:
        first = await _create(channel, platform, caller, "Ada")
        assert await _create(channel, platform, caller, "Ada") == first
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _create(channel, platform, caller, "Bob")
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert _reason(refused.value) == "IDEMPOTENCY_KEY_REUSED"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _create(channel, platform, caller, "Ada", "no key")
        assert _reason(refused.value) == "IDEMPOTENCY_KEY_INVALID"
    assert await caller.names() == ["Ada"]


async def test_fifty_calls_at_once_have_one_effect(caller, platform):
    async with platform.channel() as channel:
        answers = await asyncio.gather(
            *(_create(channel, platform, caller, "Ada") for _ in range(50)), return_exceptions=True
        )
        made = {answer.customer.id for answer in answers if not isinstance(answer, Exception)}
        assert len(made) == 1
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        assert {error.code() for error in refused} <= {grpc.StatusCode.ABORTED}
        assert {_reason(error) for error in refused} <= {"IDEMPOTENCY_KEY_IN_USE"}
        assert {(await _create(channel, platform, caller, "Ada")).customer.id} == made
    assert await caller.names() == ["Ada"]
