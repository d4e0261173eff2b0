"""gRPC of admin."""

from billplane.admin import service
from billplane.chassis.rpc import Call, Rpc
from billplane.protos.admin.v1 import admin_pb2 as pb
from billplane.protos.identity.v1 import identity_pb2

rpc = Rpc(pb.DESCRIPTOR.services_by_name["AdminService"])


@rpc.steps
async def ListDeadLetters(
    call: Call, request: pb.ListDeadLettersRequest
) -> pb.ListDeadLettersResponse:
    """List messages that a service failed on for good."""
    page = await service.list_dead_letters(
        call, request.service, request.page_size, request.page_token
    )
    return pb.ListDeadLettersResponse(
        dead_letters=page.dead_letters, next_page_token=page.next_page_token
    )


@rpc.steps
async def ReplayDeadLetter(
    call: Call, request: pb.ReplayDeadLetterRequest
) -> pb.ReplayDeadLetterResponse:
    """Have a service handle a dead letter again."""
    letter = await service.replay_dead_letter(call, request.service, request.id)
    return pb.ReplayDeadLetterResponse(dead_letter=letter)


@rpc.steps
async def DiscardDeadLetter(
    call: Call, request: pb.DiscardDeadLetterRequest
) -> pb.DiscardDeadLetterResponse:
    """Have a service give a dead letter up."""
    letter = await service.discard_dead_letter(call, request.service, request.id)
    return pb.DiscardDeadLetterResponse(dead_letter=letter)


@rpc.steps
async def ListAuditEntries(
    call: Call, request: pb.ListAuditEntriesRequest
) -> pb.ListAuditEntriesResponse:
    """List the audit log."""
    page = await service.list_audit_entries(
        call, request.page_size, request.page_token, request.message, request.aggregate_id
    )
    return pb.ListAuditEntriesResponse(
        audit_entries=[
            pb.AuditEntry(
                id=entry.id,
                sequence=entry.sequence,
                event_id=entry.event_id,
                message=entry.message,
                source=entry.source,
                aggregate_type=entry.aggregate_type,
                aggregate_id=entry.aggregate_id,
                occurred_at=entry.occurred_at,
                payload_json=entry.payload_json,
                hash=entry.hash,
            )
            for entry in page.audit_entries
        ],
        next_page_token=page.next_page_token,
    )


@rpc.steps
async def ListStaff(call: Call, request: pb.ListStaffRequest) -> pb.ListStaffResponse:
    """List the people of the operating company."""
    page = await service.list_staff(call, request.page_size, request.page_token)
    return pb.ListStaffResponse(
        members=[_member(member) for member in page.members],
        next_page_token=page.next_page_token,
    )


@rpc.steps
async def GrantStaff(call: Call, request: pb.GrantStaffRequest) -> pb.GrantStaffResponse:
    """Make a user a member of the staff."""
    member = await service.grant_staff(call, request.user_id, request.role)
    return pb.GrantStaffResponse(member=_member(member))


@rpc.steps
async def RevokeStaff(call: Call, request: pb.RevokeStaffRequest) -> pb.RevokeStaffResponse:
    """End a user's membership of the staff."""
    return pb.RevokeStaffResponse(member=_member(await service.revoke_staff(call, request.user_id)))


def _member(member: identity_pb2.StaffMember) -> pb.StaffMember:
    return pb.StaffMember(
        user_id=member.user_id,
        email=member.email,
        role=member.role,
        granted_by=member.granted_by,
        granted_at=member.granted_at,
    )
