"""Work of several transactions for one request, with no connection held while peers are asked.

A use case that asks peers opens a transaction to read, lets go of it, asks, and ends with the
transaction of its effect. That one stays open until the answer is ready and stores it under the
request's key, so that effect and answer are one, as in a request of a single transaction.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Self, TypeVar

import grpc
from google.protobuf.message import Message

from billplane.chassis import acting, idempotency
from billplane.chassis.auth import Principal, service_principal
from billplane.chassis.database.transaction import ReadTransaction, Transaction

if TYPE_CHECKING:
    from types import TracebackType

    from billplane.chassis.runtime import Runtime

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Call:
    """A call whose use case opens its transactions itself; used as `async with`."""

    def __init__(
        self,
        runtime: "Runtime",
        principal: Principal,
        request_id: str = "",
        *,
        key: str = "",
        fingerprint: str = "",
        keeps_refusals: bool = False,
    ) -> None:
        self.runtime = runtime
        self.principal = principal
        self.request_id = request_id
        self.key = key
        self.fingerprint = fingerprint
        self._looked_up = not key
        # Where a refusal may become the key's answer, the first step leaves a mark against it.
        self._marks = self._keeps = keeps_refusals and bool(key)
        self.begun = False
        self._stack: AsyncExitStack | None = None
        self._last: Transaction | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace) if self._stack else None

    @property
    def keeps_answer(self) -> bool:
        """True when the answer, or a refusal, is kept under the key as it was told."""
        return self._keeps

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[ReadTransaction]:
        """Open a transaction that cannot write.

        Raises: Replay when the request was answered before.
        """
        runtime = self.runtime
        async with runtime.database.read(runtime, self.principal, self.request_id) as tx:
            await self._look_up(tx)
            yield tx

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Transaction]:
        """Open a transaction of one step.

        Raises: Replay when the request was answered before.
        """
        runtime = self.runtime
        first = False
        async with runtime.database.write(runtime, self.principal, self.request_id) as tx:
            if self._marks:
                first = await idempotency.begin(tx, self.key, self.fingerprint)
            else:
                await self._look_up(tx)
            yield tx
            await acting.tell(tx)
        if self._marks:
            self.begun, self._marks, self._looked_up = first, False, True

    async def begin(self) -> None:
        """Look whether the request was answered before, where the use case reads nothing itself.

        Raises: Replay when it was; TenantRequired.
        """
        async with self.reading():
            return

    async def last(self) -> Transaction:
        """Open the transaction that ends with the call; no peer is asked after it.

        Raises: Replay, IdempotencyKeyInUse, IdempotencyKeyReused.
        """
        runtime = self.runtime
        if self._stack is None:
            self._stack = AsyncExitStack()
        tx = await self._stack.enter_async_context(
            runtime.database.write(runtime, self.principal, self.request_id)
        )
        if self.key:
            answer = await idempotency.claim(tx, self.key, self.fingerprint)
            if answer is not None:
                raise idempotency.Replay(answer)
        self._last = tx
        return tx

    @property
    def ending(self) -> Transaction:
        """The last transaction, once it is open.

        Raises: RuntimeError before.
        """
        if self._last is None:
            raise RuntimeError("the last transaction of the call is not open yet")
        return self._last

    async def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Store the answer in the last transaction, when there is one and a key."""
        if self._last is not None:
            await acting.tell(self._last)
        if self._last is not None and self.key:
            await idempotency.store(self._last, self.key, self.fingerprint, status, headers, body)

    async def ask(
        self,
        method: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]",
        request: Request,
        *,
        timeout_seconds: float = 10,
    ) -> Response:
        """Call a peer as this service, for the caller's tenant and mode.

        The caller's own scopes were checked by the use case; what it may do here is not what it
        may do there.

        Raises: the peer's error.
        """
        caller = self.principal
        own = service_principal(self.runtime.name, caller.tenant_id, caller.livemode)
        return await self.runtime.channels.ask(
            method, request, own, self.request_id, timeout_seconds
        )

    async def _look_up(self, tx: ReadTransaction) -> None:
        if self._looked_up:
            return
        answer = await idempotency.find(tx, self.key, self.fingerprint)
        if answer is not None:
            raise idempotency.Replay(answer)
        self._looked_up = True
