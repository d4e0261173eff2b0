"""Every SQL statement of identity."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text, update

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.chassis.runtime import Runtime
from billplane.identity.models import (
    ApiKeyRow,
    MembershipRow,
    RefreshTokenRow,
    TenantRow,
    UserRow,
)


async def find_user(runtime: Runtime, email_key: str) -> Sequence[Any]:
    """Return the memberships of the user with an e-mail address, the oldest first."""
    async with runtime.database.across_tenants() as session:
        found = await session.execute(
            text("SELECT * FROM identity.find_user(:email_key)"), {"email_key": email_key}
        )
        return found.all()


async def find_key(runtime: Runtime, key_id: str) -> Any:
    """Return the key with an id, whatever its tenant; None when there is none."""
    async with runtime.database.across_tenants() as session:
        found = await session.execute(
            text("SELECT * FROM identity.find_key(:key_id)"), {"key_id": key_id}
        )
        return found.one_or_none()


async def find_refresh_token(runtime: Runtime, token_hash: str) -> Any:
    """Return the refresh token with a hash and its user's role; None when there is none."""
    async with runtime.database.across_tenants() as session:
        found = await session.execute(
            text("SELECT * FROM identity.find_refresh_token(:hash)"), {"hash": token_hash}
        )
        return found.one_or_none()


async def tenant(tx: ReadTransaction) -> TenantRow | None:
    """Return the transaction's tenant."""
    return await tx.session.get(TenantRow, tx.tenant_id)


async def has_live_key(tx: ReadTransaction) -> bool:
    """Tell whether the tenant has a live key in force."""
    found = await tx.session.scalar(
        select(ApiKeyRow.id)
        .where(ApiKeyRow.livemode, ApiKeyRow.revoked_at.is_(None))
        .where((ApiKeyRow.expires_at.is_(None)) | (ApiKeyRow.expires_at > tx.now))
        .limit(1)
    )
    return found is not None


async def user(tx: ReadTransaction, user_id: str) -> UserRow | None:
    """Return a user whose home is the tenant."""
    return await tx.session.get(UserRow, (tx.tenant_id, user_id))


async def membership(tx: ReadTransaction, user_id: str) -> MembershipRow | None:
    """Return what a user may do in the tenant."""
    return await tx.session.get(MembershipRow, (tx.tenant_id, user_id))


async def key(tx: ReadTransaction, key_id: str) -> ApiKeyRow | None:
    """Return one key of the tenant."""
    return await tx.session.get(ApiKeyRow, (tx.tenant_id, key_id))


async def page_of_keys(tx: ReadTransaction, page: Page) -> tuple[Sequence[ApiKeyRow], str | None]:
    """Return a page of the tenant's keys, revoked ones too."""
    return await fetch_page(tx, select(ApiKeyRow), ApiKeyRow.id, page)


async def revoke_refresh_tokens(tx: Transaction, user_id: str, at: datetime) -> None:
    """Revoke every refresh token of a user in the tenant."""
    await tx.session.execute(
        update(RefreshTokenRow)
        .where(RefreshTokenRow.user_id == user_id, RefreshTokenRow.revoked_at.is_(None))
        .values(revoked_at=at)
    )


async def take_refresh_token(tx: Transaction, token_hash: str) -> bool:
    """Revoke one refresh token; False when somebody else was first."""
    taken = await tx.session.execute(
        update(RefreshTokenRow)
        .where(RefreshTokenRow.hash == token_hash, RefreshTokenRow.revoked_at.is_(None))
        .values(revoked_at=tx.now)
        .returning(RefreshTokenRow.hash)
    )
    return taken.one_or_none() is not None


async def note_use(tx: Transaction, key_id: str) -> None:
    """Note that a key was used, at most once a minute."""
    await tx.session.execute(
        text(
            "UPDATE identity.api_keys SET last_used_at = :now WHERE id = :id"
            " AND coalesce(last_used_at, '-infinity') < CAST(:now AS timestamptz)"
            " - interval '1 minute'"
        ),
        {"id": key_id, "now": tx.now},
    )
