"""What staff may do at every service: look at dead letters, replay and discard them.

Source: the contract is OperationsService in protos/billplane/admin/v1/admin.proto.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import grpc
from sqlalchemy import select

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction
from billplane.chassis.database.tables import DeadLetterRow
from billplane.chassis.errors import BillplaneError, Kind, StoreUnavailable
from billplane.chassis.events.consumer import HIDDEN
from billplane.chassis.events.envelope import decode
from billplane.chassis.rest import Page, fetch_page
from billplane.chassis.rpc import Rpc, to_timestamp
from billplane.protos.admin.v1 import admin_pb2 as pb

if TYPE_CHECKING:
    from billplane.chassis.runtime import Runtime

rpc = Rpc(pb.DESCRIPTOR.services_by_name["OperationsService"])


class DeadLetterUnknown(BillplaneError):
    """The tenant has no such dead letter at the service."""

    kind = Kind.NOT_FOUND
    reason = "DEAD_LETTER_NOT_FOUND"


class ReplayFailed(BillplaneError):
    """The handler failed again."""

    kind = Kind.FAILED_PRECONDITION
    reason = "REPLAY_FAILED"


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
    query = select(DeadLetterRow).where(DeadLetterRow.livemode == tx.livemode)
    rows, cursor = await fetch_page(tx, query, DeadLetterRow.id, page)
    letters = [to_proto_letter(row, request.service) for row in rows]
    return pb.ListServiceDeadLettersResponse(dead_letters=letters, next_page_token=cursor or "")


@rpc.steps
async def ReplayServiceDeadLetter(  # noqa: N802 - bears the name of its proto
    call: Call, request: pb.ReplayServiceDeadLetterRequest
) -> pb.ReplayServiceDeadLetterResponse:
    """Handle a dead letter again."""
    call.principal.require_staff()
    async with call.reading() as tx:
        letter = await _letter(tx, request.id)
    dispatcher = call.runtime.dispatcher
    if dispatcher is None:
        raise DeadLetterUnknown(f"there is no dead letter {request.id}")
    caller = call.principal
    try:
        await dispatcher.replay(caller.tenant_id, caller.livemode, request.id)
    except KeyError:
        raise DeadLetterUnknown(f"there is no dead letter {request.id}") from None
    except StoreUnavailable:
        raise
    except Exception as error:
        said = str(error) if isinstance(error, BillplaneError) else HIDDEN
        raise ReplayFailed(f"{letter.consumer} failed again: {said}") from error
    await call.last()
    return pb.ReplayServiceDeadLetterResponse(dead_letter=to_proto_letter(letter, request.service))


@rpc.steps
async def DiscardServiceDeadLetter(  # noqa: N802 - bears the name of its proto
    call: Call, request: pb.DiscardServiceDeadLetterRequest
) -> pb.DiscardServiceDeadLetterResponse:
    """Give a dead letter up."""
    call.principal.require_staff()
    tx = await call.last()
    letter = await _letter(tx, request.id)
    await tx.session.delete(letter)
    return pb.DiscardServiceDeadLetterResponse(dead_letter=to_proto_letter(letter, request.service))


async def _letter(tx: ReadTransaction, letter_id: str) -> DeadLetterRow:
    found = await tx.session.get(DeadLetterRow, letter_id)
    if found is None or found.livemode != tx.livemode:
        raise DeadLetterUnknown(f"there is no dead letter {letter_id}")
    return found


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
