"""Resources of two origins: applied by the operator, or made through the API.

A service that runs specs of resources keeps one row a resource with these
columns, and lets these functions decide what an application means.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import BillplaneError, FieldError, Invalid, Kind, MalformedBody
from billplane.chassis.rest import Page, fetch_page
from billplane.resources import Spec, SpecError, spec_hash, validate_change, validate_spec

RESOURCE, API = "resource", "api"


class StaleGeneration(BillplaneError):
    """An older epoch or generation came after a newer one."""

    kind = Kind.FAILED_PRECONDITION
    reason = "STALE_GENERATION"


class NameTaken(BillplaneError):
    """Another object has the name."""

    kind = Kind.ALREADY_EXISTS
    reason = "NAME_TAKEN"


class ManagedByResource(BillplaneError):
    """The object belongs to a resource and is read-only through the API."""

    kind = Kind.FAILED_PRECONDITION
    reason = "MANAGED_BY_RESOURCE"


class SpecHashDiffers(BillplaneError):
    """The caller's hash is not that of the spec it sent."""

    kind = Kind.INVALID_ARGUMENT
    reason = "SPEC_HASH_DIFFERS"


class ResourceNotFound(BillplaneError):
    """No such object."""

    kind = Kind.NOT_FOUND
    reason = "RESOURCE_NOT_FOUND"


class AppliedColumns:
    """The columns of a spec that a service runs. `version` grows with each changed spec."""

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    origin: Mapped[str]
    uid: Mapped[str | None]
    namespace: Mapped[str | None]
    generation: Mapped[int]
    epoch: Mapped[int]
    version: Mapped[int]
    spec: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


# The same columns for a migration; `tables` follow with what is the service's own.
APPLIED_SQL = """
    tenant_id text NOT NULL,
    id text NOT NULL,
    name text NOT NULL,
    origin text NOT NULL CHECK (origin IN ('resource', 'api')),
    uid text,
    namespace text,
    generation bigint NOT NULL,
    epoch bigint NOT NULL,
    version integer NOT NULL,
    spec jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    removed_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    CHECK ((origin = 'resource') = (uid IS NOT NULL))
"""


def applied_indexes(schema: str, table: str) -> list[str]:
    """Return the statements that make names and uids unique among what is not removed."""
    return [
        f"CREATE UNIQUE INDEX uq_{table}_name ON {schema}.{table} (tenant_id, name)"
        " WHERE removed_at IS NULL",
        f"CREATE UNIQUE INDEX uq_{table}_uid ON {schema}.{table} (tenant_id, uid)",
    ]


@dataclass(frozen=True, slots=True)
class Application:
    """What the operator sends."""

    uid: str
    namespace: str
    name: str
    generation: int
    epoch: int
    spec_hash: str
    spec_json: str
    adopt: bool = False


class ApplyRequest(Protocol):
    """The fields that every Apply request has."""

    uid: str
    namespace: str
    name: str
    generation: int
    epoch: int
    spec_hash: str
    spec_json: str
    adopt: bool


Row = TypeVar("Row", bound=AppliedColumns)


def application_of(request: ApplyRequest) -> Application:
    """Read an Apply request."""
    return Application(
        request.uid,
        request.namespace,
        request.name,
        request.generation,
        request.epoch,
        request.spec_hash,
        request.spec_json,
        request.adopt,
    )


def parse_spec(kind: str, spec: Any) -> Spec:
    """Validate a spec.

    Raises: Invalid with every violation, fields named as `spec.charges[2].usage…`.
    """
    try:
        return validate_spec(kind, spec)
    except SpecError as error:
        found = [FieldError(item.field, item.reason, item.detail) for item in error.violations]
        invalid = Invalid(found)
        invalid.reason = "INVALID_SPEC"
        raise invalid from None


def read_spec_json(kind: str, text: str) -> Spec:
    """Validate a spec that came as JSON text.

    Raises: MalformedBody, Invalid.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedBody("spec_json is not JSON", field="spec_json") from None
    return parse_spec(kind, data)


def hash_of(kind: str, row: AppliedColumns) -> str:
    """Return the hash of the spec that a row makes the service run, recomputed each time.

    Shape: empty for a row that no longer holds a valid spec: no hash is run, so that whoever
        compares finds the damage and applies the spec anew.
    """
    try:
        return spec_hash(validate_spec(kind, row.spec))
    except SpecError:
        return ""


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


def refuse_immutable(kind: str, row: AppliedColumns, spec: Spec) -> None:
    """Refuse a change of what must not change.

    Raises: Invalid.
    """
    try:
        before = validate_spec(kind, row.spec)
    except SpecError:
        return  # a damaged row has nothing to keep
    try:
        validate_change(kind, before, spec)
    except SpecError as error:
        found = [FieldError(item.field, item.reason, item.detail) for item in error.violations]
        raise Invalid(found) from None


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


def merge_patch(target: Any, patch: Any) -> Any:
    """Merge a patch into a JSON value.

    Source: RFC 7396.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


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
