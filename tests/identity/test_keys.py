"""API keys: made, shown once, rotated, revoked; and who may ask whose they are."""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from billplane.protos.identity.v1 import identity_pb2 as pb
from billplane.protos.identity.v1 import identity_pb2_grpc

from tests.fixtures.platform import SECRET
from tests.identity.people import STAFF_KEY, Person, try_key


async def test_a_key_is_shown_once_and_stored_as_a_hash(home, ada):
    made = await ada.post("/auth/api_keys", {"name": "mine", "scopes": ["taxes:read"]}, 201)
    assert made["key"].startswith(f"sk_test_{made['id']}_")
    assert (made["type"], made["livemode"]) == ("test", False)
    read = await ada.get(f"/auth/api_keys/{made['id']}")
    listed = await ada.get("/auth/api_keys")
    for shown in (read, *listed["data"]):
        assert "key" not in shown
        assert made["key"][-30:] not in str(shown)
    status, me = await try_key(home, made["key"])
    assert (status, me["tenant_id"], me["scopes"]) == (200, ada.tenant_id, ["taxes:read"])
    assert (await ada.get(f"/auth/api_keys/{made['id']}"))["last_used_at"] is not None


async def test_a_key_may_do_what_its_scopes_say(home, ada):
    made = await ada.post("/auth/api_keys", {"scopes": ["taxes:read"]}, 201)
    headers = {"Authorization": f"Bearer {made['key']}"}
    await home.request("GET", "/v1/tax_settings", headers=headers, expect=200)
    refused = await home.request(
        "PUT", "/v1/tax_settings", json={"country": "AT"}, headers=headers, expect=403
    )
    assert refused["reason"] == "SCOPE_MISSING"


async def test_only_staff_takes_the_limits_off_a_key(home, ada):
    body = {"name": "load", "limits": "none"}
    refused = await ada.post("/auth/api_keys", body, 403)
    assert refused["reason"] == "STAFF_ONLY"
    usual = await ada.post("/auth/api_keys", {"name": "usual"}, 201)
    staff = {"X-Admin-Key": STAFF_KEY, "Billplane-Tenant": ada.tenant_id, "Authorization": ""}
    made = await home.request("POST", "/auth/api_keys", json=body, headers=staff, expect=201)
    assert (usual["limits"], made["limits"]) == ("standard", "none")
    next_one = await ada.post(f"/auth/api_keys/{made['id']}/rotate", {}, 201)
    assert next_one["limits"] == "none"
    told = {}
    for key in (usual, made, next_one):
        headers = {"Authorization": f"Bearer {key['key']}"}
        async with home.http.get(home.url("/v1/tax_settings"), headers=headers) as answer:
            assert answer.status == 200
            told[key["id"]] = "RateLimit-Limit" in answer.headers
    assert told == {usual["id"]: True, made["id"]: False, next_one["id"]: False}


async def test_keys_do_not_make_keys(home, ada):
    made = await ada.post("/auth/api_keys", {"scopes": ["*"]}, 201)
    headers = {"Authorization": f"Bearer {made['key']}"}
    for method, path in (
        ("POST", "/auth/api_keys"),
        ("POST", f"/auth/api_keys/{made['id']}/rotate"),
        ("DELETE", f"/auth/api_keys/{made['id']}"),
    ):
        refused = await home.request(method, path, json={}, headers=headers, expect=403)
        assert refused["reason"] == "USER_ONLY"


async def test_both_keys_work_while_one_follows_the_other(home, ada):
    old = await ada.post("/auth/api_keys", {"name": "n", "scopes": ["taxes:read"]}, 201)
    new = await ada.post(f"/auth/api_keys/{old['id']}/rotate", {}, 201)
    assert (new["name"], new["scopes"]) == ("n", ["taxes:read"])
    assert new["id"] != old["id"]
    for key in (old, new):
        assert (await try_key(home, key["key"]))[0] == 200
    ends_at = datetime.fromisoformat((await ada.get(f"/auth/api_keys/{old['id']}"))["expires_at"])
    assert timedelta(hours=23) < ends_at - datetime.now(UTC) <= timedelta(hours=24)
    assert (await ada.get(f"/auth/api_keys/{new['id']}"))["expires_at"] is None


async def test_a_revoked_key_is_refused_at_once(home, ada):
    made = await ada.post("/auth/api_keys", {"scopes": ["taxes:read"]}, 201)
    assert (await try_key(home, made["key"]))[0] == 200
    for _ in range(2):
        await home.request(
            "DELETE", f"/auth/api_keys/{made['id']}", headers=ada.headers(), expect=204
        )
    status, problem = await try_key(home, made["key"])
    assert (status, problem["reason"]) == (401, "CREDENTIAL_INVALID")
    await ada.post(f"/auth/api_keys/{made['id']}/rotate", {}, 404)


async def test_a_key_ends_when_it_was_to(home, ada):
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    refused = await ada.post("/auth/api_keys", {"expires_at": past}, 422)
    assert refused["errors"][0]["field"] == "/expires_at"
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    made = await ada.post("/auth/api_keys", {"expires_at": soon, "scopes": ["*"]}, 201)
    assert (await try_key(home, made["key"]))[0] == 200
    ends_at = datetime.fromisoformat(soon)
    await asyncio.sleep((ends_at - datetime.now(UTC)).total_seconds())
    status, problem = await try_key(home, made["key"])
    assert (status, problem["reason"]) == (401, "CREDENTIAL_INVALID")


async def test_a_live_key_needs_an_activated_tenant(home, ada):
    refused = await ada.post("/auth/api_keys", {"type": "live"}, None)
    assert refused["reason"] == "TENANT_NOT_ACTIVATED"
    assert (await ada.get("/auth/api_keys"))["data"] == []


async def test_another_tenants_key_does_not_exist(home, ada):
    other = await Person.registered(home)
    made = await ada.post("/auth/api_keys", {}, 201)
    await other.get(f"/auth/api_keys/{made['id']}", 404)
    await other.post(f"/auth/api_keys/{made['id']}/rotate", {}, 404)
    await home.request(
        "DELETE", f"/auth/api_keys/{made['id']}", headers=other.headers(), expect=404
    )
    assert (await try_key(home, made["key"]))[0] == 200


@pytest.mark.parametrize("scopes", [["everything"], ["a:b"], ["keys:live"], ["*:read"]])
async def test_a_scope_that_is_none_is_refused(ada, scopes):
    refused = await ada.post("/auth/api_keys", {"scopes": scopes}, 422)
    assert refused["errors"][0]["reason"] == "SCOPE_INVALID"


async def test_malformed_keys_are_refused(home, ada):
    made = await ada.post("/auth/api_keys", {"scopes": ["*"]}, 201)
    key = made["key"]
    other_mode = key.replace("sk_test_", "sk_live_")
    for bad in (key[:-1], key + "x", key.upper(), other_mode, "sk_", "sk_test_", key[:20]):
        status, problem = await try_key(home, bad)
        assert (status, problem["reason"]) == (401, "CREDENTIAL_INVALID"), bad


async def test_only_services_may_ask_whose_a_credential_is(home, ada):
    made = await ada.post("/auth/api_keys", {"scopes": ["taxes:read"]}, 201)
    token = ada.session["access_token"]
    async with home.channel() as channel:
        stub = identity_pb2_grpc.IdentityServiceStub(channel)
        inside = home.metadata(ada.tenant_id, subject="service:gateway")
        answer = await stub.ValidateKey(pb.ValidateKeyRequest(key=made["key"]), metadata=inside)
        assert (answer.key_id, answer.tenant_id) == (made["id"], ada.tenant_id)
        assert (list(answer.scopes), answer.livemode) == (["taxes:read"], False)
        whose = await stub.ValidateToken(pb.ValidateTokenRequest(token=token), metadata=inside)
        assert (whose.user_id, whose.tenant_id, whose.role) == (ada.id, ada.tenant_id, "owner")
        for bad in ("", "sk_test_x", token[:-2]):
            for call in (
                stub.ValidateKey(pb.ValidateKeyRequest(key=bad), metadata=inside),
                stub.ValidateToken(pb.ValidateTokenRequest(token=bad), metadata=inside),
            ):
                await _refused(call, grpc.StatusCode.UNAUTHENTICATED)
        for outside in (
            [("authorization", f"Bearer {made['key']}")],
            [("authorization", f"Bearer {token}")],
        ):
            for call in (
                stub.ValidateKey(pb.ValidateKeyRequest(key=made["key"]), metadata=outside),
                stub.ValidateToken(pb.ValidateTokenRequest(token=token), metadata=outside),
                stub.CreateTenant(pb.CreateTenantRequest(id="mine"), metadata=outside),
                stub.GetTenant(pb.GetTenantRequest(id=ada.tenant_id), metadata=outside),
                stub.CreateTestKey(pb.CreateTestKeyRequest(name="mine"), metadata=outside),
            ):
                await _refused(call, grpc.StatusCode.PERMISSION_DENIED)


async def test_an_installer_gets_a_test_key_of_a_tenant_that_is_there(home):
    async with home.channel() as channel:
        stub = identity_pb2_grpc.IdentityServiceStub(channel)
        operator = home.metadata("installed", subject="operator")
        request = pb.CreateTestKeyRequest(name="first key", scopes=["*"])
        await _refused(stub.CreateTestKey(request, metadata=operator), grpc.StatusCode.NOT_FOUND)
        await stub.CreateTenant(pb.CreateTenantRequest(id="installed"), metadata=operator)
        made = await stub.CreateTestKey(request, metadata=operator)
        known = await stub.ValidateKey(pb.ValidateKeyRequest(key=made.key), metadata=operator)
    assert made.key.startswith("sk_test_")
    assert (known.key_id, known.tenant_id) == (made.key_id, "installed")
    assert (known.livemode, list(known.scopes)) == (False, ["*"])


async def _refused(call, code):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is code, refused.value.details()


async def test_tokens_signed_before_the_secret_changed_are_accepted(
    home, ada, make_stores, run_platform
):
    environ = {
        "BILLPLANE_JWT_SECRET": "another-secret-that-is-long-enough-9876543210",
        "BILLPLANE_IDENTITY_PREVIOUS_JWT_SECRET": SECRET,
    }
    stores = await make_stores()
    async with run_platform(stores, ("gateway", "identity", "tax"), **environ) as changed:
        headers = {"Authorization": f"Bearer {ada.session['access_token']}"}
        await changed.request("GET", "/v1/tax_settings", headers=headers, expect=200)
