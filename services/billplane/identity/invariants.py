"""What must always be true of identity."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation


async def users_belong_to_a_tenant(session: AsyncSession) -> list[Violation]:
    """Check that every user has a membership in the tenant that registration made."""
    rows = await session.execute(
        text(
            "SELECT u.tenant_id, u.id FROM identity.users u LEFT JOIN identity.memberships m"
            " ON m.tenant_id = u.tenant_id AND m.user_id = u.id WHERE m.user_id IS NULL"
        )
    )
    return [
        Violation("users_belong_to_a_tenant", row.tenant_id, row.id, "the user has no membership")
        for row in rows
    ]
