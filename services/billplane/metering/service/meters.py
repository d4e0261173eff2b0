"""Meters: applied, made, looked up by the type of an event."""

import asyncio
import time
from collections.abc import Collection
from typing import Any

from billplane.chassis import applied, logging
from billplane.chassis.applied import Application
from billplane.chassis.auth import service_principal
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page
from billplane.chassis.runtime import Runtime
from billplane.metering.domain import Meter, meter_of
from billplane.metering.errors import MeterNotFound
from billplane.metering.models import MeterRow
from billplane.metering.repository import meters as repository
from billplane.metering.service.sharing import Shared
from billplane.resources import MeterSpec

_log = logging.get("metering")

KIND = "Meter"
FRESH_SECONDS = 2.0
TENANTS_MAX = 10_000


def spec_of(row: MeterRow) -> MeterSpec:
    """Return the spec that a row makes the service run."""
    return MeterSpec.parse(row.spec)


async def apply_meter(tx: Transaction, application: Application) -> MeterRow:
    """Make the service run a meter's spec; a changed one is counted anew from stored events.

    Raises: InternalOnly, Invalid, StaleGeneration, NameTaken.
    Idempotent by: uid and spec hash.
    """
    row, _, changed = await applied.apply(tx, KIND, MeterRow, application, "mtr", dict)
    if changed:
        await _count_anew(tx, row)
    return row


async def remove_meter(
    tx: Transaction, uid: str, generation: int, epoch: int, *, delete: bool
) -> None:
    """Take a meter out of use; its roll-up goes too where the policy says Delete.

    Raises: InternalOnly, StaleGeneration.
    """
    row = await applied.remove(tx, MeterRow, uid, generation, epoch)
    if row is not None and delete:
        await _count_anew(tx, row)


async def create_meter(tx: Transaction, name: str, spec: Any) -> MeterRow:
    """Create a meter by the API.

    Raises: Invalid, NameTaken, ScopeMissing.
    """
    tx.authorize("meters:write")
    row, _ = await applied.create(tx, KIND, MeterRow, name, spec, "mtr")
    await _count_anew(tx, row)
    return row


async def change_meter(tx: Transaction, meter: str, merge: Any) -> MeterRow:
    """Merge a patch into a meter that the API made.

    Raises: MeterNotFound, ManagedByResource, Invalid, ScopeMissing.
    """
    tx.authorize("meters:write")
    row = await _row(tx, meter)
    if applied.change(KIND, row, merge)[1]:
        await _count_anew(tx, row)
    return row


async def delete_meter(tx: Transaction, meter: str) -> None:
    """Take a meter that the API made out of use; stored events stay.

    Raises: MeterNotFound, ManagedByResource, ScopeMissing.
    """
    tx.authorize("meters:write")
    row = await _row(tx, meter)
    applied.refuse_managed(KIND, row)
    row.removed_at = tx.now


async def get_meter(tx: ReadTransaction, meter: str) -> MeterRow:
    """Return a meter by id or name.

    Raises: MeterNotFound, ScopeMissing.
    """
    tx.authorize("meters:read")
    return await _row(tx, meter)


async def meters_by_name(tx: ReadTransaction, names: Collection[str]) -> dict[str, Meter]:
    """Return meters in use by the name or id that they were asked for."""
    found: dict[str, Meter] = {}
    for row in await repository.meters_by_name(tx, names):
        meter = meter_of(row.id, row.name, spec_of(row))
        found |= {name: meter for name in (row.id, row.name) if name in names}
    return found


async def list_meters(
    tx: ReadTransaction, page: Page, origin: str | None = None
) -> tuple[list[MeterRow], str | None]:
    """Return a page of meters."""
    tx.authorize("meters:read")
    return await applied.page_of(tx, MeterRow, page, origin)


async def _row(tx: ReadTransaction, meter: str) -> MeterRow:
    row = await applied.by_id_or_name(tx, MeterRow, meter)
    if row is None or row.removed_at is not None:
        raise MeterNotFound(f"there is no meter {meter}")
    return row


async def _count_anew(tx: Transaction, row: MeterRow) -> None:
    """Make a meter's records from stored events, in both modes; flushes of the tenant wait."""
    await tx.session.flush()
    await repository.recount(tx, row.id)


class MeterIndex:
    """The meters of each tenant by event type, as this process last saw them.

    What is known is answered at once and looked up again behind the answer; only a type that is
    not known waits for the database.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: dict[str, tuple[float, dict[str, list[Meter]]]] = {}
        self._loads: dict[str, Shared[dict[str, list[Meter]]]] = {}

    def known(self, tenant_id: str, event_type: str) -> list[Meter] | None:
        """Return the meters that count a type, if they are known."""
        held = self._known.get(tenant_id)
        if held is None:
            return None
        if time.monotonic() - held[0] > FRESH_SECONDS:
            self._known[tenant_id] = (time.monotonic(), held[1])
            self._refresh(tenant_id)
        return held[1].get(event_type)

    async def find(self, tenant_id: str, event_type: str) -> list[Meter]:
        """Return the meters that count a type, from the database.

        Raises: StoreUnavailable.
        """
        return (await self._load(tenant_id)).get(event_type, [])

    def _refresh(self, tenant_id: str) -> None:
        task = asyncio.create_task(self._load(tenant_id))
        task.add_done_callback(_note_failure)

    async def _load(self, tenant_id: str) -> dict[str, list[Meter]]:
        if tenant_id not in self._loads:
            if len(self._loads) > TENANTS_MAX:
                self._loads.clear()
                self._known.clear()
            self._loads[tenant_id] = Shared(lambda: self._read(tenant_id))
        return await self._loads[tenant_id]()

    async def _read(self, tenant_id: str) -> dict[str, list[Meter]]:
        runtime = self._runtime
        principal = service_principal(runtime.name, tenant_id, livemode=False)
        async with runtime.database.read(runtime, principal) as tx:
            rows = await repository.meters(tx)
        by_type: dict[str, list[Meter]] = {}
        for row in rows:
            meter = meter_of(row.id, row.name, spec_of(row))
            by_type.setdefault(meter.event_type, []).append(meter)
        self._known[tenant_id] = (time.monotonic(), by_type)
        return by_type


def _note_failure(task: "asyncio.Task[dict[str, list[Meter]]]") -> None:
    """Go on with what is known while the database is away."""
    if not task.cancelled() and task.exception() is not None:
        _log.warning("meters_not_refreshed", error=str(task.exception()))
