"""Where resources are written and their status is read: a folder, or a cluster."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from billplane.chassis.errors import BillplaneError

from billplane_operator.kinds import ChildName, Desired, Document, Key, Policy


@dataclass(frozen=True, slots=True)
class Broken:
    """A resource that cannot be read; it is left as it runs until somebody mends it."""

    message: str
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Gone:
    """A resource that is no longer wanted, and what becomes of what it made."""

    policy: Policy
    uid: str


@dataclass(frozen=True, slots=True)
class Settled:
    """A resource whose status calls it ready: what a service runs then."""

    uid: str
    spec_hash: str
    generation: int | None = None


class Port(Protocol):
    """What reconciling needs of the place that resources are in."""

    def keys(self) -> Iterable[Key]:
        """Return every resource that is wanted, or was and is not cleaned up after."""

    async def read(self, key: Key) -> Desired | Broken | Gone | None:
        """Return what is wanted now; None when there is nothing and never was."""

    def settled(self, key: Key) -> Settled | None:
        """Return what a resource's status calls ready, unread; None when in doubt."""

    def generation(self, key: Key) -> int:
        """Return the generation of the spec as it is; 0 where nobody counts."""

    def told(self, key: Key) -> Mapping[str, Any]:
        """Return the status as it was written last."""

    async def write(self, key: Key, status: Mapping[str, Any]) -> None:
        """Write a status."""

    async def hold(self, key: Key) -> None:
        """Make sure that a resource does not go before it is cleaned up after."""

    async def clear(self, key: Key) -> None:
        """Let go of a resource that is cleaned up after."""

    def explain(self, key: Key, error: BillplaneError) -> str:
        """Tell where in the resource lies what a service refused."""

    def children(self, key: Key) -> Mapping[ChildName, Document]:
        """Return the objects that belong to a resource, as they were seen last."""

    async def ensure_child(self, key: Key, document: Document) -> None:
        """Make an object that belongs to a resource what it is to be."""

    async def delete_child(self, key: Key, child: ChildName) -> None:
        """Delete an object that belongs to a resource."""

    async def look_around(self) -> Iterable[Key]:
        """Look at what else counts, as objects that belong to resources; return what changed."""
