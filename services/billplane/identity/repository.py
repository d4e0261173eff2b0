"""Every SQL statement of identity."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.chassis.runtime import Runtime
from billplane.identity.models import (
    ApiKeyRow,
    MembershipRow,
    RefreshTokenRow,
    StaffRow,
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


async def find_staff(runtime: Runtime, user_id: str) -> Any:
    """Return a member of the staff, whatever its home; None for who is none."""
    async with runtime.database.across_tenants() as session:
        found = await session.execute(
            text("SELECT * FROM identity.find_staff(:user_id)"), {"user_id": user_id}
        )
        return found.one_or_none()


async def page_of_staff(runtime: Runtime, before: str, row_limit: int) -> Sequence[Any]:
    """Return members of the staff whose user ids are below one, or the first."""
    async with runtime.database.across_tenants() as session:
        found = await session.execute(
            text("SELECT * FROM identity.list_staff(:before, :row_limit)"),
            {"before": before, "row_limit": row_limit},
        )
        return found.all()


async def find_home(runtime: Runtime, user_id: str) -> str | None:
    """Return the tenant that a user's registration made; None for an unknown one."""
    async with runtime.database.across_tenants() as session:
        found: str | None = await session.scalar(
            text("SELECT identity.find_home(:user_id)"), {"user_id": user_id}
        )
        return found


async def put_staff(tx: Transaction, user_id: str, role: str, granted_by: str) -> None:
    """Make a user of the tenant a member of the staff, or change its role."""
    new = insert(StaffRow).values(
        tenant_id=tx.tenant_id,
        user_id=user_id,
        role=role,
        granted_by=granted_by,
        granted_at=tx.now,
    )
    await tx.session.execute(
        new.on_conflict_do_update(
            index_elements=["tenant_id", "user_id"],
            set_={name: new.excluded[name] for name in ("role", "granted_by", "granted_at")},
            where=StaffRow.role != new.excluded.role,
        )
    )


async def delete_staff(tx: Transaction, user_id: str) -> None:
    """End a user's membership of the staff."""
    await tx.session.execute(delete(StaffRow).where(StaffRow.user_id == user_id))


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
