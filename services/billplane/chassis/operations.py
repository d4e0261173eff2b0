"""What staff may do at every service: look at dead letters, replay and discard them.

Source: the contract is OperationsService in protos/billplane/admin/v1/admin.proto.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import grpc

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction
from billplane.chassis.database.tables import DeadLetterRow
from billplane.chassis.errors import BillplaneError, Kind
from billplane.chassis.events import dead_letters
from billplane.chassis.events.envelope import decode
from billplane.chassis.rest import Page
from billplane.chassis.rpc import Rpc, to_timestamp
from billplane.protos.admin.v1 import admin_pb2 as pb

if TYPE_CHECKING:
    from billplane.chassis.runtime import Runtime

rpc = Rpc(pb.DESCRIPTOR.services_by_name["OperationsService"])


class ServiceUnknown(BillplaneError):
    """No service of that name runs in this process."""

    kind = Kind.NOT_FOUND
    reason = "SERVICE_NOT_FOUND"


def handler(runtimes: Mapping[str, "Runtime"]) -> grpc.GenericRpcHandler:
    """Answer for each of the services of a process, by the name in the request."""

    def chosen(request: Any) -> "Runtime":
        runtime = runtimes.get(request.service)
        if runtime is None:
            raise ServiceUnknown(f"no service {request.service!r} runs here", field="service")
        return runtime

    return rpc.handler(next(iter(runtimes.values())), chosen)


@rpc.read
async def ListServiceDeadLetters(  # noqa: N802 - bears the name of its proto
    tx: ReadTransaction, request: pb.ListServiceDeadLettersRequest
) -> pb.ListServiceDeadLettersResponse:
    """List messages that a service failed on for good."""
    tx.require_staff()
    page = Page.of(request.page_size, request.page_token)
    rows, cursor = await dead_letters.fetch(tx, page)
    letters = [to_proto_letter(row, request.service) for row in rows]
    return pb.ListServiceDeadLettersResponse(dead_letters=letters, next_page_token=cursor or "")


@rpc.steps
async def ReplayServiceDeadLetter(  # noqa: N802 - bears the name of its proto
    call: Call, request: pb.ReplayServiceDeadLetterRequest
) -> pb.ReplayServiceDeadLetterResponse:
    """Handle a dead letter again."""
    call.principal.require_staff("dead_letters:write")
    letter = await dead_letters.replay(call, request.id)
    return pb.ReplayServiceDeadLetterResponse(dead_letter=to_proto_letter(letter, request.service))


@rpc.steps
async def DiscardServiceDeadLetter(  # noqa: N802 - bears the name of its proto
    call: Call, request: pb.DiscardServiceDeadLetterRequest
) -> pb.DiscardServiceDeadLetterResponse:
    """Give a dead letter up."""
    call.principal.require_staff("dead_letters:write")
    tx = await call.last()
    letter = await dead_letters.find(tx, request.id)
    await tx.session.delete(letter)
    return pb.DiscardServiceDeadLetterResponse(dead_letter=to_proto_letter(letter, request.service))


def to_proto_letter(row: DeadLetterRow, service: str) -> pb.DeadLetter:
    """Return a dead letter as a message."""
    metadata = decode(row.envelope)[0]
    return pb.DeadLetter(
        id=row.id,
        service=service,
        consumer=row.consumer,
        message=row.event_type,
        event_id=metadata.event_id,
        aggregate_id=metadata.aggregate_id,
        reason=row.reason,
        detail=row.detail,
        attempts=row.attempts,
        created_at=to_timestamp(row.created_at),
    )
