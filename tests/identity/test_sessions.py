"""Register, log in, refresh, log out."""

import asyncio
import base64
import time

import jwt
import pytest
from billplane.chassis.auth import ISSUER, USER_AUDIENCE, USER_INFO, derive_seed
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.fixtures.platform import SECRET
from tests.identity.people import PASSWORD, Person


async def public(home, path, body, expect):
    return await home.request("POST", path, json=body, headers={"Authorization": ""}, expect=expect)


async def test_who_registers_owns_a_tenant(home, ada):
    me = await ada.get("/auth/me")
    assert me["tenant_id"] == ada.tenant_id
    assert (me["email"], me["role"], me["livemode"]) == (ada.email, "owner", False)
    assert (await ada.get("/auth/me", **{"Billplane-Livemode": "true"}))["livemode"] is True
    taken = {"email": ada.email.upper(), "password": PASSWORD}
    refused = await public(home, "/auth/register", taken, 409)
    assert (refused["reason"], refused["field"]) == ("EMAIL_TAKEN", "/email")


@pytest.mark.parametrize(
    ("email", "password", "reason"),
    [
        ("nobody", PASSWORD, "EMAIL_INVALID"),
        ("a@example.com", "1234567", "PASSWORD_TOO_SHORT"),
        ("a@example.com", "x" * 129, "PASSWORD_TOO_LONG"),
    ],
)
async def test_what_is_refused_says_why(home, email, password, reason):
    refused = await public(home, "/auth/register", {"email": email, "password": password}, 422)
    assert reason in (refused["reason"], *(item["reason"] for item in refused["errors"]))


async def test_two_who_register_one_address_at_once_are_one(home):
    body = {"email": "twins@example.com", "password": PASSWORD}
    answers = await asyncio.gather(*(public(home, "/auth/register", body, None) for _ in range(4)))
    assert sorted(answer.get("reason", "") for answer in answers) == ["", *["EMAIL_TAKEN"] * 3]


async def test_a_wrong_password_and_an_unknown_address_are_told_alike(home, ada):
    wrong = {"email": ada.email, "password": "something else"}
    nobody = {"email": "nobody@example.org", "password": PASSWORD}
    first = await public(home, "/auth/login", wrong, 401)
    second = await public(home, "/auth/login", nobody, 401)
    assert first["detail"] == second["detail"]
    assert first["reason"] == second["reason"] == "CREDENTIALS_INVALID"


async def test_five_failures_a_minute_lock_one_account_only(home, ada):
    wrong = {"email": ada.email, "password": "something else"}
    # At once or one after another: five guesses, and one more for each of the two hashes at work.
    answers = await asyncio.gather(*(public(home, "/auth/login", wrong, None) for _ in range(20)))
    guesses = sum(answer["reason"] == "CREDENTIALS_INVALID" for answer in answers)
    assert 5 <= guesses <= 6
    right = {"email": f" {ada.email.upper()} ", "password": PASSWORD}
    refused = await public(home, "/auth/login", right, 429)
    assert refused["reason"] == "TOO_MANY_LOGINS"
    assert (await Person.registered(home)).session


async def test_a_tenant_that_is_not_ones_own_cannot_be_entered(home, ada):
    other = await Person.registered(home)
    body = {"email": ada.email, "password": PASSWORD, "tenant_id": other.tenant_id}
    await public(home, "/auth/login", body, 401)
    body["tenant_id"] = ada.tenant_id
    await public(home, "/auth/login", body, 200)


async def test_a_refresh_token_works_once_and_reuse_ends_every_session(home, ada):
    first = ada.session["refresh_token"]
    other = await public(home, "/auth/login", {"email": ada.email, "password": PASSWORD}, 200)
    second = (await public(home, "/auth/refresh", {"refresh_token": first}, 200))["refresh_token"]
    assert second != first
    refused = await public(home, "/auth/refresh", {"refresh_token": first}, 401)
    assert refused["reason"] == "REFRESH_TOKEN_INVALID"
    for token in (second, other["refresh_token"]):
        await public(home, "/auth/refresh", {"refresh_token": token}, 401)


async def test_of_refreshes_at_once_one_wins(home, ada):
    body = {"refresh_token": ada.session["refresh_token"]}
    answers = await asyncio.gather(*(public(home, "/auth/refresh", body, None) for _ in range(5)))
    assert sum("access_token" in answer for answer in answers) == 1


async def test_who_logged_out_cannot_refresh(home, ada):
    body = {"refresh_token": ada.session["refresh_token"]}
    await public(home, "/auth/logout", body, 204)
    await public(home, "/auth/refresh", body, 401)
    await public(home, "/auth/logout", {"refresh_token": "rt_unknown"}, 204)


async def test_tokens_match_the_published_keys(home, ada):
    async with home.http.get(home.url("/.well-known/jwks.json")) as answer:
        assert answer.status == 200
        keys = {key["kid"]: key for key in (await answer.json())["keys"]}
    token = ada.session["access_token"]
    header = jwt.get_unverified_header(token)
    assert header["alg"] == "EdDSA"
    published = keys[header["kid"]]
    raw = base64.urlsafe_b64decode(published["x"] + "=")
    claims = jwt.decode(
        token,
        Ed25519PublicKey.from_public_bytes(raw),
        algorithms=["EdDSA"],
        audience=USER_AUDIENCE,
    )
    assert claims["tenant_id"] == ada.tenant_id
    assert claims["exp"] - time.time() <= ada.session["expires_in"] <= 900
    internal = jwt.get_unverified_header(home.token(ada.tenant_id))["kid"]
    assert internal in keys


async def test_only_ed25519_signatures_of_our_keys_count(home, ada):
    token = ada.session["access_token"]
    kid = jwt.get_unverified_header(token)["kid"]
    claims = {
        "iss": ISSUER,
        "aud": USER_AUDIENCE,
        "sub": ada.id,
        "tenant_id": ada.tenant_id,
        "role": "owner",
        "exp": int(time.time()) + 600,
    }
    ours = Ed25519PrivateKey.from_private_bytes(derive_seed(SECRET, USER_INFO))
    theirs = Ed25519PrivateKey.generate()
    good = jwt.encode(claims, ours, algorithm="EdDSA", headers={"kid": kid})
    public_bytes = ours.public_key().public_bytes_raw()
    forged = {
        "none": jwt.encode(claims, None, algorithm="none", headers={"kid": kid}),
        "the secret as HS256": jwt.encode(claims, SECRET, algorithm="HS256", headers={"kid": kid}),
        "the public key as HS256": jwt.encode(
            claims, public_bytes, algorithm="HS256", headers={"kid": kid}
        ),
        "another key": jwt.encode(claims, theirs, algorithm="EdDSA", headers={"kid": kid}),
        "an unknown kid": jwt.encode(claims, ours, algorithm="EdDSA", headers={"kid": "x"}),
        "no kid": jwt.encode(claims, ours, algorithm="EdDSA"),
        "expired": jwt.encode(claims | {"exp": 1}, ours, algorithm="EdDSA", headers={"kid": kid}),
        "internal audience": jwt.encode(
            claims | {"aud": "billplane.internal"}, ours, algorithm="EdDSA", headers={"kid": kid}
        ),
        "no tenant": jwt.encode(
            {name: value for name, value in claims.items() if name != "tenant_id"},
            ours,
            algorithm="EdDSA",
            headers={"kid": kid},
        ),
        "cut short": good[:-3],
        "nonsense": "a.b.c",
    }
    for why, bad in forged.items():
        refused = await home.request(
            "GET", "/auth/me", headers={"Authorization": f"Bearer {bad}"}, expect=401
        )
        assert refused["reason"] == "CREDENTIAL_INVALID", why
    await home.request("GET", "/auth/me", headers={"Authorization": f"Bearer {good}"}, expect=200)


@pytest.mark.parametrize(
    ("role", "reading", "writing", "live"),
    [("viewer", 200, 403, 403), ("developer", 200, 200, 200), ("owner", 200, 200, 200)],
)
async def test_a_role_decides_what_its_token_may_do(home, ada, role, reading, writing, live):
    ours = Ed25519PrivateKey.from_private_bytes(derive_seed(SECRET, USER_INFO))
    claims = jwt.decode(ada.session["access_token"], options={"verify_signature": False})
    kid = jwt.get_unverified_header(ada.session["access_token"])["kid"]
    token = jwt.encode(claims | {"role": role}, ours, algorithm="EdDSA", headers={"kid": kid})
    headers = {"Authorization": f"Bearer {token}"}
    path, body = "/v1/tax_settings", {"country": "AT"}
    await home.request("GET", path, headers=headers, expect=reading)
    await home.request("PUT", path, json=body, headers=headers, expect=writing)
    in_live = {**headers, "Billplane-Livemode": "true"}
    await home.request("GET", path, headers=in_live, expect=live)
