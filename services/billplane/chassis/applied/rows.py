"""Rows of specs: applied and removed by the operator, or made and changed through the API."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError

from billplane.chassis import ids
from billplane.chassis.applied.errors import (
    ManagedByResource,
    NameTaken,
    SpecHashDiffers,
    StaleGeneration,
)
from billplane.chassis.applied.shapes import API, RESOURCE, Application, AppliedColumns, Row
from billplane.chassis.applied.specs import (
    hash_of,
    merge_patch,
    parse_spec,
    read_spec_json,
    refuse_immutable,
)
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.resources import Spec, spec_hash


async def apply(
    tx: Transaction,
    kind: str,
    table: type[Row],
    application: Application,
    prefix: str,
    fresh: Callable[[], dict[str, Any]],
) -> tuple[Row, Spec, bool]:
    """Make the service run a resource's spec; return the row, the spec and whether it changed.

    `fresh` gives the values of the service's own columns for a new row.

    Raises: InternalOnly, Invalid, SpecHashDiffers, StaleGeneration, NameTaken.
    Idempotent by: uid and spec hash.
    """
    tx.require_internal()
    spec = read_spec_json(kind, application.spec_json)
    wanted = spec_hash(spec)
    if application.spec_hash and application.spec_hash != wanted:
        raise SpecHashDiffers(f"the hash of this spec is {wanted}", field="spec_hash")
    row = await row_for(tx, table, application)
    if row is not None and row.uid != application.uid:
        _take_over(row, application)
    if row is None:
        row = _new(
            table,
            tenant_id=tx.tenant_id,
            id=ids.new(prefix),
            name=application.name,
            origin=RESOURCE,
            uid=application.uid,
            namespace=application.namespace,
            generation=application.generation,
            epoch=application.epoch,
            version=1,
            spec=spec.document(),
            created_at=tx.now,
            removed_at=None,
            **fresh(),
        )
        await add_named(tx, row)
        return row, spec, True
    if (application.epoch, application.generation) < (row.epoch, row.generation):
        raise StaleGeneration(
            f"generation {row.generation} of epoch {row.epoch} was applied already",
            metadata={"generation": row.generation, "epoch": row.epoch},
        )
    changed = hash_of(kind, row) != wanted
    if changed:
        refuse_immutable(kind, row, spec)
        row.spec, row.version = spec.document(), row.version + 1
    if row.removed_at is not None:
        row.removed_at, changed = None, True
    if (row.generation, row.epoch) != (application.generation, application.epoch):
        row.generation, row.epoch = application.generation, application.epoch
    try:
        await tx.session.flush()
    except IntegrityError:
        raise NameTaken(f"the name {row.name} is taken", field="name") from None
    return row, spec, changed


async def row_for(tx: ReadTransaction, table: type[Row], application: Application) -> Row | None:
    """Return the row that an application is for: its own, or one in use that it takes over.

    A resource takes over what ran under its namespace and name, since a cluster has one of each
    and so the older is gone; and what the API made under its name, if it adopts.

    Raises: StaleGeneration.
    """
    own = await by_uid(tx, table, application.uid)
    if own is not None:
        return own
    query: Select[Any] = select(table).where(
        table.name == application.name, table.removed_at.is_(None)
    )
    row: Row | None = (await tx.session.scalars(query)).one_or_none()
    if row is None:
        return None
    anew = row.origin == RESOURCE and row.namespace == application.namespace
    if not anew and not (row.origin == API and application.adopt):
        return None
    if application.epoch < row.epoch:
        raise StaleGeneration(
            f"epoch {row.epoch} is newer",
            metadata={"generation": row.generation, "epoch": row.epoch},
        )
    return row


def _take_over(row: AppliedColumns, application: Application) -> None:
    """Make a row the resource's own: generations are counted anew, epochs are not."""
    row.origin, row.uid, row.namespace = RESOURCE, application.uid, application.namespace
    row.generation = min(row.generation, application.generation)


async def remove(
    tx: Transaction, table: type[Row], uid: str, generation: int, epoch: int
) -> Row | None:
    """Take a resource's row out of use; None when there is none, which is no error.

    Raises: InternalOnly, StaleGeneration.
    """
    tx.require_internal()
    row = await by_uid(tx, table, uid)
    if row is None:
        return None
    if (epoch, generation) < (row.epoch, row.generation):
        raise StaleGeneration(
            f"generation {row.generation} of epoch {row.epoch} is newer",
            metadata={"generation": row.generation, "epoch": row.epoch},
        )
    if row.removed_at is None:
        row.removed_at = tx.now
    return row


async def create(
    tx: Transaction, kind: str, table: type[Row], name: str, spec: Any, prefix: str, **own: Any
) -> tuple[Row, Spec]:
    """Create an object of origin api.

    Raises: Invalid, NameTaken.
    """
    parsed = parse_spec(kind, spec)
    row = _new(
        table,
        tenant_id=tx.tenant_id,
        id=ids.new(prefix),
        name=name,
        origin=API,
        uid=None,
        namespace=None,
        generation=0,
        epoch=0,
        version=1,
        spec=parsed.document(),
        created_at=tx.now,
        removed_at=None,
        **own,
    )
    await add_named(tx, row)
    return row, parsed


def _new(table: type[Row], **values: Any) -> Row:
    row = table()
    for name, value in values.items():
        setattr(row, name, value)
    return row


async def add_named(tx: Transaction, row: AppliedColumns) -> None:
    """Store a new row; the unique index decides whose name it is.

    Raises: NameTaken.
    """
    tx.session.add(row)
    try:
        await tx.session.flush()
    except IntegrityError:
        raise NameTaken(f"the name {row.name} is taken", field="/name") from None


def change(kind: str, row: AppliedColumns, merge: Any) -> tuple[Spec, bool]:
    """Merge a patch into an api object's spec; return the spec and whether it changed.

    Raises: ManagedByResource, Invalid.
    Source: RFC 7396.
    """
    refuse_managed(kind, row)
    parsed = parse_spec(kind, merge_patch(row.spec, merge))
    changed = spec_hash(parsed) != hash_of(kind, row)
    if changed:
        refuse_immutable(kind, row, parsed)
        row.spec, row.version = parsed.document(), row.version + 1
    return parsed, changed


def refuse_managed(kind: str, row: AppliedColumns) -> None:
    """Refuse to change what a resource owns.

    Raises: ManagedByResource naming the resource.
    """
    if row.origin == RESOURCE:
        raise ManagedByResource(
            f"{kind} {row.namespace}/{row.name} owns this; change the resource instead",
            metadata={"kind": kind, "namespace": row.namespace, "name": row.name},
        )


async def by_uid(tx: ReadTransaction, table: type[Row], uid: str) -> Row | None:
    """Return a resource's row, removed or not."""
    query: Select[Any] = select(table).where(table.uid == uid)
    found: Row | None = (await tx.session.scalars(query)).one_or_none()
    return found


async def by_id_or_name(tx: ReadTransaction, table: type[Row], wanted: str) -> Row | None:
    """Return a row by id, or by name among those not removed."""
    row: Row | None = await tx.session.get(table, (tx.tenant_id, wanted))
    if row is not None:
        return row
    query: Select[Any] = select(table).where(table.name == wanted, table.removed_at.is_(None))
    found: Row | None = (await tx.session.scalars(query)).one_or_none()
    return found


async def page_of(
    tx: ReadTransaction, table: type[Row], page: Page, origin: str | None = None
) -> tuple[list[Row], str | None]:
    """Return a page of rows in use."""
    query: Select[Any] = select(table).where(table.removed_at.is_(None))
    if origin is not None:
        query = query.where(table.origin == origin)
    rows, cursor = await fetch_page(tx, query, table.id, page)
    return list(rows), cursor
