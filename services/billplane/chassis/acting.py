"""What people of the operating company change for a tenant, told to the tenant's audit log.

The entry is a message of the transaction that changes something: there is no change without it.
"""

from contextvars import ContextVar

from billplane.chassis import ids
from billplane.chassis.auth import Principal
from billplane.chassis.database.transaction import Transaction
from billplane.chassis.events.registry import fact
from billplane.protos.admin.v1.events_pb2 import StaffActed

STAFF_ACTED = fact(StaffActed, "staff")
_ACTION: ContextVar[str] = ContextVar("billplane_action", default="")


def note_action(principal: Principal | None, action: str) -> None:
    """Keep what staff asks for, as method and path or as the name of the RPC."""
    if principal is not None and principal.staff:
        _ACTION.set(action)


async def tell(tx: Transaction) -> None:
    """Tell of what staff asked for a tenant that it named, once it has changed something."""
    acts = tx.principal.staff and tx.principal.subject.startswith("staff:")
    if acts and not tx.staff_told and await tx.wrote():
        await tell_of(tx, _ACTION.get(), tx.runtime.name, f"request {tx.request_id}", "")


async def tell_of(
    tx: Transaction, action: str, target: str, detail: str, aggregate_id: str
) -> None:
    """Tell of one action of staff, in its own words."""
    tx.staff_told = True
    who = tx.principal
    await tx.publish(
        StaffActed(
            action=action,
            actor=who.subject.removeprefix("staff:"),
            role=who.staff,
            target=target,
            detail=detail,
        ),
        aggregate_id=aggregate_id or ids.new("act"),
    )
