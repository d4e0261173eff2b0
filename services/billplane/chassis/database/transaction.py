"""One request, message or job step is one transaction; reading and writing are types."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import grpc
from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.auth import Principal

if TYPE_CHECKING:
    from billplane.chassis.events.envelope import Metadata
    from billplane.chassis.runtime import Runtime

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class PeerCalledAfterWrite(RuntimeError):
    """A use case called a peer after its first write: a defect of the use case."""


class ReadTransaction:
    """What a query gets: rows of one tenant and mode, at one instant."""

    def __init__(
        self,
        runtime: "Runtime",
        session: AsyncSession,
        principal: Principal,
        now: datetime,
        request_id: str,
    ) -> None:
        self.runtime = runtime
        self.session = session
        self.principal = principal
        self.now = now
        self.request_id = request_id

    @property
    def tenant_id(self) -> str:
        """The tenant, from the credential."""
        return self.principal.tenant_id

    @property
    def livemode(self) -> bool:
        """The mode, from the credential."""
        return self.principal.livemode

    def authorize(self, scope: str) -> None:
        """Raise ScopeMissing unless the caller has the scope."""
        self.principal.require(scope)

    def require_internal(self) -> None:
        """Raise InternalOnly unless a service or the operator calls."""
        self.principal.require_internal()

    def require_staff(self, scope: str = "") -> None:
        """Raise StaffOnly unless somebody of the operating company calls, in a role for this."""
        self.principal.require_staff(scope)

    def channel(self, service: str) -> grpc.aio.Channel:
        """Return the channel to a peer; pass it to the peer's stub."""
        return self.runtime.channels.get(service)

    async def ask(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]",
        request: Request,
        *,
        timeout_seconds: float = 10,
    ) -> Response:
        """Call a peer on behalf of the caller.

        Raises: the peer's error; PeerCalledAfterWrite when this transaction has written.
        """
        if await self.wrote():
            raise PeerCalledAfterWrite("a peer is asked before the first write of a transaction")
        return await self.runtime.channels.ask(
            method, request, self.principal, self.request_id, timeout_seconds
        )

    async def wrote(self) -> bool:
        """True once the transaction has written or is about to."""
        session = self.session
        if session.new or session.dirty or session.deleted:
            return True
        connection = await session.connection()
        return bool(connection.info.get("wrote"))


class Transaction(ReadTransaction):
    """What a use case that changes something gets."""

    published = 0
    causation_id = ""
    correlation_id = ""
    afterwards: tuple[Callable[[], None], ...] = ()
    answers_secret = False
    staff_told = False

    def answer_secret(self) -> None:
        """Note that the answer shows a secret: it is kept sealed for a repeat of the request."""
        self.answers_secret = True

    def after_end(self, tell: Callable[[], None]) -> None:
        """Have a function called when, and only when, this transaction ended well.

        A process that dies in between never calls it: for what is found out later anyway.
        """
        self.afterwards = (*self.afterwards, tell)

    async def publish(self, message: Message, *, aggregate_id: str) -> str:
        """Announce a fact when, and only when, this transaction ends well.

        Returns: the event id.
        """
        return await self._outbox(message, aggregate_id)

    async def enqueue(self, task: Message, *, key: str) -> str:
        """Ask for work when, and only when, this transaction ends well; `key` orders it."""
        return await self._outbox(task, key)

    async def forward(self, envelope: bytes, metadata: "Metadata", destination: str) -> None:
        """Send a message that was received on to another place when this transaction ends well."""
        from billplane.chassis.events.outbox import forward  # noqa: PLC0415 - it needs this module

        self.published += 1
        await forward(self, envelope, metadata, destination)

    async def _outbox(self, message: Message, aggregate_id: str) -> str:
        from billplane.chassis.events.outbox import store  # noqa: PLC0415 - it needs this module

        self.published += 1
        return await store(self, message, aggregate_id)

    def caused_by(self, event_id: str, correlation_id: str) -> None:
        """Note which message or request made this transaction run."""
        self.causation_id = event_id
        self.correlation_id = correlation_id
