"""The columns of a spec that a service runs, and what the operator sends of one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy.orm import Mapped, mapped_column

RESOURCE, API = "resource", "api"


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


def told(row: AppliedColumns, spec_hash: str) -> dict[str, Any]:
    """Return the fields that every ListApplied tells of a resource."""
    return {
        "uid": row.uid or "",
        "namespace": row.namespace or "",
        "name": row.name,
        "generation": row.generation,
        "epoch": row.epoch,
        "spec_hash": spec_hash,
        "id": row.id,
    }
