"""REST of identity."""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from billplane.chassis.auth import key_id
from billplane.chassis.rest import Caller, Here, PageQuery, Reader, Writer, listing, router
from billplane.identity import schemas
from billplane.identity.models import ApiKeyRow
from billplane.identity.service import keys, sessions

rest = router(tags=["identity"])


@rest.post("/auth/register", status_code=201)
async def register(body: schemas.RegisterBody, runtime: Here) -> schemas.Registered:
    """Create a user, a tenant and the owner's membership."""
    made = await sessions.register(runtime, email=body.email, password=body.password)
    return schemas.Registered.model_validate(made)


@rest.post("/auth/login")
async def log_in(body: schemas.LoginBody, runtime: Here) -> schemas.Session:
    """Trade e-mail and password for a token."""
    session = await sessions.log_in(
        runtime, email=body.email, password=body.password, tenant_id=body.tenant_id
    )
    return schemas.Session.model_validate(session)


@rest.post("/auth/refresh")
async def refresh(body: schemas.RefreshBody, runtime: Here) -> schemas.Session:
    """Trade a refresh token for a new session."""
    return schemas.Session.model_validate(await sessions.refresh(runtime, body.refresh_token))


@rest.post("/auth/logout", status_code=204)
async def log_out(body: schemas.RefreshBody, runtime: Here) -> None:
    """End a session."""
    await sessions.log_out(runtime, body.refresh_token)


@rest.get("/auth/me")
async def me(tx: Reader, caller: Caller) -> schemas.Me:
    """Tell who calls."""
    answer = schemas.Me(
        subject=caller.subject,
        tenant_id=caller.tenant_id,
        livemode=caller.livemode,
        scopes=sorted(caller.scopes),
    )
    if caller.subject.startswith("user:"):
        row, role = await sessions.get_user(tx, caller.subject.removeprefix("user:"))
        answer.id, answer.email, answer.role = row.id, row.email, role
    return answer


@rest.post("/auth/api_keys", status_code=201)
async def create_key(body: schemas.KeyBody, tx: Writer) -> schemas.NewKey:
    """Make an API key; the secret is shown here only."""
    key, row = await keys.create_key(
        tx,
        livemode=body.type == "live",
        name=body.name,
        scopes=list(body.scopes),
        unlimited=body.limits == "none",
        expires_at=body.expires_at,
    )
    return _new(key, row)


@rest.get("/auth/api_keys")
async def list_keys(tx: Reader, page: PageQuery) -> schemas.KeyList:
    """List API keys."""
    rows, cursor = await keys.list_keys(tx, page)
    return schemas.KeyList(**listing([_key(row) for row in rows], cursor))


@rest.post("/auth/api_keys/{key_id}/rotate", status_code=201)
async def rotate_key(key_id: str, tx: Writer) -> schemas.NewKey:
    """Make a successor; the old key works for another 24 hours."""
    key, row = await keys.rotate_key(tx, key_id)
    return _new(key, row)


@rest.get("/auth/api_keys/{key_id}")
async def get_key(key_id: str, tx: Reader) -> schemas.Key:
    """Return one API key."""
    return _key(await keys.get_key(tx, key_id))


@rest.delete("/auth/api_keys/{key_id}", status_code=204)
async def revoke_key(key_id: str, tx: Writer) -> None:
    """Revoke an API key."""
    await keys.revoke_key(tx, key_id)


@rest.get("/.well-known/jwks.json")
async def jwks(runtime: Here) -> schemas.JsonWebKeySet:
    """Return the public keys of user and internal tokens."""
    public = [*sessions.public_keys(runtime.settings), runtime.tokens.public]
    return schemas.JsonWebKeySet(keys=[_jwk(key) for key in public])


def _jwk(key: Ed25519PublicKey) -> schemas.JsonWebKey:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return schemas.JsonWebKey(
        kty="OKP", crv="Ed25519", x=x, kid=key_id(key), use="sig", alg="EdDSA"
    )


def _key(row: ApiKeyRow) -> schemas.Key:
    return schemas.Key(
        id=row.id,
        type="live" if row.livemode else "test",
        livemode=row.livemode,
        name=row.name,
        scopes=list(row.scopes),
        limits="none" if row.unlimited else "standard",
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        created_at=row.created_at,
    )


def _new(key: str, row: ApiKeyRow) -> schemas.NewKey:
    return schemas.NewKey(**_key(row).model_dump(), key=key)
