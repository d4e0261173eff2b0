"""API keys: made, shown once, rotated with an overlap, revoked."""

import hmac
from datetime import datetime, timedelta

from billplane.chassis.auth import Principal, service_principal
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import CredentialInvalid, FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.chassis.runtime import Runtime
from billplane.identity import domain, repository
from billplane.identity.errors import KeyNotFound, TenantNotActivated, TenantNotFound, UserOnly
from billplane.identity.models import ApiKeyRow

OVERLAP = timedelta(hours=24)


async def create_key(
    tx: Transaction,
    *,
    livemode: bool,
    name: str,
    scopes: list[str],
    unlimited: bool,
    expires_at: datetime | None,
) -> tuple[str, ApiKeyRow]:
    """Make an API key; the key itself is returned here and never again.

    `unlimited`: the gateway counts none of its requests; for staff to give.

    Raises: UserOnly, StaffOnly, ScopeMissing, TenantNotActivated, Invalid.
    """
    _require_person(tx.principal)
    if unlimited:
        tx.require_staff("keys:write")
    tx.authorize("keys:live" if livemode else "keys:test")
    domain.check_scopes(scopes)
    if expires_at is not None and expires_at <= tx.now:
        detail = "expires_at must be in the future"
        raise Invalid([FieldError("/expires_at", "FIELD_INVALID", detail)])
    tenant = await repository.tenant(tx)
    if livemode and (tenant is None or not tenant.live):
        raise TenantNotActivated("this tenant may make test keys only until it is activated")
    return _store(tx, livemode, name, scopes, unlimited, expires_at)


async def create_test_key(
    tx: Transaction, *, name: str, scopes: list[str]
) -> tuple[str, ApiKeyRow]:
    """Make a test key for a tenant that the operator made and nobody has logged in to yet.

    Raises: InternalOnly, TenantNotFound, Invalid.
    """
    tx.require_internal()
    domain.check_scopes(scopes)
    if await repository.tenant(tx) is None:
        raise TenantNotFound(f"there is no tenant {tx.tenant_id}")
    return _store(tx, False, name, scopes, False, None)


def _store(
    tx: Transaction,
    livemode: bool,
    name: str,
    scopes: list[str],
    unlimited: bool,
    expires_at: datetime | None,
) -> tuple[str, ApiKeyRow]:
    key, parts = domain.make_key(livemode=livemode)
    tx.answer_secret()
    row = ApiKeyRow(
        tenant_id=tx.tenant_id,
        id=parts.id,
        livemode=livemode,
        name=name,
        hash=parts.hash,
        scopes=scopes,
        unlimited=unlimited,
        created_by=tx.principal.subject,
        expires_at=expires_at,
        last_used_at=None,
        revoked_at=None,
        created_at=tx.now,
    )
    tx.session.add(row)
    return key, row


async def list_keys(tx: ReadTransaction, page: Page) -> tuple[list[ApiKeyRow], str | None]:
    """Return a page of the tenant's keys in both modes, without their secrets."""
    tx.authorize("keys:read")
    rows, cursor = await repository.page_of_keys(tx, page)
    return list(rows), cursor


async def get_key(tx: ReadTransaction, key_id: str) -> ApiKeyRow:
    """Return one key without its secret.

    Raises: KeyNotFound.
    """
    tx.authorize("keys:read")
    row = await repository.key(tx, key_id)
    if row is None:
        raise KeyNotFound(f"there is no API key {key_id}")
    return row


async def rotate_key(tx: Transaction, key_id: str) -> tuple[str, ApiKeyRow]:
    """Make a successor with the same rights; the old key works for another 24 hours.

    Raises: KeyNotFound, UserOnly, ScopeMissing.
    """
    _require_person(tx.principal)
    row = await get_key(tx, key_id)
    tx.authorize("keys:live" if row.livemode else "keys:test")
    if row.revoked_at is not None:
        raise KeyNotFound(f"the API key {key_id} is revoked")
    ends_at = tx.now + OVERLAP
    expires_at = row.expires_at
    row.expires_at = min(ends_at, expires_at) if expires_at else ends_at
    return _store(tx, row.livemode, row.name, list(row.scopes), row.unlimited, expires_at)


async def revoke_key(tx: Transaction, key_id: str) -> None:
    """Revoke a key, effective everywhere within 30 seconds. Again is no error.

    Raises: KeyNotFound, UserOnly, ScopeMissing.
    """
    _require_person(tx.principal)
    row = await get_key(tx, key_id)
    tx.authorize("keys:live" if row.livemode else "keys:test")
    if row.revoked_at is None:
        row.revoked_at = tx.now
    tx.runtime.authenticator.forget()


async def validate_key(runtime: Runtime, key: str) -> ApiKeyRow:
    """Tell whose key this is.

    Raises: CredentialInvalid when it is malformed, unknown, expired or revoked.
    """
    refused = CredentialInvalid("the API key is not valid")
    parts = domain.read_key(key)
    if parts is None:
        raise refused
    row = await repository.find_key(runtime, parts.id)
    if row is None or not hmac.compare_digest(row.hash, parts.hash):
        raise refused
    if row.livemode != parts.livemode or row.revoked_at is not None:
        raise refused
    if row.expires_at is not None and row.expires_at <= runtime.clock.now():
        raise CredentialInvalid("the API key has expired")
    principal = service_principal("identity", row.tenant_id, row.livemode)
    async with runtime.database.write(runtime, principal) as tx:
        await repository.note_use(tx, row.id)
    found: ApiKeyRow = row
    return found


def _require_person(principal: Principal) -> None:
    if not principal.subject.startswith("user:") and not principal.staff:
        raise UserOnly("log in as a person to manage API keys")
