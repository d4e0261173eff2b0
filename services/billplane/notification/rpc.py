"""gRPC of notification."""

from billplane.chassis.database import ReadTransaction
from billplane.chassis.rpc import Call, Rpc, to_timestamp
from billplane.notification.models import EventRow
from billplane.notification.service import events
from billplane.protos.notification.v1 import notification_pb2 as pb

rpc = Rpc(pb.DESCRIPTOR.services_by_name["NotificationService"])


@rpc.steps
async def ListEvents(call: Call, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
    """Return the events after a cursor; wait for the first one as long as asked."""
    rows, cursor = await events.follow(
        call,
        after=request.after,
        after_event_id=request.after_event_id,
        types=list(request.types),
        page_size=request.page_size,
        wait_seconds=max(0, request.wait_milliseconds) / 1000,
        latest=request.latest,
    )
    return pb.ListEventsResponse(events=[_event(row) for row in rows], cursor=cursor)


@rpc.read
async def GetEvent(tx: ReadTransaction, request: pb.GetEventRequest) -> pb.GetEventResponse:
    """Return one event."""
    return pb.GetEventResponse(event=_event(await events.get_event(tx, request.id)))


def _event(row: EventRow) -> pb.DeveloperEvent:
    return pb.DeveloperEvent(
        id=row.id,
        sequence=row.sequence,
        type=row.type,
        event_json=row.body,
        created_at=to_timestamp(row.created_at),
    )
