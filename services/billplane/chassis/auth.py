"""Credentials: who calls, for which tenant and mode, and what they may do.

Internal tokens are EdDSA JWTs of at most 60 seconds; user tokens are identity's; both are
verified offline. API keys are asked of identity and remembered for 30 seconds.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from billplane.chassis.errors import (
    BillplaneError,
    CredentialInvalid,
    CredentialMissing,
    InternalOnly,
    ScopeMissing,
    StaffOnly,
)
from billplane.chassis.scopes import ROLE_SCOPES, STAFF_SCOPES, covers
from billplane.chassis.settings import Settings, SettingsError

ISSUER = "billplane"
INTERNAL_AUDIENCE = "billplane.internal"
USER_AUDIENCE = "billplane.user"
INTERNAL_INFO = b"billplane/internal/1"
USER_INFO = b"billplane/user/1"
TOKEN_SECONDS = 60
KEY_CACHE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: tenant, mode and scopes come only from the credential."""

    subject: str
    tenant_id: str
    livemode: bool
    scopes: frozenset[str]
    unlimited: bool = False
    staff: str = ""
    """The role at the operating company: support, finance or platform; empty for all others."""

    @property
    def internal(self) -> bool:
        """True for services and the operator."""
        return self.subject.startswith(("service:", "operator"))

    def allows(self, scope: str) -> bool:
        """True when the scope is granted; write includes read."""
        return covers(self.scopes, scope)

    def require(self, scope: str) -> None:
        """Raise ScopeMissing unless the scope is granted."""
        if not self.allows(scope):
            raise ScopeMissing(
                f"this credential lacks the scope {scope}", metadata={"scope": scope}
            )

    def require_internal(self) -> None:
        """Raise InternalOnly for user and key credentials."""
        if not self.internal:
            raise InternalOnly("only services and the operator may call this")

    def require_staff(self, scope: str = "") -> None:
        """Raise StaffOnly for everybody who is not of the operating company.

        A scope must be among those of the staff role; what the person may do in a tenant of its
        own is not asked. The service `admin` has asked this of whom it acts for.

        Raises: StaffOnly, ScopeMissing.
        """
        if self.subject == "service:admin":
            return
        if not self.staff:
            raise StaffOnly(
                "only staff may call this: log in as a member of the staff, or send the staff key"
                " as `X-Admin-Key`"
            )
        if scope and not covers(STAFF_SCOPES.get(self.staff, frozenset()), scope):
            raise ScopeMissing(
                f"staff of the role {self.staff} lacks the scope {scope}", metadata={"scope": scope}
            )


def service_principal(service: str, tenant_id: str, livemode: bool) -> Principal:
    """Make the principal that a job or consumer acts as."""
    return Principal(f"service:{service}", tenant_id, livemode, frozenset({"*"}))


def derive_seed(secret: str, info: bytes) -> bytes:
    """Derive a 32-byte Ed25519 seed from the one secret.

    Source: RFC 5869.
    """
    return HKDF(hashes.SHA256(), 32, None, info).derive(secret.encode())


def key_id(public: Ed25519PublicKey) -> str:
    """Name a public key by its hash."""
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def internal_seed(settings: Settings) -> bytes:
    """Return the seed of the internal key.

    Raises: SettingsError when neither it nor the secret is given.
    """
    if settings.internal_seed:
        return bytes.fromhex(settings.internal_seed)
    if len(settings.jwt_secret.encode()) < 32:
        raise SettingsError("BILLPLANE_JWT_SECRET must be set to at least 32 bytes")
    return derive_seed(settings.jwt_secret, INTERNAL_INFO)


class InternalTokens:
    """Mints and verifies the tokens that services show each other."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key()
        self.kid = key_id(self.public)
        self._minted: dict[tuple[Any, ...], tuple[str, float]] = {}
        self._verified: dict[bytes, tuple[Principal, float]] = {}

    def mint(self, principal: Principal) -> str:
        """Return a token for a principal; one every 30 seconds is enough."""
        now = time.time()
        key = (
            principal.subject,
            principal.tenant_id,
            principal.livemode,
            principal.scopes,
            principal.unlimited,
            principal.staff,
        )
        held = self._minted.get(key)
        if held is not None and held[1] > now:
            return held[0]
        claims = {
            "iss": ISSUER,
            "aud": INTERNAL_AUDIENCE,
            "sub": principal.subject,
            "tenant_id": principal.tenant_id,
            "livemode": principal.livemode,
            "scopes": sorted(principal.scopes),
            "unlimited": principal.unlimited,
            "staff": principal.staff,
            "exp": int(now) + TOKEN_SECONDS,
        }
        token = jwt.encode(claims, self._private, algorithm="EdDSA", headers={"kid": self.kid})
        _trim(self._minted)
        self._minted[key] = (token, now + TOKEN_SECONDS / 2)
        return token

    def verify(self, token: str) -> Principal:
        """Return whom a token stands for.

        Raises: CredentialInvalid.
        """
        held = self.verified(token)
        if held is not None:
            return held
        claims = _decode(token, self.public, INTERNAL_AUDIENCE, ["tenant_id", "livemode"])
        principal = Principal(
            str(claims["sub"]),
            str(claims["tenant_id"]),
            bool(claims["livemode"]),
            frozenset(claims.get("scopes", ())),
            bool(claims.get("unlimited", False)),
            str(claims.get("staff", "")),
        )
        _trim(self._verified)
        self._verified[_digest(token)] = (principal, float(claims["exp"]))
        return principal

    def verified(self, token: str) -> Principal | None:
        """Return whom a token stands for that was verified before and has not run out."""
        held = self._verified.get(_digest(token))
        return held[0] if held is not None and held[1] > time.time() else None


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """What identity says of an API key."""

    principal: Principal
    expires_at: float | None


KeyLookup = Callable[[str], Awaitable[KeyHolder]]
PublicKeys = Callable[[], Awaitable[dict[str, Ed25519PublicKey]]]
StaffRole = Callable[[str], Awaitable[str]]


class Authenticator:
    """Turns the headers of a call into a principal."""

    def __init__(
        self,
        tokens: InternalTokens,
        lookup: KeyLookup,
        user_keys: PublicKeys,
        staff_role: StaffRole,
        admin_key: str,
    ) -> None:
        self.tokens = tokens
        self._lookup = lookup
        self._user_keys = user_keys
        self._staff_role = staff_role
        # During rotation there are two; what is too short to be one is none.
        keys = [key.strip().encode() for key in admin_key.split(",")]
        self._admin_keys = [key for key in keys if len(key) >= 32]
        self._keys: dict[bytes, tuple[Principal | BillplaneError, float]] = {}
        self._known: dict[str, Ed25519PublicKey] = {}
        self._asked_at = 0.0

    async def authenticate(
        self, authorization: str, livemode: bool = False, admin_key: str = "", tenant_id: str = ""
    ) -> Principal:
        """Return the caller.

        `livemode` is what a user or staff asks for; keys and internal tokens carry their own mode.
        `tenant_id` is whom staff acts for.

        Raises: CredentialMissing, CredentialInvalid.
        """
        if admin_key:
            return self._staff(admin_key, tenant_id, livemode)
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() == "basic":
            scheme, credential = "bearer", _user_of(credential)
        if not credential or scheme.lower() != "bearer":
            raise CredentialMissing("send `Authorization: Bearer <key or token>`")
        if credential.startswith("sk_"):
            return await self._key(credential)
        held = self.tokens.verified(credential)
        if held is not None:
            return held
        try:
            kid = jwt.get_unverified_header(credential).get("kid", "")
        except jwt.InvalidTokenError:
            raise CredentialInvalid("the credential is neither a key nor a token") from None
        if kid == self.tokens.kid:
            return self.tokens.verify(credential)
        claims = await self._user(credential, str(kid))
        if claims.get("staff"):
            return await self._member(claims, livemode, tenant_id)
        return user_principal(claims, livemode)

    def _staff(self, admin_key: str, tenant_id: str, livemode: bool) -> Principal:
        """Return staff by its key; every key is compared, each in constant time."""
        given = admin_key.encode()
        matches = [hmac.compare_digest(key, given) for key in self._admin_keys]
        if not any(matches):
            raise CredentialInvalid("the staff key is not valid")
        subject = f"staff:key:{hashlib.sha256(given).hexdigest()[:12]}"
        return Principal(
            subject, tenant_id, livemode, frozenset({"*"}), unlimited=True, staff="platform"
        )

    def forget(self, key: str | None = None) -> None:
        """Drop one remembered key, or all."""
        if key is None:
            self._keys.clear()
        else:
            self._keys.pop(_digest(key), None)

    async def _key(self, key: str) -> Principal:
        digest = _digest(key)
        now = time.time()
        held = self._keys.get(digest)
        if held is not None and held[1] > now:
            if isinstance(held[0], BillplaneError):
                raise CredentialInvalid(held[0].detail)
            return held[0]
        until = now + KEY_CACHE_SECONDS
        _trim(self._keys)
        try:
            holder = await self._lookup(key)
        except BillplaneError as error:
            if error.kind is CredentialInvalid.kind:
                self._keys[digest] = (error, now + 1)
                raise CredentialInvalid(error.detail) from None
            raise
        if holder.expires_at is not None:
            until = min(until, holder.expires_at)
        self._keys[digest] = (holder.principal, until)
        return holder.principal

    async def _member(self, claims: dict[str, Any], livemode: bool, tenant_id: str) -> Principal:
        """Return a member of the staff, for the tenant that it names or in its own.

        The token tells whom to ask about; identity tells, each time, whether it still holds.

        Raises: StaffOnly when it does not and a tenant is named.
        """
        user_id = str(claims["sub"])
        try:
            role = await self._staff_role(user_id)
        except BillplaneError:
            if tenant_id:
                raise
            role = ""  # its own tenant is open to it like to anybody else
        if not tenant_id:
            return replace(user_principal(claims, livemode), staff=role)
        scopes = STAFF_SCOPES.get(role)
        if scopes is None:
            raise StaffOnly("only staff may name a tenant, and you are no longer one of it")
        subject = f"staff:user:{user_id}"
        return Principal(subject, tenant_id, livemode, scopes, unlimited=True, staff=role)

    async def _user(self, token: str, kid: str) -> dict[str, Any]:
        if kid not in self._known and time.monotonic() - self._asked_at > 5:
            self._asked_at = time.monotonic()
            # While identity is away the keys it named before stand.
            self._known = await self._user_keys() or self._known
        if kid not in self._known:
            raise CredentialInvalid("the token was signed by an unknown key")
        return _decode(token, self._known[kid], USER_AUDIENCE, ["tenant_id", "role"])


def user_principal(claims: dict[str, Any], livemode: bool) -> Principal:
    """Return the principal of a user token's claims.

    Raises: ScopeMissing when a viewer asks for live mode.
    """
    role = str(claims["role"])
    scopes = ROLE_SCOPES.get(role, frozenset())
    if livemode and role == "viewer":
        raise ScopeMissing("live mode needs the role developer or higher")
    return Principal(f"user:{claims['sub']}", str(claims["tenant_id"]), livemode, scopes)


def decode_user_token(token: str, keys: Iterable[Ed25519PublicKey]) -> dict[str, Any]:
    """Return the claims of a user token.

    Raises: CredentialInvalid.
    """
    error = CredentialInvalid("the token was signed by an unknown key")
    for key in keys:
        try:
            return _decode(token, key, USER_AUDIENCE, ["tenant_id", "role"])
        except CredentialInvalid as bad:
            error = bad
    raise error


def _decode(
    token: str, key: Ed25519PublicKey, audience: str, required: list[str]
) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            key,
            algorithms=["EdDSA"],
            audience=audience,
            issuer=ISSUER,
            options={"require": ["exp", "sub", "aud", "iss", *required]},
        )
    except jwt.ExpiredSignatureError:
        raise CredentialInvalid("the token has expired; log in again") from None
    except jwt.InvalidTokenError as error:
        raise CredentialInvalid(f"the token is not valid: {error}") from None


def _user_of(credential: str) -> str:
    """Return the user of Basic authentication: `curl -u sk_…:` sends a key so.

    Source: RFC 7617.
    """
    try:
        return base64.b64decode(credential, validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


def _digest(credential: str) -> bytes:
    """Name a credential in memory without keeping it."""
    return hashlib.sha256(credential.encode()).digest()


def _trim(cache: dict[Any, Any]) -> None:
    if len(cache) > 10_000:
        cache.clear()
