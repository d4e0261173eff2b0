"""What admin asks of the services that own what staff wants."""

from billplane.chassis.auth import service_principal
from billplane.chassis.call import Call
from billplane.chassis.runtime import Runtime
from billplane.protos.admin.v1 import admin_pb2, admin_pb2_grpc
from billplane.protos.identity.v1 import identity_pb2, identity_pb2_grpc
from billplane.protos.listener.v1 import listener_pb2, listener_pb2_grpc
from billplane.protos.payment.v1 import payment_pb2, payment_pb2_grpc


def _operations(call: Call, service: str) -> "admin_pb2_grpc.OperationsServiceAsyncStub":
    return admin_pb2_grpc.OperationsServiceStub(call.runtime.channels.get(service))


async def list_dead_letters(
    call: Call, service: str, page_size: int, page_token: str
) -> admin_pb2.ListServiceDeadLettersResponse:
    """Return a page of a service's dead letters."""
    request = admin_pb2.ListServiceDeadLettersRequest(
        service=service, page_size=page_size, page_token=page_token
    )
    return await call.ask(_operations(call, service).ListServiceDeadLetters, request)


async def replay_dead_letter(call: Call, service: str, letter_id: str) -> admin_pb2.DeadLetter:
    """Have a service handle a dead letter again."""
    request = admin_pb2.ReplayServiceDeadLetterRequest(service=service, id=letter_id)
    answer = await call.ask(_operations(call, service).ReplayServiceDeadLetter, request)
    return answer.dead_letter


async def discard_dead_letter(call: Call, service: str, letter_id: str) -> admin_pb2.DeadLetter:
    """Have a service give a dead letter up."""
    request = admin_pb2.DiscardServiceDeadLetterRequest(service=service, id=letter_id)
    answer = await call.ask(_operations(call, service).DiscardServiceDeadLetter, request)
    return answer.dead_letter


async def list_audit_entries(
    call: Call, page_size: int, page_token: str, message: str, aggregate_id: str
) -> listener_pb2.ListAuditEntriesResponse:
    """Return a page of the audit log."""
    stub = listener_pb2_grpc.ListenerServiceStub(call.runtime.channels.get("listener"))
    request = listener_pb2.ListAuditEntriesRequest(
        page_size=page_size, page_token=page_token, message=message, aggregate_id=aggregate_id
    )
    return await call.ask(stub.ListAuditEntries, request)


def _identity(call: Call) -> "identity_pb2_grpc.IdentityServiceAsyncStub":
    return identity_pb2_grpc.IdentityServiceStub(call.runtime.channels.get("identity"))


async def list_staff(call: Call, page_size: int, page_token: str) -> identity_pb2.ListStaffResponse:
    """Return a page of the staff."""
    request = identity_pb2.ListStaffRequest(page_size=page_size, page_token=page_token)
    return await call.ask(_identity(call).ListStaff, request)


async def grant_staff(
    call: Call, user_id: str, role: str, granted_by: str
) -> identity_pb2.StaffMember:
    """Make a user a member of the staff."""
    request = identity_pb2.GrantStaffRequest(user_id=user_id, role=role, granted_by=granted_by)
    return (await call.ask(_identity(call).GrantStaff, request)).member


async def revoke_staff(call: Call, user_id: str) -> identity_pb2.StaffMember:
    """End a user's membership of the staff."""
    request = identity_pb2.RevokeStaffRequest(user_id=user_id)
    return (await call.ask(_identity(call).RevokeStaff, request)).member


async def receive_processor_event(
    runtime: Runtime, processor: str, body: bytes, signature: str, request_id: str
) -> payment_pb2.ReceiveProcessorEventResponse:
    """Hand on what a processor's webhook sent; whose it is payment finds out."""
    stub = payment_pb2_grpc.PaymentServiceStub(runtime.channels.get("payment"))
    request = payment_pb2.ReceiveProcessorEventRequest(
        processor=processor, body=body, signature=signature
    )
    principal = service_principal("admin", "", livemode=False)
    return await runtime.channels.ask(stub.ReceiveProcessorEvent, request, principal, request_id)
