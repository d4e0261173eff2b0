"""People of the operating company, who act for tenants by their own log-in."""

import secrets
import time

import grpc
import jwt
import pytest
from billplane.chassis.auth import USER_INFO, derive_seed
from billplane.protos.admin.v1 import admin_pb2, admin_pb2_grpc
from billplane.protos.identity.v1 import identity_pb2, identity_pb2_grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.chassis.waiting import eventually
from tests.identity.people import Person
from tests.utility_provider.specs import spec

KEY = "a-staff-key-that-is-long-enough-0001"
SERVICES = ("admin", "gateway", "identity", "listener", "tax", "utility_provider")


@pytest.fixture(scope="module")
async def office(make_stores, run_platform):
    """Run what staff needs, with a staff key for the first of it."""
    environ = {
        "BILLPLANE_ADMIN_KEY": KEY,
        "BILLPLANE_GATEWAY_LOGINS_PER_MINUTE": "100000",
    }
    async with run_platform(await make_stores(), SERVICES, **environ) as found:
        yield found


def tenant():
    return f"ten_{secrets.token_hex(6)}"


async def grant(office, person, role, expect=200, **headers):
    headers = headers or {"X-Admin-Key": KEY, "Billplane-Tenant": "ten_company"}
    body = {"user_id": person.id, "role": role}
    return await office.request("POST", "/admin/staff", json=body, headers=headers, expect=expect)


async def member(office, role="platform"):
    """Return somebody of the staff, logged in since."""
    person = await Person.registered(office)
    await grant(office, person, role)
    await person.log_in()
    return person


async def revoke(office, person, expect=200):
    headers = {"X-Admin-Key": KEY, "Billplane-Tenant": "ten_company"}
    path = f"/admin/staff/{person.id}"
    return await office.request("DELETE", path, headers=headers, expect=expect)


async def entries(office, tenant_id, count):
    """Return what the tenant's audit log says of staff, the oldest first."""
    headers = {"X-Admin-Key": KEY, "Billplane-Tenant": tenant_id}

    async def enough():
        path = "/admin/audit_log?message=staff.acted"
        found = (await office.request("GET", path, headers=headers, expect=200))["data"]
        return found if len(found) >= count else None

    return [entry["payload"] for entry in reversed(await eventually(enough, 60))]


async def settings(office, who, expect=200, method="PUT", **headers):
    body = {"country": "AT"} if method == "PUT" else None
    headers = who.headers(**headers)
    return await office.request(
        method, "/v1/tax_settings", json=body, headers=headers, expect=expect
    )


async def test_staff_acts_for_a_tenant_by_its_log_in_and_the_audit_log_says_who(office):
    ada, theirs = await member(office), tenant()
    headers = {"Billplane-Tenant": theirs}
    await settings(office, ada, **headers)
    assert (await settings(office, ada, method="GET", **headers))["country"] == "AT"
    own = await office.request(
        "GET", "/v1/tax_settings", headers=office.headers(theirs), expect=200
    )
    assert own["country"] == "AT"
    for key in ("once", "once"):  # a repeat under its key is the same action
        await office.request(
            *("POST", "/v1/utility_providers"),
            json={"name": "city-power", "spec": spec()},
            headers=ada.headers(**headers, **{"Idempotency-Key": key}),
            expect=201,
        )
    told = await entries(office, theirs, 2)
    assert [entry["action"] for entry in told] == [
        "PUT /v1/tax_settings",
        "POST /v1/utility_providers",
    ]
    assert {entry["actor"] for entry in told} == {f"user:{ada.id}"}
    assert [entry["target"] for entry in told] == ["tax", "utility_provider"]
    assert told[0]["role"] == "platform"
    assert told[0]["detail"].startswith("request req_")


async def test_staff_in_its_own_tenant_is_a_user_like_any_other(office):
    ada = await member(office, "support")
    await settings(office, ada)  # its owner may what support may not
    made = await ada.post("/auth/api_keys", {"name": "mine"}, 201)
    assert made["key"].startswith("sk_test_")
    who = await ada.get("/auth/me")
    assert (who["subject"], who["tenant_id"]) == (f"user:{ada.id}", ada.tenant_id)
    assert (await ada.get("/admin/staff"))["data"]


async def test_whoever_is_no_staff_reaches_nothing_of_it(office):
    bob, theirs = await Person.registered(office), tenant()
    refused = await grant(office, bob, "platform", 403, **bob.headers())
    assert refused["reason"] == "STAFF_ONLY"
    for method, path in (
        ("GET", "/admin/staff"),
        ("DELETE", f"/admin/staff/{bob.id}"),
        ("GET", "/admin/audit_log"),
        ("GET", "/admin/dead_letters?service=tax"),
    ):
        for more in ({}, {"Billplane-Tenant": theirs}):
            refused = await office.request(method, path, headers=bob.headers(**more), expect=403)
            assert refused["reason"] == "STAFF_ONLY"
    await settings(office, bob, **{"Billplane-Tenant": theirs})  # stays in its own
    assert (await settings(office, bob, method="GET"))["country"] == "AT"
    other = {"headers": office.headers(theirs)}
    assert (await office.request("GET", "/v1/tax_settings", **other))["country"] != "AT"


async def test_no_public_route_makes_staff(office):
    bob = await Person.registered(office)
    for path in ("/auth/register", "/auth/login"):
        for more in ({"staff": "platform"}, {"role": "staff"}, {"is_staff": True}):
            body = {"email": bob.email, "password": "correct horse battery", **more}
            await office.request("POST", path, json=body, headers={"Authorization": ""}, expect=422)
    claims = jwt.decode(bob.session["access_token"], options={"verify_signature": False})
    assert "staff" not in claims


async def test_a_claim_in_a_token_is_no_right(office):
    bob = await Person.registered(office)
    token = bob.session["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False}) | {"staff": "platform"}
    kid = jwt.get_unverified_header(token)["kid"]
    ours = Ed25519PrivateKey.from_private_bytes(
        derive_seed(office.platform.settings.jwt_secret, USER_INFO)
    )
    bob.session["access_token"] = jwt.encode(claims, ours, "EdDSA", headers={"kid": kid})
    refused = await settings(office, bob, 403, **{"Billplane-Tenant": tenant()})
    assert refused["reason"] == "STAFF_ONLY"
    await settings(office, bob, method="GET")


async def test_a_revoked_member_is_refused_by_its_next_call_and_again_after_a_new_log_in(office):
    ada, theirs = await member(office), {"Billplane-Tenant": tenant()}
    await settings(office, ada, **theirs)
    gone = await revoke(office, ada)
    assert (gone["user_id"], gone["email"], gone["role"]) == (ada.id, ada.email, "platform")
    for method in ("PUT", "GET"):
        assert (await settings(office, ada, 403, method, **theirs))["reason"] == "STAFF_ONLY"
    refused = await office.request("GET", "/admin/staff", headers=ada.headers(), expect=403)
    assert refused["reason"] == "STAFF_ONLY"
    await settings(office, ada, method="GET")  # its own tenant stays open
    body = {"refresh_token": ada.session["refresh_token"]}
    ada.session = await ada.post("/auth/refresh", body, 200)
    claims = jwt.decode(ada.session["access_token"], options={"verify_signature": False})
    assert "staff" not in claims
    assert claims["exp"] > time.time()
    assert (await revoke(office, ada, 404))["reason"] == "STAFF_MEMBER_NOT_FOUND"


@pytest.mark.parametrize(
    ("role", "reads", "writes", "grants"),
    [("support", 200, 403, 403), ("finance", 200, 200, 403), ("platform", 200, 200, 200)],
)
async def test_the_role_of_staff_decides_what_it_may_do(office, role, reads, writes, grants):
    ada, bob = await member(office, role), await Person.registered(office)
    headers = {"Billplane-Tenant": tenant()}
    await settings(office, ada, reads, "GET", **headers)
    await settings(office, ada, reads, "GET", **headers, **{"Billplane-Livemode": "true"})
    await settings(office, ada, writes, **headers)
    await office.request("GET", "/admin/audit_log", headers=ada.headers(**headers), expect=reads)
    problem = await office.request(
        "POST",
        "/admin/dead_letters/tax/dlq_none:discard",
        headers=ada.headers(**headers),
        expect=404 if writes == 200 else 403,
    )
    assert problem["reason"] in ("DEAD_LETTER_NOT_FOUND", "SCOPE_MISSING")
    await grant(office, bob, "support", grants, **ada.headers(**headers))
    await grant(office, bob, "support", grants, **ada.headers())  # being an owner is no help


async def test_staff_is_granted_changed_listed_and_told_of(office):
    ada, bob = await member(office), await Person.registered(office)
    theirs = tenant()
    headers = ada.headers(**{"Billplane-Tenant": theirs})
    made = await grant(office, bob, "support", **headers)
    assert made == {
        "user_id": bob.id,
        "email": bob.email,
        "role": "support",
        "granted_by": f"user:{ada.id}",
        "granted_at": made["granted_at"],
    }
    assert await grant(office, bob, "support", **headers) == made
    assert (await grant(office, bob, "finance", **headers))["role"] == "finance"
    found, cursor = {}, ""
    while cursor is not None:
        page = await ada.get(f"/admin/staff?limit=2&cursor={cursor}")
        found |= {person["user_id"]: person["role"] for person in page["data"]}
        cursor = page["next_cursor"]
    assert (found[ada.id], found[bob.id]) == ("platform", "finance")
    told = await entries(office, theirs, 3)
    assert [(entry["action"], entry["target"]) for entry in told] == [
        ("staff.grant", f"user:{bob.id}")
    ] * 3
    assert {entry["actor"] for entry in told} == {f"user:{ada.id}"}


async def test_a_grant_that_names_nobody_or_no_role_is_refused(office):
    ada = await Person.registered(office)
    refused = await grant(office, ada, "king", 422)
    assert refused["errors"][0]["field"] == "/role"
    ada.id = "usr_nobody"
    assert (await grant(office, ada, "support", 404))["reason"] == "USER_NOT_FOUND"
    assert (await revoke(office, ada, 404))["reason"] == "STAFF_MEMBER_NOT_FOUND"


async def test_the_same_over_grpc_and_identity_listens_to_admin_alone(office):
    ada, bob = await member(office), await Person.registered(office)
    metadata = [
        ("authorization", f"Bearer {ada.session['access_token']}"),
        ("billplane-tenant", tenant()),
    ]
    async with office.channel() as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        request = admin_pb2.GrantStaffRequest(user_id=bob.id, role="support")
        made = await stub.GrantStaff(request, metadata=metadata)
        assert (made.member.email, made.member.role) == (bob.email, "support")
        staff = await stub.ListStaff(admin_pb2.ListStaffRequest(page_size=200), metadata=metadata)
        assert bob.id in {person.user_id for person in staff.members}
        gone = await stub.RevokeStaff(
            admin_pb2.RevokeStaffRequest(user_id=bob.id), metadata=metadata
        )
        assert gone.member.user_id == bob.id
        own = identity_pb2_grpc.IdentityServiceStub(channel)
        request = identity_pb2.GrantStaffRequest(user_id=bob.id, role="platform")
        for caller in (metadata, office.metadata("ten_x"), office.metadata(subject="service:tax")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await own.GrantStaff(request, metadata=caller)
            assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
