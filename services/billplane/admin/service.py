"""Use cases of admin: asked by staff for one tenant and mode, each told to the audit log."""

from billplane.admin import peers
from billplane.admin.errors import ServiceNotFound
from billplane.chassis.call import Call
from billplane.protos.admin.v1 import admin_pb2
from billplane.protos.admin.v1.events_pb2 import StaffActed
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
    call.principal.require_staff()
    _check_name(call, service)
    await call.begin()
    letter = await peers.replay_dead_letter(call, service, letter_id)
    await _tell(call, "dead_letters.replay", letter)
    return letter


async def discard_dead_letter(call: Call, service: str, letter_id: str) -> admin_pb2.DeadLetter:
    """Have a service give a dead letter up.

    Raises: StaffOnly, TenantRequired, ServiceNotFound; DEAD_LETTER_NOT_FOUND.
    """
    call.principal.require_staff()
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


def _check_name(call: Call, service: str) -> None:
    # It becomes a host name, and is one of those that admin may reach.
    own = call.runtime.app
    if service not in (own.name, *own.depends_on):
        raise ServiceNotFound(f"there is no service {service!r}", field="service")


async def _tell(call: Call, action: str, letter: admin_pb2.DeadLetter) -> None:
    tx = await call.last()
    who = call.principal
    await tx.publish(
        StaffActed(
            action=action,
            actor=who.subject.removeprefix("staff:"),
            role=who.staff,
            target=f"{letter.service}/{letter.id}",
            detail=f"{letter.message} for {letter.consumer}, event {letter.event_id}",
        ),
        aggregate_id=letter.id,
    )
