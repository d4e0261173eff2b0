"""The declaration of a service; nothing happens here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter

from billplane.chassis.events import Consumers, MessageType
from billplane.chassis.jobs import Jobs
from billplane.chassis.rpc import Rpc
from billplane.chassis.settings import Settings

if TYPE_CHECKING:
    from billplane.chassis.invariants import Invariant
    from billplane.chassis.runtime import Runtime

Asgi = Callable[[Any, Any, Any], Any]
LimitClass = Literal["read_write", "usage", "login", "none"]


@dataclass(frozen=True, slots=True)
class Route:
    """A path prefix that leads to the service, on the gateway and in any shared process.

    `public` needs no credential; `demo` works without one where a demo tenant is set; `dialect`
    is what it answers in: ours, or that of Stripe's SDKs.
    """

    prefix: str
    limit: LimitClass = "read_write"
    public: bool = False
    demo: bool = False
    dialect: Literal["billplane", "stripe"] = "billplane"

    def matches(self, path: str) -> bool:
        """True for the prefix itself and what lies below it."""
        prefix = self.prefix
        return path == prefix or (
            path.startswith(prefix) and (prefix[-1] == "/" or path[len(prefix)] in "/:")
        )


@dataclass(frozen=True, slots=True)
class ServiceApp:
    """What a service is made of.

    `asgi` builds raw routes (path → ASGI app) for hot paths, one that returns what to receive from
    leaves the request to `rest`; `front` replaces the whole REST side
    of the service that is the door to all others; `start` prepares what lives as long as the
    process and returns what to close; `mirrors` are the places that it forwards messages to.
    """

    name: str
    title: str
    description: str
    settings: type[Settings] = Settings
    rest: APIRouter | None = None
    rpc: Sequence[Rpc] = ()
    routes: Sequence[Route] = ()
    messages: Sequence[MessageType] = ()
    mirrors: Sequence[str] = ()
    consumers: Consumers | None = None
    jobs: Jobs | None = None
    invariants: Sequence["Invariant"] = ()
    depends_on: Sequence[str] = ()
    kept_rest_ports: Sequence[int] = ()
    kept_grpc_ports: Sequence[int] = ()
    asgi: Callable[["Runtime"], dict[str, Asgi]] | None = None
    front: Callable[["Runtime"], Asgi] | None = None
    start: Callable[["Runtime"], Any] | None = None
    finders: Sequence[str] = ()
    batch_writers: Sequence[str] = ()
    extra: dict[str, Any] = field(default_factory=dict)
