"""Use cases of admin: asked by staff for one tenant and mode, each told to the audit log."""

from billplane.admin import peers
from billplane.admin.errors import ServiceNotFound
from billplane.chassis import acting
from billplane.chassis.call import Call
from billplane.protos.admin.v1 import admin_pb2
from billplane.protos.identity.v1 import identity_pb2
from billplane.protos.listener.v1 import listener_pb2


async def list_dead_letters(
    call: Call, service: str, page_size: int = 50, page_token: str = ""
) -> admin_pb2.ListServiceDeadLettersResponse:
    """Return a page of messages that a service failed on for good, newest first.

    Raises: StaffOnly, TenantRequired, ServiceNotFound, CursorInvalid.
    """
    call.principal.require_staff()
    _check_name(call, service)
    await call.begin()
    return await peers.list_dead_letters(call, service, page_size, page_token)


async def replay_dead_letter(call: Call, service: str, letter_id: str) -> admin_pb2.DeadLetter:
    """Have a service handle a dead letter again; it is gone when that succeeds.

    Raises: StaffOnly, TenantRequired, ServiceNotFound; DEAD_LETTER_NOT_FOUND, REPLAY_FAILED.
    Idempotent by: the letter, whose handler is idempotent by its event.
    """
    call.principal.require_staff("dead_letters:write")
    _check_name(call, service)
    await call.begin()
    letter = await peers.replay_dead_letter(call, service, letter_id)
    await _tell(call, "dead_letters.replay", letter)
    return letter


async def discard_dead_letter(call: Call, service: str, letter_id: str) -> admin_pb2.DeadLetter:
    """Have a service give a dead letter up.

    Raises: StaffOnly, TenantRequired, ServiceNotFound; DEAD_LETTER_NOT_FOUND.
    """
    call.principal.require_staff("dead_letters:write")
    _check_name(call, service)
    await call.begin()
    letter = await peers.discard_dead_letter(call, service, letter_id)
    await _tell(call, "dead_letters.discard", letter)
    return letter


async def list_audit_entries(
    call: Call,
    page_size: int = 50,
    page_token: str = "",
    message: str = "",
    aggregate_id: str = "",
) -> listener_pb2.ListAuditEntriesResponse:
    """Return a page of the tenant's audit log, newest first.

    Raises: StaffOnly, TenantRequired, CursorInvalid.
    """
    call.principal.require_staff()
    await call.begin()
    return await peers.list_audit_entries(call, page_size, page_token, message, aggregate_id)


async def list_staff(
    call: Call, page_size: int = 50, page_token: str = ""
) -> identity_pb2.ListStaffResponse:
    """Return a page of the people of the operating company.

    Raises: StaffOnly, TenantRequired, CursorInvalid.
    """
    call.principal.require_staff("staff:read")
    await call.begin()
    return await peers.list_staff(call, page_size, page_token)


async def grant_staff(call: Call, user_id: str, role: str) -> identity_pb2.StaffMember:
    """Make a user a member of the staff, or change its role; for the role platform.

    Raises: StaffOnly, ScopeMissing, TenantRequired; USER_NOT_FOUND, Invalid.
    Idempotent by: the user and the role.
    """
    call.principal.require_staff("staff:write")
    await call.begin()
    actor = call.principal.subject.removeprefix("staff:")
    member = await peers.grant_staff(call, user_id, role, actor)
    await _tell_of_member(call, "staff.grant", member)
    return member


async def revoke_staff(call: Call, user_id: str) -> identity_pb2.StaffMember:
    """End a user's membership of the staff, at once; for the role platform.

    Raises: StaffOnly, ScopeMissing, TenantRequired; STAFF_MEMBER_NOT_FOUND.
    """
    call.principal.require_staff("staff:write")
    await call.begin()
    member = await peers.revoke_staff(call, user_id)
    await _tell_of_member(call, "staff.revoke", member)
    return member


async def _tell_of_member(call: Call, action: str, member: identity_pb2.StaffMember) -> None:
    detail = f"the role {member.role}"
    await acting.tell_of(await call.last(), action, f"user:{member.user_id}", detail, "")


def _check_name(call: Call, service: str) -> None:
    # It becomes a host name, and is one of those that admin may reach.
    own = call.runtime.app
    if service not in (own.name, *own.depends_on):
        raise ServiceNotFound(f"there is no service {service!r}", field="service")


async def _tell(call: Call, action: str, letter: admin_pb2.DeadLetter) -> None:
    await acting.tell_of(
        await call.last(),
        action,
        f"{letter.service}/{letter.id}",
        f"{letter.message} for {letter.consumer}, event {letter.event_id}",
        letter.id,
    )
