"""Register, log in, refresh, log out."""

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy.exc import IntegrityError

from billplane.chassis import ids
from billplane.chassis.auth import (
    ISSUER,
    USER_AUDIENCE,
    USER_INFO,
    derive_seed,
    key_id,
    service_principal,
)
from billplane.chassis.database import ReadTransaction
from billplane.chassis.runtime import Runtime
from billplane.identity import cache as throttle
from billplane.identity import domain, repository
from billplane.identity.errors import (
    CredentialsInvalid,
    EmailTaken,
    RefreshTokenInvalid,
    TooManyLogins,
    UserNotFound,
)
from billplane.identity.models import MembershipRow, RefreshTokenRow, TenantRow, UserRow
from billplane.identity.settings import IdentitySettings
from billplane.protos.identity.v1.events_pb2 import UserRegistered

# A hash takes 64 MiB and a core for a moment: two at a time, never in the event loop.
_HASHES = asyncio.Semaphore(2)
_hasher = PasswordHasher()


@dataclass(frozen=True, slots=True)
class Registered:
    """A new user in a new tenant."""

    id: str
    email: str
    tenant_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """What a log-in gives."""

    access_token: str
    expires_in: int
    refresh_token: str


async def register(runtime: Runtime, *, email: str, password: str) -> Registered:
    """Create a user, a tenant and the owner's membership.

    Raises: EmailTaken, Invalid.
    """
    address, email_key = domain.normalise_email(email)
    domain.check_password(password)
    password_hash = await _hash(password)
    tenant_id, user_id = ids.new("ten"), ids.new("usr")
    settings: IdentitySettings = runtime.settings  # type: ignore[assignment]
    principal = service_principal("identity", tenant_id, livemode=False)
    try:
        async with runtime.database.write(runtime, principal) as tx:
            tx.session.add(
                TenantRow(
                    tenant_id=tenant_id,
                    name=address,
                    live=settings.activate_tenants,
                    created_at=tx.now,
                )
            )
            tx.session.add(
                UserRow(
                    tenant_id=tenant_id,
                    id=user_id,
                    email=address,
                    email_key=email_key,
                    password_hash=password_hash,
                    created_at=tx.now,
                )
            )
            tx.session.add(
                MembershipRow(tenant_id=tenant_id, user_id=user_id, role="owner", created_at=tx.now)
            )
            await tx.publish(UserRegistered(user_id=user_id, email=address), aggregate_id=user_id)
            registered = Registered(user_id, address, tenant_id, tx.now)
    except IntegrityError:
        raise EmailTaken("this e-mail address has an account; log in", field="/email") from None
    return registered


async def log_in(runtime: Runtime, *, email: str, password: str, tenant_id: str | None) -> Session:
    """Check e-mail and password and open a session in the oldest or the named tenant.

    Raises: CredentialsInvalid, TooManyLogins.
    """
    settings: IdentitySettings = runtime.settings  # type: ignore[assignment]
    email_key = domain.email_key(email)
    account = domain.hash_secret(email_key)
    memberships = await repository.find_user(runtime, email_key)
    chosen = [row for row in memberships if tenant_id in (None, row.tenant_id)]
    # An unknown address costs as much as a wrong password, so that the time tells nothing.
    known = memberships[0].password_hash if memberships else _decoy()
    async with _HASHES:  # so that attempts at once are counted one after another
        if await throttle.failed_logins(runtime, account) >= settings.logins_per_minute:
            raise TooManyLogins("too many failed log-ins; wait a minute", retry_after_seconds=60)
        if not await _verify(known, password) or not chosen:
            await throttle.note_failed_login(runtime, account)
            raise CredentialsInvalid("the e-mail address or the password is wrong")
    found = chosen[0]
    return await _open(runtime, found.user_id, found.tenant_id, found.role)


async def refresh(runtime: Runtime, refresh_token: str) -> Session:
    """Trade a refresh token for a new session; a token that was used before ends them all.

    Raises: RefreshTokenInvalid.
    """
    token_hash = domain.hash_secret(refresh_token)
    found = await repository.find_refresh_token(runtime, token_hash)
    refused = RefreshTokenInvalid("the refresh token is not valid; log in again")
    if found is None or found.expires_at <= runtime.clock.now():
        raise refused
    principal = service_principal("identity", found.tenant_id, livemode=False)
    async with runtime.database.write(runtime, principal) as tx:
        taken = await repository.take_refresh_token(tx, token_hash)
        if not taken:
            await repository.revoke_refresh_tokens(tx, found.user_id, tx.now)
    if not taken:
        raise refused
    return await _open(runtime, found.user_id, found.tenant_id, found.role)


async def log_out(runtime: Runtime, refresh_token: str) -> None:
    """Revoke a refresh token; an unknown one is no error."""
    token_hash = domain.hash_secret(refresh_token)
    found = await repository.find_refresh_token(runtime, token_hash)
    if found is not None:
        principal = service_principal("identity", found.tenant_id, livemode=False)
        async with runtime.database.write(runtime, principal) as tx:
            await repository.take_refresh_token(tx, token_hash)


async def get_user(tx: ReadTransaction, user_id: str) -> tuple[UserRow, str]:
    """Return a user of the tenant and its role.

    Raises: UserNotFound.
    """
    row = await repository.user(tx, user_id)
    member = await repository.membership(tx, user_id)
    if row is None or member is None:
        raise UserNotFound(f"there is no user {user_id}")
    return row, member.role


def signing_keys(settings: IdentitySettings) -> list[Ed25519PrivateKey]:
    """Return the keys of user tokens: the current one first, then the one before."""
    return _signing_keys(settings.jwt_secret, settings.previous_jwt_secret)


@cache
def _signing_keys(*given: str) -> list[Ed25519PrivateKey]:
    return [
        Ed25519PrivateKey.from_private_bytes(derive_seed(secret, USER_INFO))
        for secret in given
        if secret
    ]


def public_keys(settings: IdentitySettings) -> list[Ed25519PublicKey]:
    """Return the public halves."""
    return [key.public_key() for key in signing_keys(settings)]


async def _open(runtime: Runtime, user_id: str, tenant_id: str, role: str) -> Session:
    settings: IdentitySettings = runtime.settings  # type: ignore[assignment]
    refresh_token = domain.make_refresh_token()
    member = await repository.find_staff(runtime, user_id)
    staff = "" if member is None else str(member.role)
    principal = service_principal("identity", tenant_id, livemode=False)
    async with runtime.database.write(runtime, principal) as tx:
        tx.session.add(
            RefreshTokenRow(
                tenant_id=tenant_id,
                hash=domain.hash_secret(refresh_token),
                user_id=user_id,
                expires_at=tx.now + timedelta(seconds=settings.refresh_token_seconds),
                revoked_at=None,
                created_at=tx.now,
            )
        )
    return Session(
        _access_token(settings, user_id, tenant_id, role, staff),
        settings.access_token_seconds,
        refresh_token,
    )


def _access_token(
    settings: IdentitySettings, user_id: str, tenant_id: str, role: str, staff: str
) -> str:
    key = signing_keys(settings)[0]
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": USER_AUDIENCE,
        "sub": user_id,
        "tenant_id": tenant_id,
        "role": role,
        "exp": int(time.time()) + settings.access_token_seconds,
    }
    if staff:
        # No right by itself: it has whoever verifies the token ask whether it holds.
        claims["staff"] = staff
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": key_id(key.public_key())})


@cache
def _decoy() -> str:
    return _hasher.hash("nobody has this password")


async def _hash(password: str) -> str:
    async with _HASHES:
        return await asyncio.to_thread(_hasher.hash, password)


async def _verify(password_hash: str, password: str) -> bool:
    try:
        return await asyncio.to_thread(_hasher.verify, password_hash, password)
    except VerifyMismatchError:
        return False
