"""Runs the invariants of services against their databases; needs no running service."""

from collections.abc import Sequence

from billplane.chassis.app import ServiceApp
from billplane.chassis.clock import SystemClock
from billplane.chassis.database import Database
from billplane.chassis.invariants import Violation
from billplane.chassis.settings import Settings


async def verify(apps: Sequence[ServiceApp], settings: Settings) -> list[Violation]:
    """Return everything that is not as promised."""
    found: list[Violation] = []
    for app in apps:
        own = app.settings.load(app.name)
        database = Database(
            app.name, own.database_url, SystemClock(), settings.pool_size, settings.pool_overflow
        )
        for invariant in app.invariants:
            async with database.across_tenants("reader", snapshot=True) as session:
                found += await invariant(session)
    return found
