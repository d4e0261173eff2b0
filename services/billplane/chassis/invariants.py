"""Read-only checks of what must always be true; run by tests, by a job and by `verify`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession

if TYPE_CHECKING:
    from billplane.chassis.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that is not as promised."""

    invariant: str
    tenant_id: str
    subject: str
    detail: str


Invariant = Callable[[AsyncSession], Awaitable[list[Violation]]]


async def check(runtime: "Runtime") -> list[Violation]:
    """Run every invariant of a service as the reader role, which sees all tenants."""
    found: list[Violation] = []
    for invariant in runtime.app.invariants:
        async with runtime.database.across_tenants("reader", snapshot=True) as session:
            found += await invariant(session)
    return found
