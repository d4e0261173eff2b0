"""Meters: applied, made, looked up by the type of an event."""

import time
from typing import Any

from billplane.chassis import applied
from billplane.chassis.applied import Application
from billplane.chassis.auth import service_principal
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page
from billplane.chassis.runtime import Runtime
from billplane.metering import repository
from billplane.metering.domain import Meter, meter_of
from billplane.metering.errors import MeterNotFound
from billplane.metering.models import MeterRow
from billplane.resources import MeterSpec

KIND = "Meter"
FRESH_SECONDS = 2.0
MISS_SECONDS = 0.2


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
        await repository.delete_records(tx, row.id)


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
        await tx.session.flush()
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
    """Rebuild a meter's roll-up from stored events, in both modes."""
    await repository.lock_store(tx)
    await repository.rebuild_records(tx, meter_of(row.id, row.name, spec_of(row)))


class MeterIndex:
    """The meters of each tenant by event type, as this process last saw them."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: dict[str, tuple[float, dict[str, list[Meter]]]] = {}

    async def find(self, tenant_id: str, event_type: str) -> list[Meter]:
        """Return the meters that count a type; a type not seen yet is looked up again."""
        held = self._known.get(tenant_id)
        age = time.monotonic() - held[0] if held is not None else float("inf")
        if held is not None and age < FRESH_SECONDS:
            found = held[1].get(event_type)
            if found or age < MISS_SECONDS:
                return found or []
        return (await self._load(tenant_id)).get(event_type, [])

    async def _load(self, tenant_id: str) -> dict[str, list[Meter]]:
        runtime = self._runtime
        principal = service_principal(runtime.name, tenant_id, livemode=False)
        async with runtime.database.read(runtime, principal) as tx:
            rows = await repository.meters(tx)
        by_type: dict[str, list[Meter]] = {}
        for row in rows:
            meter = meter_of(row.id, row.name, spec_of(row))
            by_type.setdefault(meter.event_type, []).append(meter)
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[tenant_id] = (time.monotonic(), by_type)
        return by_type
