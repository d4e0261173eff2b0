"""Plans: applied, made, published, archived, read."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from billplane.chassis import applied, ids
from billplane.chassis.applied import Application
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.chassis.rpc import to_timestamp
from billplane.pricing import peers, repository
from billplane.pricing.errors import (
    DefaultPlanTaken,
    PlanArchived,
    PlanInUse,
    PlanNotFound,
    PlanNotInEffect,
    PlanVersionNotFound,
)
from billplane.pricing.models import PlanRow, PlanVersionRow
from billplane.pricing.service import prices
from billplane.protos.pricing.v1.events_pb2 import PlanPublished
from billplane.resources import BillingPlanSpec, SpecError, spec_hash
from billplane.resources.common import NAME_PATTERN

KIND = "BillingPlan"
NO_DEFAULT = "no plan is the default: none has `default: true`"
_NAME = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class PlanName:
    """Which version of which plan."""

    id: str
    name: str
    version: int


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan at one of its versions."""

    row: PlanRow
    version: PlanVersionRow
    spec_hash: str

    @property
    def state(self) -> str:
        """Whether the plan is sold."""
        return "active" if self.row.removed_at is None else "archived"


async def apply_plan(tx: Transaction, application: Application) -> PlanView:
    """Make the service run a plan's spec; a changed one becomes the next version.

    Raises: InternalOnly, Invalid, SpecHashDiffers, StaleGeneration, NameTaken, DefaultPlanTaken.
    Idempotent by: uid and spec hash.
    """
    tx.require_internal()
    spec = applied.read_spec_json(KIND, application.spec_json)
    await repository.lock_applied(tx, application.uid)
    held = await applied.row_for(tx, PlanRow, application)
    await _refuse_second_default(tx, spec, held)
    row, spec, _ = await applied.apply(tx, KIND, PlanRow, application, "plan", dict)
    return await _settle(tx, row, spec)


async def remove_plan(call: Call, uid: str, generation: int, epoch: int, *, unused: bool) -> None:
    """Take a resource's plan out of sale; its versions stay, since subscribers are billed by them.

    With `unused` the plan must have no live subscription.

    Raises: InternalOnly, StaleGeneration, PlanInUse, the peer's error.
    Idempotent by: uid.
    """
    call.principal.require_internal()
    if unused:
        async with call.reading() as reading:
            row = await applied.by_uid(reading, PlanRow, uid)
        if row is not None and row.removed_at is None:
            await _refuse_in_use(call, row)
    tx = await call.last()
    gone = await applied.remove(tx, PlanRow, uid, generation, epoch)
    if gone is not None and unused:
        # A plan that stays is billed by on, and so asks its sources on.
        await repository.drop_plan_secret(tx, gone.id)


async def create_plan(tx: Transaction, name: str, spec: Any) -> PlanView:
    """Create a plan by the API, at version 1.

    Raises: Invalid, NameTaken, DefaultPlanTaken, ScopeMissing.
    """
    tx.authorize("plans:write")
    if not _NAME.fullmatch(name):
        raise Invalid([FieldError("/name", "PATTERN_MISMATCH", f"must match {NAME_PATTERN}")])
    await _refuse_second_default(tx, applied.parse_spec(KIND, spec), None)
    row, parsed = await applied.create(tx, KIND, PlanRow, name, spec, "plan")
    return await _settle(tx, row, parsed)


async def change_plan(tx: Transaction, plan: str, merge: Any) -> PlanView:
    """Merge a patch into the spec of a plan that the API made; a change is the next version.

    Raises: PlanNotFound, PlanArchived, ManagedByResource, Invalid, DefaultPlanTaken, ScopeMissing.
    Source: RFC 7396.
    """
    row = await _own_plan(tx, plan)
    return await _publish(tx, row, applied.merge_patch(row.spec, merge))


async def publish_version(tx: Transaction, plan: str, spec_json: str) -> PlanView:
    """Give a plan that the API made a whole new spec; an equal one makes no version.

    Raises: PlanNotFound, PlanArchived, ManagedByResource, Invalid, DefaultPlanTaken, ScopeMissing.
    """
    row = await _own_plan(tx, plan)
    return await _publish(tx, row, read_spec(spec_json).document())


def read_spec(spec_json: str) -> BillingPlanSpec:
    """Read a spec that is not published.

    Raises: Invalid.
    """
    spec = applied.read_spec_json(KIND, spec_json)
    if not isinstance(spec, BillingPlanSpec):
        raise TypeError(f"{type(spec).__name__} is no plan's spec")
    return spec


async def archive_plan(tx: Transaction, plan: str) -> PlanView:
    """Take a plan that the API made out of sale; who has it is billed by it on.

    Raises: PlanNotFound, ManagedByResource, ScopeMissing.
    """
    tx.authorize("plans:write")
    row = await _find(tx, plan)
    applied.refuse_managed(KIND, row)
    row.removed_at = row.removed_at or tx.now
    return await _view(tx, row)


async def delete_plan(call: Call, plan: str) -> None:
    """Archive a plan that the API made and that nobody has.

    Raises: PlanNotFound, ManagedByResource, PlanInUse, ScopeMissing, the peer's error.
    """
    call.principal.require("plans:write")
    async with call.reading() as reading:
        row = await _find(reading, plan)
    applied.refuse_managed(KIND, row)
    await _refuse_in_use(call, row)
    await archive_plan(await call.last(), row.id)


async def get_plan(tx: ReadTransaction, plan: str, version: int = 0) -> PlanView:
    """Return one version of a plan by id or name; no plan means the default, 0 the newest.

    Raises: PlanNotFound, PlanVersionNotFound, ScopeMissing.
    """
    tx.authorize("plans:read")
    return await _view(tx, await _find(tx, plan), version)


async def plan_at(tx: ReadTransaction, plan: str, at: datetime) -> tuple[PlanView, list[PlanView]]:
    """Return a plan's newest version that is in effect by an instant, and those that come later.

    Raises: PlanNotFound, PlanNotInEffect, ScopeMissing.
    """
    tx.authorize("plans:read")
    row = await _find(tx, plan)
    found = await repository.version_at(tx, row.id, at)
    if found is None:
        raise PlanNotInEffect(f"no version of the plan {row.name} is in effect by {at:%Y-%m-%d}")
    later = await repository.versions_after(tx, row.id, found.version)
    return _seen(row, found), [_seen(row, item) for item in later]


def _seen(row: PlanRow, version: PlanVersionRow) -> PlanView:
    return PlanView(row, version, hash_of(version))


async def name_plan(tx: ReadTransaction, plan: str, version: int = 0) -> PlanName:
    """Tell which version of a plan is meant, as `get_plan` does, without its spec.

    Raises: PlanNotFound, PlanVersionNotFound, ScopeMissing.
    """
    tx.authorize("plans:read")
    if plan or version:
        found = await get_plan(tx, plan, version)
        return PlanName(found.row.id, found.row.name, found.version.version)
    row = await repository.default_plan_name(tx)
    if row is None:
        raise PlanNotFound(NO_DEFAULT)
    return PlanName(row.id, row.name, row.version)


async def list_plans(
    tx: ReadTransaction, page: Page, origin: str | None = None
) -> tuple[list[PlanView], str | None]:
    """Return a page of the plans in use, each at its newest version."""
    tx.authorize("plans:read")
    rows, cursor = await applied.page_of(tx, PlanRow, page, origin)
    newest = await repository.newest_versions(tx, [row.id for row in rows])
    found = [PlanView(row, newest[row.id], hash_of(newest[row.id])) for row in rows]
    return found, cursor


async def list_applied(tx: ReadTransaction, page: Page) -> tuple[list[PlanView], str | None]:
    """Return a page of what the operator applied, with the hash of what is rated now.

    Shape: the hash is empty where a plan and its newest version disagree, so that the operator
        applies the spec anew.
    Raises: InternalOnly.
    """
    tx.require_internal()
    found, cursor = await list_plans(tx, page, origin=applied.RESOURCE)
    return [
        view
        if applied.hash_of(KIND, view.row) == view.spec_hash
        and view.row.version == view.version.version
        else PlanView(view.row, view.version, "")
        for view in found
    ], cursor


async def list_versions(
    tx: ReadTransaction, plan: str, page: Page
) -> tuple[list[PlanView], str | None]:
    """Return a page of a plan's versions, newest first.

    Raises: PlanNotFound, ScopeMissing.
    """
    tx.authorize("plans:read")
    row = await _find(tx, plan)
    rows, cursor = await repository.page_of_versions(tx, row.id, page)
    return [PlanView(row, version, hash_of(version)) for version in rows], cursor


def hash_of(version: PlanVersionRow) -> str:
    """Return the hash of a version's spec, recomputed each time; empty if it is damaged."""
    try:
        return spec_hash(spec_of(version))
    except SpecError:
        return ""


def spec_of(version: PlanVersionRow) -> BillingPlanSpec:
    """Return the spec that is rated."""
    return BillingPlanSpec.parse(version.spec)


async def _find(tx: ReadTransaction, plan: str) -> PlanRow:
    if not plan:
        row = await repository.default_plan(tx)
        if row is None:
            raise PlanNotFound(NO_DEFAULT)
        return row
    row = await applied.by_id_or_name(tx, PlanRow, plan)
    row = row or await repository.archived_plan(tx, plan)
    if row is None:
        raise PlanNotFound(f"there is no plan {plan}", metadata={"plan": plan})
    return row


async def _own_plan(tx: Transaction, plan: str) -> PlanRow:
    """Return a plan that the API made, locked, still for sale."""
    tx.authorize("plans:write")
    row = await _find(tx, plan)
    applied.refuse_managed(KIND, row)
    await repository.lock(tx, row.id)
    await tx.session.refresh(row)
    if row.removed_at is not None:
        raise PlanArchived(f"the plan {row.name} is archived")
    return row


async def _publish(tx: Transaction, row: PlanRow, document: Any) -> PlanView:
    spec = applied.parse_spec(KIND, document)
    applied.refuse_immutable(KIND, row, spec)
    await _refuse_second_default(tx, spec, row)
    row.spec = spec.document()
    return await _settle(tx, row, spec)


async def _settle(tx: Transaction, row: PlanRow, spec: Any) -> PlanView:
    """Make the newest version have the spec, by a further one if it has not."""
    try:
        await tx.session.flush()
    except IntegrityError:
        raise DefaultPlanTaken("another plan is the default", field="spec.default") from None
    wanted = spec_hash(spec)
    newest = await repository.version(tx, row.id)
    if newest is not None and hash_of(newest) == wanted:
        row.version = newest.version
        return PlanView(row, newest, wanted)
    version = PlanVersionRow(
        tenant_id=tx.tenant_id,
        id=ids.new("plv"),
        plan_id=row.id,
        version=1 if newest is None else newest.version + 1,
        spec=spec.document(),
        created_at=tx.now,
    )
    row.version = version.version
    tx.session.add(version)
    tx.session.add_all(prices.rows_of(row, version, spec))
    await tx.session.flush()
    selector = spec.rollout.selector
    await tx.publish(
        PlanPublished(
            plan_id=row.id,
            name=row.name,
            version=version.version,
            spec_hash=wanted,
            apply_to=spec.rollout.apply_to.lower(),
            customer_ids=selector.customers if selector is not None else (),
            effective_at=to_timestamp(spec.rollout.effective_from),
        ),
        aggregate_id=row.id,
    )
    return PlanView(row, version, wanted)


async def _view(tx: ReadTransaction, row: PlanRow, number: int = 0) -> PlanView:
    version = await repository.version(tx, row.id, number or None)
    if version is None:
        raise PlanVersionNotFound(f"the plan {row.name} has no version {number}")
    return PlanView(row, version, hash_of(version))


async def _refuse_second_default(tx: Transaction, spec: Any, own: PlanRow | None) -> None:
    if not spec.default:
        return
    other = await repository.default_plan(tx)
    if other is not None and (own is None or other.id != own.id):
        raise DefaultPlanTaken(
            f"the plan {other.name} is the default; only one can be",
            field="spec.default",
            metadata={"plan_id": other.id, "name": other.name},
        )


async def _refuse_in_use(call: Call, row: PlanRow) -> None:
    live = await peers.live_subscriptions(call, row.id)
    if live:
        raise PlanInUse(
            f"the plan {row.name} has {live} live subscriptions",
            metadata={"plan_id": row.id, "live": live},
        )
