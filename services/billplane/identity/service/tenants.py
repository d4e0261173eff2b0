"""Tenants."""

import re

from sqlalchemy.dialects.postgresql import insert

from billplane.chassis import ids
from billplane.chassis.auth import Principal, service_principal
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.runtime import Runtime
from billplane.identity import repository
from billplane.identity.errors import TenantNotFound
from billplane.identity.models import TenantRow
from billplane.identity.settings import IdentitySettings

_ID = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\Z")


async def create_tenant(
    runtime: Runtime, principal: Principal, *, tenant_id: str, name: str
) -> tuple[TenantRow, bool]:
    """Create a tenant without members, or return the one that has the id; and its live key.

    Raises: InternalOnly, Invalid.
    """
    principal.require_internal()
    tenant_id = tenant_id or ids.new("ten")
    if not _ID.match(tenant_id):
        detail = "a tenant id is lower-case letters, digits, - and _"
        raise Invalid([FieldError("id", "FIELD_INVALID", detail)])
    settings: IdentitySettings = runtime.settings  # type: ignore[assignment]
    own = service_principal("identity", tenant_id, livemode=False)
    async with runtime.database.write(runtime, own) as tx:
        await tx.session.execute(
            insert(TenantRow)
            .values(
                tenant_id=tenant_id,
                name=name or tenant_id,
                live=settings.activate_tenants,
                created_at=tx.now,
            )
            .on_conflict_do_nothing()
        )
        row = await repository.tenant(tx)
        if row is None:
            raise TenantNotFound(f"there is no tenant {tenant_id}")
        return row, await repository.has_live_key(tx)


async def get_tenant(
    runtime: Runtime, principal: Principal, tenant_id: str
) -> tuple[TenantRow, bool]:
    """Return a tenant and whether it has a live key.

    Raises: InternalOnly, TenantNotFound.
    """
    principal.require_internal()
    own = service_principal("identity", tenant_id, livemode=False)
    async with runtime.database.read(runtime, own) as tx:
        row = await repository.tenant(tx)
        if row is None:
            raise TenantNotFound(f"there is no tenant {tenant_id}")
        return row, await repository.has_live_key(tx)
