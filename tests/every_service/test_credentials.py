"""What is no credential, or no longer one, or not for this, opens no door of any service."""

import base64
import json
import re
import time

import asyncpg
import grpc
import jwt
import pytest
from billplane import catalog
from billplane.chassis.auth import INTERNAL_AUDIENCE, ISSUER, USER_AUDIENCE
from billplane.chassis.middleware import match
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.message_factory import GetMessageClass

from tests.every_service.estate import JANUARY
from tests.fixtures.platform import SECRET

# A page of each service that lists, and a call that reads, for a credential to be tried on.
DOORS = {
    "billing_core": ("/v1/wallets", "ListWallets"),
    "discount": ("/v1/coupons", "ListCoupons"),
    "exchange_rate": ("/v1/exchange_rate_feeds", "ListRates"),
    "identity": ("/auth/api_keys", "GetUser"),
    "invoice": ("/v1/invoices", "ListInvoices"),
    "ledger": ("/v1/ledger/accounts", "ListAccounts"),
    "metering": ("/v1/meters", "ListMeters"),
    "notification": ("/v1/webhook_endpoints", "ListEvents"),
    "payment": ("/v1/payment_intents", "GetPaymentIntent"),
    "pricing": ("/v1/plans", "ListPlans"),
    "subscription": ("/v1/customers", "ListCustomers"),
    "tax": ("/v1/tax_rules", "ListTaxRules"),
    "utility_provider": ("/v1/utility_providers", "ListProviders"),
}
OPEN = {"/auth/register", "/auth/login", "/auth/refresh", "/auth/logout", "/auth/me"}


class People:
    """A registered user with keys of every kind."""

    def __init__(self, platform):
        self.platform = platform
        self.token = ""
        self.tenant = ""

    async def arrive(self):
        body = {"email": "keys@example.com", "password": "securepassword"}
        user = await self.platform.request("POST", "/auth/register", json=body, expect=201)
        self.tenant = user["tenant_id"]
        session = await self.platform.request("POST", "/auth/login", json=body, expect=200)
        self.token = session["access_token"]
        return self

    async def key(self, **body):
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.platform.request(
            "POST", "/auth/api_keys", json=body, headers=headers, expect=201
        )

    async def revoke(self, key_id):
        headers = {"Authorization": f"Bearer {self.token}"}
        await self.platform.request(
            "DELETE", f"/auth/api_keys/{key_id}", headers=headers, expect=204
        )

    async def expire(self, key_id):
        connection = await asyncpg.connect(self.platform.stores.admin_url)
        await connection.execute(
            "UPDATE identity.api_keys SET expires_at = now() - interval '1 second' WHERE id = $1",
            key_id,
        )
        await connection.close()

    async def use(self, credential, path="/v1/customers"):
        headers = {"Authorization": f"Bearer {credential}"}
        async with self.platform.http.get(self.platform.url(path), headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture(scope="module")
async def people(platform):
    """Give somebody who registered."""
    return await People(platform).arrive()


def _signed(claims, key, kid, algorithm="EdDSA"):
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": kid})


def _changed(token, claims):
    header, _, signature = token.split(".")
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return ".".join((header, payload, signature))


async def bad_credentials(people):
    """Give everything that must not work, by name."""
    platform = people.platform
    good = (await people.key())["key"]
    assert (await people.use(good))[0] == 200
    revoked = await people.key()
    assert (await people.use(revoked["key"]))[0] == 200
    await people.revoke(revoked["id"])
    expired = await people.key()
    await people.expire(expired["id"])
    internal, user = platform.platform.tokens, jwt.get_unverified_header(people.token)["kid"]
    claims = jwt.decode(people.token, options={"verify_signature": False})
    own = {
        "iss": ISSUER,
        "aud": INTERNAL_AUDIENCE,
        "sub": "service:tax",
        "tenant_id": people.tenant,
        "livemode": False,
        "scopes": ["*"],
        "exp": int(time.time()) + 60,
    }
    foreign = Ed25519PrivateKey.generate()
    private = internal._private
    past = int(time.time()) - 1
    without = {name: value for name, value in own.items() if name != "exp"}
    return {
        "nothing": "",
        "nonsense": "nonsense",
        "a key that never was": good[:-38] + "A" * 32 + good[-6:],
        "a key with a broken checksum": good[:-1] + ("a" if good[-1] != "a" else "b"),
        "a key with a letter changed": good[:20] + ("A" if good[20] != "A" else "B") + good[21:],
        "a key cut off": good[:-7],
        "a key and more": f"{good}x",
        "the other mode's name": good.replace("sk_test_", "sk_live_"),
        "a revoked key": revoked["key"],
        "an expired key": expired["key"],
        "a user token that expired": _signed(claims | {"exp": past}, foreign, user),
        "a user token of another signer": _signed(claims, foreign, user),
        "an unknown signer": _signed(claims, foreign, "0123456789abcdef"),
        "no signer named": jwt.encode(claims, foreign, algorithm="EdDSA"),
        "no algorithm": _signed(claims, None, user, "none"),
        "no algorithm, internal": _signed(own, None, internal.kid, "none"),
        "a shared secret": _signed(claims, SECRET, user, "HS256"),
        "a shared secret, internal": _signed(own, SECRET, internal.kid, "HS256"),
        "an internal token of another signer": _signed(own, foreign, internal.kid),
        "an internal token that expired": _signed(own | {"exp": past}, private, internal.kid),
        "an internal token for ever": _signed(without, private, internal.kid),
        "an internal token for users": _signed(own | {"aud": USER_AUDIENCE}, private, internal.kid),
        "another issuer": _signed(own | {"iss": "somebody"}, private, internal.kid),
        "a changed payload": _changed(people.token, claims | {"tenant_id": "ten_other"}),
        "a changed signature": f"{people.token[:-4]}AAAA",
    }


async def test_no_bad_credential_opens_any_door_over_rest_or_grpc(platform, people):
    bad = await bad_credentials(people)
    for service, (path, method) in DOORS.items():
        ports = (8080, *platform.platform.apps_by_name[service].kept_rest_ports)
        (rpc,) = catalog.load(service).rpc
        async with platform.channel() as channel:
            call = channel.unary_unary(f"/{rpc.full_name}/{method}")
            for name, credential in bad.items():
                headers = {"Authorization": f"Bearer {credential}"}
                for port in ports:
                    async with platform.http.get(
                        platform.url(path, port), headers=headers
                    ) as answer:
                        problem = await answer.json(content_type=None)
                        assert answer.status == 401, f"{service} {name}: {problem}"
                        problem = problem.get("error", problem)
                        assert problem["reason"] in ("CREDENTIAL_MISSING", "CREDENTIAL_INVALID")
                        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call(b"", metadata=[("authorization", headers["Authorization"])])
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED, f"{service} {name}"


@pytest.mark.parametrize(
    "header",
    [
        "Basic dXNlcjpwYXNz",
        "Basic %%%",
        "Basic",
        "Basic Og==",
        "bearer",
        "Bearer",
        "Token x",
        "Bearer \xff\xfe",
        "Bearer " * 9,
    ],
)
async def test_other_schemes_are_no_credential(platform, header):
    headers = {"Authorization": header}
    async with platform.http.get(platform.url("/v1/customers"), headers=headers) as answer:
        assert answer.status == 401
        assert (await answer.json(content_type=None))["status"] == 401


async def test_a_key_may_come_as_the_user_of_basic_authentication(platform, people):
    key = (await people.key())["key"]
    for text in (f"{key}:", key, f"{key}:anything"):
        headers = {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}
        me = await platform.request("GET", "/auth/me", headers=headers, expect=200)
        assert me["tenant_id"] == people.tenant


async def test_a_key_says_its_own_mode_and_no_header_changes_it(platform, people):
    key = (await people.key())["key"]
    headers = {"Authorization": f"Bearer {key}", "Billplane-Livemode": "true"}
    me = await platform.request("GET", "/auth/me", headers=headers, expect=200)
    assert (me["livemode"], me["tenant_id"]) == (False, people.tenant)


async def test_a_tenant_that_is_not_activated_gets_no_live_key(platform, people):
    headers = {"Authorization": f"Bearer {people.token}"}
    problem = await platform.request(
        "POST", "/auth/api_keys", json={"type": "live"}, headers=headers, expect=409
    )
    assert problem["reason"] == "TENANT_NOT_ACTIVATED"


async def test_a_key_may_not_make_or_revoke_keys(platform, people):
    made = await people.key()
    headers = {"Authorization": f"Bearer {made['key']}"}
    for method, path in (
        ("POST", "/auth/api_keys"),
        ("POST", f"/auth/api_keys/{made['id']}/rotate"),
        ("DELETE", f"/auth/api_keys/{made['id']}"),
    ):
        problem = await platform.request(method, path, json={}, headers=headers, expect=403)
        assert problem["reason"] == "USER_ONLY", path


async def test_a_key_without_the_scope_gets_nowhere(service, platform, people):
    """Whatever a route does, a key whose only scope is another's is refused it."""
    if catalog.load(service).front is not None:
        return
    key = (await people.key(scopes=["nothing:read"]))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    document = platform.platform.runtimes[service].openapi
    public = [route for route in catalog.load(service).routes if route.public]
    for template, operations in document["paths"].items():
        if template in OPEN or any(route.matches(template) for route in public):
            continue
        path = re.sub(r"\{[^}]+\}", "EUR", template)
        if template == "/v1/usage":
            path += f"?meter=a&customer_id=b&{JANUARY}"
        route = match(catalog.load(service).routes, template)
        stripe = route is not None and route.dialect == "stripe"
        asked = headers | ({"Stripe-Version": "2026-01-01"} if stripe else {})
        for method in operations:
            async with platform.http.request(
                method, platform.url(path), headers=asked, json={}
            ) as answer:
                text = await answer.text()
                # A body that no use case would see is refused before the scope is asked for.
                allowed = (403,) if method in ("get", "delete") else (400, 403, 422)
                assert answer.status in allowed, f"{method} {path}: {answer.status} {text}"


async def test_a_call_without_the_scope_is_refused_over_grpc_too(service, platform, people):
    key = (await people.key(scopes=["nothing:read"]))["key"]
    refused = set()
    async with platform.channel() as channel:
        for rpc in catalog.load(service).rpc:
            for method in rpc.descriptor.methods:
                if method.name == "ListSigningKeys":
                    continue  # what it tells stands in /.well-known/jwks.json for everybody
                request = GetMessageClass(method.input_type)()
                call = channel.unary_unary(f"/{rpc.full_name}/{method.name}")
                try:
                    await call(
                        request.SerializeToString(), metadata=[("authorization", f"Bearer {key}")]
                    )
                    refused.add((method.name, "OK"))
                except grpc.aio.AioRpcError as error:
                    refused.add((method.name, error.code().name))
    assert {code for _, code in refused} <= {"PERMISSION_DENIED", "INVALID_ARGUMENT"}, refused


async def test_reading_is_not_writing(platform, people):
    reader = (await people.key(scopes=["customers:read"]))["key"]
    assert (await people.use(reader))[0] == 200
    headers = {"Authorization": f"Bearer {reader}"}
    problem = await platform.request(
        "POST", "/v1/customers", json={"name": "x"}, headers=headers, expect=403
    )
    assert (problem["reason"], problem["metadata"]) == (
        "SCOPE_MISSING",
        {"scope": "customers:write"},
    )
    writer = (await people.key(scopes=["customers:write"]))["key"]
    assert (await people.use(writer))[0] == 200
    assert (await people.use(writer, "/v1/coupons"))[0] == 403
