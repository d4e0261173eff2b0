"""People of the operating company: users whom staff made its own.

No public route leads here: admin alone asks, for staff of the role platform.
"""

from dataclasses import dataclass
from datetime import datetime

from billplane.chassis.auth import Principal, service_principal
from billplane.chassis.errors import FieldError, InternalOnly, Invalid
from billplane.chassis.rest import Page, encode_cursor
from billplane.chassis.runtime import Runtime
from billplane.chassis.scopes import STAFF_SCOPES
from billplane.identity import repository
from billplane.identity.errors import StaffMemberNotFound, UserNotFound


@dataclass(frozen=True, slots=True)
class Member:
    """A person of the operating company."""

    user_id: str
    email: str
    role: str
    granted_by: str
    granted_at: datetime


async def get_role(runtime: Runtime, principal: Principal, user_id: str) -> str:
    """Return a user's role at the operating company now, empty for none.

    Raises: InternalOnly.
    """
    principal.require_internal()
    found = await repository.find_staff(runtime, user_id)
    return "" if found is None else str(found.role)


async def grant_staff(
    runtime: Runtime, principal: Principal, *, user_id: str, role: str, granted_by: str
) -> Member:
    """Make a user a member of the staff, or change its role.

    Raises: InternalOnly, UserNotFound, Invalid.
    Idempotent by: the user and the role.
    """
    _require_admin(principal)
    if role not in STAFF_SCOPES:
        detail = f"the role is one of {', '.join(sorted(STAFF_SCOPES))}"
        raise Invalid([FieldError("/role", "FIELD_INVALID", detail)])
    home = await repository.find_home(runtime, user_id)
    if home is None:
        raise UserNotFound(f"there is no user {user_id}")
    own = service_principal("identity", home, livemode=False)
    async with runtime.database.write(runtime, own) as tx:
        await repository.put_staff(tx, user_id, role, granted_by)
    return await _member(runtime, user_id)


async def revoke_staff(runtime: Runtime, principal: Principal, *, user_id: str) -> Member:
    """End a user's membership of the staff; the next call by its token is refused.

    Raises: InternalOnly, StaffMemberNotFound.
    """
    _require_admin(principal)
    member = await _member(runtime, user_id)
    home = await repository.find_home(runtime, user_id)
    own = service_principal("identity", str(home), livemode=False)
    async with runtime.database.write(runtime, own) as tx:
        await repository.delete_staff(tx, user_id)
    return member


async def list_staff(
    runtime: Runtime, principal: Principal, page: Page
) -> tuple[list[Member], str | None]:
    """Return a page of the staff, the newest users first.

    Raises: InternalOnly, CursorInvalid.
    """
    _require_admin(principal)
    rows = await repository.page_of_staff(runtime, page.after() or "", page.limit + 1)
    more, rows = len(rows) > page.limit, rows[: page.limit]
    members = [Member(*row) for row in rows]
    return members, encode_cursor(members[-1].user_id) if more else None


async def _member(runtime: Runtime, user_id: str) -> Member:
    found = await repository.find_staff(runtime, user_id)
    if found is None:
        raise StaffMemberNotFound(f"{user_id} is not of the staff")
    return Member(*found)


def _require_admin(principal: Principal) -> None:
    if principal.subject != "service:admin":
        raise InternalOnly("only admin may call this")
