"""What the gateway asks of others."""

from collections.abc import Sequence

from billplane.chassis.auth import Principal, service_principal
from billplane.chassis.runtime import Runtime
from billplane.protos.identity.v1 import identity_pb2, identity_pb2_grpc
from billplane.protos.notification.v1 import notification_pb2, notification_pb2_grpc

EVENTS_PAGE = 200


async def ensure_tenant(runtime: Runtime, tenant_id: str) -> bool:
    """Make sure that a tenant exists; tell whether it has a live key."""
    stub = identity_pb2_grpc.IdentityServiceStub(runtime.channels.get("identity"))
    answer = await runtime.channels.ask(
        stub.CreateTenant,
        identity_pb2.CreateTenantRequest(id=tenant_id, name=tenant_id),
        service_principal("gateway", tenant_id, livemode=False),
    )
    return answer.tenant.has_live_key


async def position(runtime: Runtime, principal: Principal, after: str) -> int:
    """Return the number to go on after: of an event, a cursor, or the newest when none is given.

    Raises: EventNotFound, CursorExpired, UNAVAILABLE.
    """
    request = notification_pb2.ListEventsRequest(page_size=1)
    if not after:
        request.latest = True
    elif after.isdigit():
        request.after = int(after)
    else:
        request.after_event_id = after
    answer = await _list_events(runtime, principal, request)
    if after.isdigit():
        return int(after)
    return answer.events[0].sequence - 1 if answer.events else answer.cursor


async def events_after(
    runtime: Runtime, principal: Principal, cursor: int, types: Sequence[str]
) -> tuple[list[tuple[int, str]], int, bool]:
    """Return a page of events as (number, JSON), where it ends, and whether there may be more.

    Raises: UNAVAILABLE.
    """
    answer = await _list_events(
        runtime,
        principal,
        notification_pb2.ListEventsRequest(after=cursor, types=types, page_size=EVENTS_PAGE),
    )
    found = [(event.sequence, event.event_json) for event in answer.events]
    return found, answer.cursor, len(found) == EVENTS_PAGE


async def _list_events(
    runtime: Runtime, principal: Principal, request: notification_pb2.ListEventsRequest
) -> notification_pb2.ListEventsResponse:
    stub = notification_pb2_grpc.NotificationServiceStub(runtime.channels.get("notification"))
    return await runtime.channels.ask(stub.ListEvents, request, principal)
