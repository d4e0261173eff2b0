"""Writing: what many requests bring is written by one statement and one commit.

A tenant's books in one mode are the shard: one writer of this process at a time, and the row lock
of the books keeps the writers of other processes out until its transaction has ended. A writer
that died has lost the lock with its connection, so that none can write late.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from billplane.chassis import idempotency, ids, logging
from billplane.chassis.auth import Principal
from billplane.chassis.database import Transaction
from billplane.chassis.errors import BillplaneError, StoreUnavailable
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.idempotency import StoredAnswer
from billplane.chassis.runtime import Runtime
from billplane.ledger import repository
from billplane.ledger.errors import LedgerBusy
from billplane.ledger.repository import Outcome, Transfer
from billplane.ledger.service.posting import announce
from billplane.ledger.settings import LedgerSettings

_log = logging.get("ledger")
REPLAYED = "REPLAYED"
FEW = 64
GATHER_SECONDS = 0.002

# What is told about some outcomes, and how the answer is kept under the request's key.
Answer = Callable[[Transaction, Sequence[Outcome]], Awaitable[tuple[Any, StoredAnswer | None]]]
Shard = tuple[str, bool]

register("ledger.before_apply", "ledger.after_apply", "ledger.after_end_before_answer")


class Submission:
    """The transfers of one request, and who waits for what becomes of them."""

    __slots__ = ("answer", "done", "fingerprint", "key", "names", "principal", "transfers")

    def __init__(
        self,
        principal: Principal,
        transfers: Sequence[Transfer],
        answer: Answer,
        key: str,
        fingerprint: str,
    ) -> None:
        self.principal = principal
        self.transfers = transfers
        self.answer = answer
        self.key = key
        self.fingerprint = fingerprint
        # Two that share a name are written one after the other, so that the second finds the first.
        self.names = {("key", key)} if key else set()
        for item in transfers:
            if item.external_id:
                self.names.add(("external_id", item.external_id))
            if item.parent_id:
                self.names.add(("parent", item.parent_id))
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Writer:
    """What this process holds on its way into the books."""

    def __init__(self, runtime: Runtime) -> None:
        settings: LedgerSettings = runtime.settings  # type: ignore[assignment]
        self._runtime = runtime
        self._batch_transfers = settings.batch_transfers
        self._few = min(FEW, self._batch_transfers)
        self._waiting_max = settings.transfers_waiting_max
        self._waiting = 0
        self.name = f"{socket.gethostname()}/{ids.new('wrt')}"
        self._room = asyncio.Semaphore(settings.writers)
        self._queues: dict[Shard, deque[Submission]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def write(
        self,
        principal: Principal,
        transfers: Sequence[Transfer],
        answer: Answer,
        key: str = "",
        fingerprint: str = "",
    ) -> Any:
        """Write transfers in order, each wholly or not at all; return what `answer` makes of it.

        Raises: what `answer` raises, Replay when the key has its answer, IdempotencyKeyReused,
        LedgerBusy, StoreUnavailable.
        Idempotent by: the key.
        """
        if self._waiting + len(transfers) > self._waiting_max:
            raise LedgerBusy("too much waits to be written; try again", retry_after_seconds=1)
        submission = Submission(principal, transfers, answer, key, fingerprint)
        shard = (principal.tenant_id, principal.livemode)
        queue = self._queues.get(shard)
        self._waiting += len(transfers)
        if queue is not None:
            queue.append(submission)
        else:
            queue = self._queues[shard] = deque([submission])
            task = asyncio.create_task(self._write_all(shard, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        # Whoever goes away does not take back what others wait for in the same batch.
        value = await asyncio.shield(submission.done)
        faultpoint("ledger.after_end_before_answer")
        return value

    async def close(self) -> None:
        """Finish what waits."""
        await asyncio.gather(*self._tasks)

    async def _write_all(self, shard: Shard, queue: deque[Submission]) -> None:
        """Write what has gathered until nothing has.

        The first goes at once. While Postgres writes, others gather, and go together: where few
        have come, with those that are told now and come again at once.
        """
        try:
            while queue:
                async with self._room:
                    await self._write(self._gather(queue))
                if 0 < sum(len(item.transfers) for item in queue) < self._few:
                    await asyncio.sleep(GATHER_SECONDS)
        finally:
            del self._queues[shard]

    def _gather(self, queue: deque[Submission]) -> list[Submission]:
        batch = [queue.popleft()]
        names, size = set(batch[0].names), len(batch[0].transfers)
        while queue:
            following = queue[0]
            size += len(following.transfers)
            if size > self._batch_transfers or not names.isdisjoint(following.names):
                break
            names |= following.names
            batch.append(queue.popleft())
        return batch

    async def _write(self, batch: list[Submission]) -> None:
        faultpoint("ledger.before_apply")
        self._waiting -= sum(len(submission.transfers) for submission in batch)
        runtime = self._runtime
        try:
            async with runtime.database.write(runtime, batch[0].principal) as tx:
                results = await self._apply(tx, batch)
                faultpoint("ledger.after_apply")
        except StoreUnavailable as error:
            for submission in batch:
                _tell(submission, error)
            return
        except Exception as error:
            if len(batch) == 1:
                _tell(batch[0], error)
                return
            # No transfer comes here that Postgres should refuse: one that does goes alone.
            _log.warning("ledger_batch_split", submissions=len(batch), error=str(error)[:500])
            self._waiting += sum(len(submission.transfers) for submission in batch)
            for submission in batch:
                await self._write([submission])
            return
        for submission, result in zip(batch, results, strict=True):
            _tell(submission, result)

    async def _apply(self, tx: Transaction, batch: Sequence[Submission]) -> list[Any]:
        """Apply a batch and make the answers, which are kept with what they tell of."""
        transfers = [(item.key, transfer) for item in batch for transfer in item.transfers]
        applied = await repository.apply(tx, self.name, transfers)
        outcomes = applied.outcomes
        results: list[Any] = []
        kept = []
        at = 0
        for submission in batch:
            own = outcomes[at : at + len(submission.transfers)]
            at += len(own)
            try:
                if own[0].code == REPLAYED:
                    await _replay(tx, submission)
                value, answer = await submission.answer(tx, own)
                if submission.key and answer is not None:
                    kept.append((submission.key, submission.fingerprint, answer))
                results.append(value)
            except (BillplaneError, idempotency.Replay) as error:
                results.append(error)
        await announce(tx, [transfer for _, transfer in transfers], applied)
        await repository.keep_answers(tx, kept)
        return results


async def _replay(tx: Transaction, submission: Submission) -> None:
    answer = await idempotency.find(tx, submission.key, submission.fingerprint)
    if answer is not None:
        raise idempotency.Replay(answer)


def _tell(submission: Submission, result: Any) -> None:
    if submission.done.done():
        return
    if isinstance(result, BaseException):
        submission.done.set_exception(result)
        submission.done.exception()  # whoever waited may have gone away
    else:
        submission.done.set_result(result)
