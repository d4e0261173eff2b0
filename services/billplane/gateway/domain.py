"""Rules of the gateway: how many calls are left, and one document made of many."""

import json
import math
from dataclasses import dataclass
from typing import Any

LEASE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls a period, of which `burst` may come at once."""

    name: str
    rate: int
    burst: int
    period_seconds: int = 1

    @property
    def chunk(self) -> int:
        """How many calls one lease covers: a tenth of a second's worth, at least one."""
        return max(1, self.rate // 10)

    @property
    def interval(self) -> float:
        """Seconds after which one more call is allowed."""
        return self.period_seconds / self.rate


@dataclass(slots=True)
class Lease:
    """Calls that this process may let through without asking again."""

    left: int
    until: float
    remaining: int
    reset_seconds: float

    def take(self, count: int, now: float) -> bool:
        """Use `count` calls if the lease holds them and has not run out."""
        if now >= self.until or self.left < count:
            return False
        self.left -= count
        return True

    def waits(self, limit: Limit, count: int) -> int:
        """Return the seconds after which `count` calls will be let through, at least one."""
        missing = (count - self.left - limit.burst) * limit.interval + self.reset_seconds
        return max(1, math.ceil(missing))


@dataclass(slots=True)
class Bucket:
    """The generic cell rate algorithm: one number, the time at which the bucket is full again.

    Source: ITU-T I.371, annex A.
    """

    full_at: float = 0.0

    def lease(self, limit: Limit, wanted: int, now: float) -> Lease:
        """Grant as much of what is wanted as the burst allows."""
        full_at = max(self.full_at, now)
        room = math.floor((now - full_at) / limit.interval + limit.burst + 1e-6)
        granted = max(0, min(wanted, room))
        self.full_at = full_at + granted * limit.interval
        return Lease(granted, now + LEASE_SECONDS, room - granted, self.full_at - now)


def merged(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Merge the OpenAPI documents of services; schemas get their service's name in front."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for service, document in sorted(documents.items()):
        text = json.dumps(document)
        own = document.get("components", {}).get("schemas", {})
        for name in own:
            text = text.replace(
                f'"#/components/schemas/{name}"', f'"#/components/schemas/{service}.{name}"'
            )
        renamed = json.loads(text)
        paths.update(renamed.get("paths", {}))
        for name, schema in renamed.get("components", {}).get("schemas", {}).items():
            schemas[f"{service}.{name}"] = schema
    return {
        "openapi": "3.1.0",
        "info": {"title": "Billplane", "version": "v1", "description": "Every service."},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }
