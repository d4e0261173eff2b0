"""REST of admin."""

import json
from typing import Annotated

from fastapi import Header, Query, Request

from billplane.admin import peers, schemas, service
from billplane.chassis.rest import Here, Steps, request_id, router
from billplane.chassis.rpc import from_timestamp
from billplane.protos.admin.v1 import admin_pb2
from billplane.protos.identity.v1 import identity_pb2
from billplane.protos.listener.v1 import listener_pb2

rest = router(tags=["admin"])

Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str, Query(max_length=500)]


@rest.get("/admin/dead_letters")
async def list_dead_letters(
    call: Steps,
    service_name: Annotated[str, Query(alias="service", max_length=100)] = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> schemas.DeadLetterList:
    """List messages that a service failed on for good."""
    page = await service.list_dead_letters(call, service_name, limit, cursor)
    return schemas.DeadLetterList(
        data=[_letter(item) for item in page.dead_letters],
        next_cursor=page.next_page_token or None,
    )


@rest.post("/admin/dead_letters/{service_name}/{letter_id}:replay")
async def replay_dead_letter(call: Steps, service_name: str, letter_id: str) -> schemas.DeadLetter:
    """Have a service handle a dead letter again."""
    return _letter(await service.replay_dead_letter(call, service_name, letter_id))


@rest.post("/admin/dead_letters/{service_name}/{letter_id}:discard")
async def discard_dead_letter(call: Steps, service_name: str, letter_id: str) -> schemas.DeadLetter:
    """Have a service give a dead letter up."""
    return _letter(await service.discard_dead_letter(call, service_name, letter_id))


@rest.get("/admin/audit_log")
async def list_audit_entries(
    call: Steps,
    limit: Limit = 50,
    cursor: Cursor = "",
    message: Annotated[str, Query(max_length=200)] = "",
    aggregate_id: Annotated[str, Query(max_length=255)] = "",
) -> schemas.AuditEntryList:
    """List the tenant's audit log."""
    page = await service.list_audit_entries(call, limit, cursor, message, aggregate_id)
    return schemas.AuditEntryList(
        data=[_entry(item) for item in page.audit_entries],
        next_cursor=page.next_page_token or None,
    )


@rest.get("/admin/staff")
async def list_staff(call: Steps, limit: Limit = 50, cursor: Cursor = "") -> schemas.StaffList:
    """List the people of the operating company."""
    page = await service.list_staff(call, limit, cursor)
    return schemas.StaffList(
        data=[_member(member) for member in page.members],
        next_cursor=page.next_page_token or None,
    )


@rest.post("/admin/staff")
async def grant_staff(call: Steps, body: schemas.StaffBody) -> schemas.StaffMember:
    """Make a user a member of the staff, or change its role."""
    return _member(await service.grant_staff(call, body.user_id, body.role))


@rest.delete("/admin/staff/{user_id}")
async def revoke_staff(call: Steps, user_id: str) -> schemas.StaffMember:
    """End a user's membership of the staff, at once."""
    return _member(await service.revoke_staff(call, user_id))


@rest.post("/admin/webhooks/stripe")
async def receive_stripe_event(
    here: Here,
    request: Request,
    stripe_signature: Annotated[str, Header(max_length=2_000)] = "",
) -> schemas.Received:
    """Take in what Stripe's webhook sent, byte for byte; payment verifies and stores it."""
    answer = await peers.receive_processor_event(
        here, "stripe", await request.body(), stripe_signature, request_id(request)
    )
    return schemas.Received(id=answer.processor_event_id, duplicate=answer.duplicate)


def _letter(letter: admin_pb2.DeadLetter) -> schemas.DeadLetter:
    names = [field.name for field in letter.DESCRIPTOR.fields if field.name != "created_at"]
    values = {name: getattr(letter, name) for name in names}
    return schemas.DeadLetter(**values, created_at=from_timestamp(letter, "created_at"))


def _member(member: identity_pb2.StaffMember) -> schemas.StaffMember:
    return schemas.StaffMember(
        user_id=member.user_id,
        email=member.email,
        role=member.role,
        granted_by=member.granted_by,
        granted_at=from_timestamp(member, "granted_at"),
    )


def _entry(entry: listener_pb2.AuditEntry) -> schemas.AuditEntry:
    return schemas.AuditEntry(
        id=entry.id,
        sequence=entry.sequence,
        event_id=entry.event_id,
        message=entry.message,
        source=entry.source,
        aggregate_type=entry.aggregate_type,
        aggregate_id=entry.aggregate_id,
        occurred_at=from_timestamp(entry, "occurred_at"),
        payload=json.loads(entry.payload_json),
        hash=entry.hash,
    )
