"""Delivering: claims of some hundred, a queue an endpoint, results written set-wise.

What is slow or dead takes its own time and nobody else's: an endpoint has few deliveries under
way at once, a failing one has one, and whoever takes longer than a second leaves the common lane.
"""

import asyncio
import random
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from billplane.chassis import ids, logging
from billplane.chassis.auth import service_principal
from billplane.chassis.errors import BillplaneError, StoreUnavailable
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.finishing import end_if_cancelled
from billplane.chassis.http_client import FetchFailed, HttpClient, UrlRefused
from billplane.chassis.runtime import Runtime
from billplane.chassis.sealing import SealBroken
from billplane.notification import domain
from billplane.notification.repository import deliveries
from billplane.notification.repository.deliveries import Result
from billplane.notification.service import endpoints
from billplane.notification.service.state import State
from billplane.notification.settings import NotificationSettings

_log = logging.get("notification")

CLAIM_ROWS: Final = 500
LANE_WIDTH: Final = 128
LANE_SECONDS: Final = 1.0
CLAIMED_TIMES: Final = 4
PAUSE_SECONDS: Final = 0.02
LOOK_SECONDS: Final = 1.0
WRITE_SECONDS: Final = 0.1
LEASE_SECONDS: Final = 120.0
ANSWER_BYTES_MAX: Final = 16_384
ANSWER_KEPT: Final = 500
SECRETS_KEPT: Final = 20_000

register(
    "webhook.after_claim", "webhook.after_send_before_result", "webhook.after_result_before_disable"
)


class _Queue:
    """What one endpoint has in hand."""

    __slots__ = ("failing", "full", "running", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Any] = deque()
        self.running = 0
        self.failing = False
        self.full = False

    def __len__(self) -> int:
        return len(self.waiting) + self.running


class Courier:
    """Delivers what is due, in this process."""

    def __init__(self, runtime: Runtime, state: State) -> None:
        settings: NotificationSettings = runtime.settings  # type: ignore[assignment]
        self._runtime = runtime
        self._state = state
        self._settings = settings
        self._name = f"{socket.gethostname()}/{ids.new('crr')}"
        self._http = HttpClient(
            settings.outgoing_allow_list, settings.webhook_timeout_seconds, connections=0
        )
        self._lane = asyncio.Semaphore(LANE_WIDTH)
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._claimed_at_once = settings.webhooks_per_endpoint * CLAIMED_TIMES
        self._in_hand = 0
        self._late = 0
        self._starved = False
        self._after = ("", "")
        self._secrets: dict[bytes, str] = {}
        self._results: dict[tuple[str, str], Result] = {}
        self._more = asyncio.Event()
        self._done = asyncio.Event()
        self._sending: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look for what is due."""
        self._loops = [
            asyncio.create_task(self._claim_all()),
            asyncio.create_task(self._write_all()),
        ]

    def wake(self) -> None:
        """Look now."""
        self._more.set()

    async def close(self) -> None:
        """Finish what is under way; what waits is left for others once its lease ends."""
        if not self._loops:
            return
        claiming, writing = self._loops
        claiming.cancel()
        await asyncio.gather(claiming, return_exceptions=True)
        for queue in self._queues.values():
            queue.waiting.clear()
        if self._sending:
            sending = set(self._sending)
            _, late = await asyncio.wait(sending, timeout=self._settings.webhook_timeout_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await self._write()
        await self._http.close()

    async def _claim_all(self) -> None:
        while True:
            end_if_cancelled()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._more.wait()
            except TimeoutError:
                pass
            self._more.clear()
            try:
                await self._claim()
                await asyncio.sleep(PAUSE_SECONDS)
            except StoreUnavailable as error:
                _log.warning("webhooks_wait", error=str(error))
                await asyncio.sleep(LOOK_SECONDS)
            except Exception:
                _log.exception("webhooks_not_claimed")
                await asyncio.sleep(LOOK_SECONDS)

    async def _claim(self) -> None:
        """Claim round by round until a whole round of all endpoints has nothing more."""
        turned = False
        while not turned:
            room = self._room()
            self._starved = room <= 0
            if self._starved:
                return  # whoever is done wakes us
            failing = sum(len(queue) for queue in self._queues.values() if queue.failing)
            async with self._runtime.database.across_tenants() as session:
                rows = await deliveries.claim(
                    session,
                    self._name,
                    self._runtime.clock.now(),
                    lease_seconds=LEASE_SECONDS,
                    row_limit=room,
                    per_endpoint=self._claimed_at_once,
                    busy=[endpoint for (_, endpoint), queue in self._queues.items() if len(queue)],
                    with_failing=failing < self._settings.webhook_connections // 2,
                    after=self._after,
                )
            faultpoint("webhook.after_claim")
            # From the first endpoint on and nothing found: the round is over.
            turned = len(rows) < room and self._after == ("", "")
            self._after = ("", "") if len(rows) < room else (rows[-1][0], rows[-1].endpoint_id)
            until = time.monotonic() + LEASE_SECONDS / 2
            for row in rows:
                self._take(row, until)

    def _room(self) -> int:
        """Return how many more may be taken in hand; those that take long count a quarter."""
        most = self._settings.webhook_connections
        return min(CLAIM_ROWS, most - (self._in_hand - self._late), 4 * most - self._in_hand)

    def _take(self, row: Any, until: float) -> None:
        queue = self._queues.setdefault((row.tenant_id, row.endpoint_id), _Queue())
        queue.failing = queue.failing or row.failing
        queue.waiting.append((row, until))
        queue.full = len(queue) >= self._claimed_at_once
        self._in_hand += 1
        self._go_on(queue)

    def _go_on(self, queue: _Queue) -> None:
        width = 1 if queue.failing else self._settings.webhooks_per_endpoint
        while queue.waiting and queue.running < width:
            row, until = queue.waiting.popleft()
            queue.running += 1
            task = asyncio.create_task(self._deliver(queue, row, until))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _deliver(self, queue: _Queue, row: Any, until: float) -> None:
        slot = _Slot(self._lane, self._note_late)
        try:
            async with slot:
                if time.monotonic() < until:  # later somebody else may have it in hand
                    result = await self._send(row)
                    faultpoint("webhook.after_send_before_result")
                    queue.failing = result.state != domain.SUCCEEDED
                    self._results[result.tenant_id, result.id] = result
                    self._done.set()
        except Exception:
            _log.exception("webhook_not_sent", delivery_id=row.id)
        finally:
            queue.running -= 1
            self._in_hand -= 1
            self._late -= slot.late
            self._go_on(queue)
            if not len(queue):
                self._queues.pop((row.tenant_id, row.endpoint_id), None)
                if queue.full:
                    self._more.set()
            if self._starved and self._room() > 0:
                self._more.set()

    def _note_late(self) -> None:
        self._late += 1
        if self._starved:
            self._more.set()

    async def _send(self, row: Any) -> Result:
        at = self._runtime.clock.now()
        payload = row.body.encode()
        try:
            secrets = self._live(row, at)
        except SealBroken as broken:
            why = f"the secret cannot be read, rotate it: {broken.detail}"
            return self._result(row, at, None, why, "", 0)
        signed = domain.sign(payload, row.event_id, int(at.timestamp()), secrets)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Billplane/1.0 (+webhooks)",
            "Stripe-Signature": signed.stripe,
            "webhook-id": row.event_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signed.standard,
        }
        started, status, error, answer = time.monotonic(), None, "", ""
        try:
            found = await self._http.fetch(
                row.url,
                method="POST",
                headers=headers,
                data=payload,
                answer_bytes_kept=ANSWER_BYTES_MAX,
            )
            status, answer = found.status, found.body[:ANSWER_KEPT].decode("utf-8", "replace")
        except (FetchFailed, UrlRefused) as failure:
            error = failure.detail[:ANSWER_KEPT]
        if status is not None and not 200 <= status < 300:
            error = f"answered {status}"
        return self._result(row, at, status, error, answer, time.monotonic() - started)

    def _result(
        self, row: Any, at: Any, status: int | None, error: str, answer: str, seconds: float
    ) -> Result:
        now = self._runtime.clock.now()
        state, due_at = domain.SUCCEEDED, now
        if error:
            chance = random.randrange(1000)  # noqa: S311 - spreads load
            again = domain.retry_at(row.attempts + 1, row.started_at, now, chance)
            state = domain.FAILED if again is None else domain.PENDING
            due_at = again or now
        return Result(
            tenant_id=row.tenant_id,
            id=row.id,
            endpoint_id=row.endpoint_id,
            state=state,
            status=status,
            error=error,
            due_at=due_at,
            attempted_at=at,
            milliseconds=int(seconds * 1000),
            answer=answer.replace("\0", ""),
        )

    def _live(self, row: Any, at: Any) -> list[str]:
        """Return the secrets that sign now: the endpoint's, and the one before while it lives.

        Raises: SealBroken when the endpoint's cannot be opened.
        """
        found = [self._opened(row, row.secret)]
        if row.previous_secret is not None and row.previous_expires_at > at:
            with suppress(SealBroken):
                found.append(self._opened(row, row.previous_secret))
        return found

    def _opened(self, row: Any, sealed: bytes) -> str:
        secret = self._secrets.get(sealed)
        if secret is None:
            if len(self._secrets) > SECRETS_KEPT:
                self._secrets.clear()
            place = endpoints.place_of(row.tenant_id, row.endpoint_id)
            secret = self._secrets[sealed] = self._state.sealer.open(sealed, *place).decode()
        return secret

    async def _write_all(self) -> None:
        while True:
            end_if_cancelled()
            await self._done.wait()
            await asyncio.sleep(WRITE_SECONDS)
            self._done.clear()
            try:
                await self._write()
            except StoreUnavailable as error:
                _log.warning("webhook_results_wait", error=str(error))
                self._done.set()
            except Exception:
                _log.exception("webhook_results_not_written")
                self._done.set()
                await asyncio.sleep(LOOK_SECONDS)

    async def _write(self) -> None:
        """Write the results there are; they are kept until they are written."""
        taken = dict(self._results)
        if not taken:
            return
        now = self._runtime.clock.now()
        async with self._runtime.database.across_tenants() as session:
            leaving = await deliveries.finish(session, self._name, now, list(taken.values()))
        for key, result in taken.items():
            if self._results.get(key) is result:
                del self._results[key]
        faultpoint("webhook.after_result_before_disable")
        for row in leaving:
            await self._disable(row)

    async def _disable(self, row: Any) -> None:
        runtime = self._runtime
        principal = service_principal(runtime.name, row.tenant_id, row.livemode)
        try:
            async with runtime.database.write(runtime, principal) as tx:
                await endpoints.disable_endpoint(tx, row.endpoint_id, row.reason)
        except BillplaneError as error:
            # The next attempt finds it so again.
            _log.warning("endpoint_not_disabled", endpoint_id=row.endpoint_id, error=str(error))


class _Slot:
    """A place in the common lane, given up by who takes longer than a moment."""

    def __init__(self, lane: asyncio.Semaphore, note_late: Callable[[], None]) -> None:
        self._lane = lane
        self._note_late = note_late
        self._held = False
        self.late = False

    async def __aenter__(self) -> None:
        await self._lane.acquire()
        self._held = True
        self._timer = asyncio.get_running_loop().call_later(LANE_SECONDS, self._leave)

    async def __aexit__(self, *_error: object) -> None:
        self._timer.cancel()
        self._let_go()

    def _leave(self) -> None:
        self.late = True
        self._let_go()
        self._note_late()

    def _let_go(self) -> None:
        if self._held:
            self._held = False
            self._lane.release()
