"""What is decided on a wallet, and what it takes to post it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from billplane.billing_core import domain, repository
from billplane.billing_core.errors import ReservationNotFound
from billplane.billing_core.models import OperationRow
from billplane.billing_core.repository import Held
from billplane.chassis.database import ReadTransaction, Transaction

ON_HOLDS = (domain.COMMIT, domain.RELEASE, domain.RUN_OUT)

Decide = Callable[[Transaction, Held], Awaitable[OperationRow | None]]


class Waits(Exception):
    """Something has to be completed before the operation can be decided on."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(operation_id)
        self.operation_id = operation_id


@dataclass(frozen=True, slots=True)
class Owner:
    """The wallet of a reservation, found where it is decided on."""

    reservation_id: str

    async def find(self, tx: ReadTransaction) -> str:
        """Return the wallet's id.

        Raises: ReservationNotFound.
        """
        row = await repository.reservation(tx, self.reservation_id)
        if row is None:
            raise ReservationNotFound(f"there is no reservation {self.reservation_id}")
        return row.wallet_id


# A wallet's id, or how it is found.
Whose = str | Owner


@dataclass(frozen=True, slots=True)
class Work:
    """An operation and what it takes to post it."""

    operation: OperationRow
    account_id: str
    hold_id: str = ""
    committed_minor: int = 0


async def work_of(tx: ReadTransaction, held: Held, operation: OperationRow) -> Work:
    """Return what it takes to post an operation."""
    account_id = held.wallet.account_id
    if operation.kind not in ON_HOLDS:
        return Work(operation, account_id)
    found = await repository.known_reservation(tx, operation.reservation_id)
    assert found is not None  # noqa: S101 - reservations stay
    return Work(operation, account_id, found.hold_id, found.committed_minor)
