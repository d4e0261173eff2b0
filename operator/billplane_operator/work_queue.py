"""The queue of resources to look at: each once, and those that others name first."""

import asyncio
import random
from collections.abc import Hashable
from typing import Final, Generic, TypeAlias, TypeVar

BACKOFF_FIRST_SECONDS: Final = 0.5

Item = TypeVar("Item", bound=Hashable)
_Turn: TypeAlias = tuple[bool, int]
"""Whether an item failed, and its rank: what is lower comes first."""


class WorkQueue(Generic[Item]):
    """Items with a rank; an item that is added while it is in hand is given out once more.

    An item of a higher rank waits until none of a lower rank is waiting or in hand. One that
    failed holds nobody up: it backs off, comes after all others, and only `retrying_max` of its
    like are in hand at once, so that a service that is away leaves room for the rest.
    """

    def __init__(self, backoff_max_seconds: float, retrying_max: int = 1_000) -> None:
        self._backoff_max_seconds = backoff_max_seconds
        self._retrying_max = retrying_max
        self._shut = False
        self._waiting: dict[Item, _Turn] = {}
        # Whose turn is alike waits in order; the queue is long only when everything is new.
        self._lines: dict[_Turn, dict[Item, None]] = {}
        self._in_hand: dict[Item, int] = {}
        self._again: set[Item] = set()
        self._failures: dict[Item, int] = {}
        self._timers: dict[Item, asyncio.TimerHandle] = {}
        self._changed = asyncio.Condition()

    async def add(self, item: Item, rank: int) -> None:
        """Ask for a look at an item, now."""
        self._cancel_timer(item)
        async with self._changed:
            if item in self._in_hand:
                self._again.add(item)
            else:
                self._line_up(item, rank)
            self._changed.notify_all()

    async def take(self) -> Item | None:
        """Wait for the next item; it must be given back by `done` or `failed`. None = shut."""
        async with self._changed:
            while not self._shut:
                item = self._next()
                if item is not None:
                    _, self._in_hand[item] = self._leave(item)
                    return item
                await self._changed.wait()
        return None

    async def shut(self) -> None:
        """Give nothing out any more."""
        async with self._changed:
            self._shut = True
            self._changed.notify_all()
        self.close()

    def depth(self) -> int:
        """Return how many items wait; those that back off do not count."""
        return len(self._waiting)

    async def done(self, item: Item) -> None:
        """Give an item back that went well."""
        self._failures.pop(item, None)
        await self._give_back(item)

    async def failed(self, item: Item) -> None:
        """Give an item back that is to be tried again, each time later than before."""
        rank = self._in_hand[item]
        if item not in self._again and not self._shut:
            delay = self._delay(item)
            loop = asyncio.get_running_loop()
            self._timers[item] = loop.call_later(
                delay, lambda: loop.create_task(self.add(item, rank))
            )
        await self._give_back(item)

    def forget(self, item: Item) -> None:
        """Drop what is remembered of an item's failures."""
        self._cancel_timer(item)
        if self._failures.pop(item, None) is not None and item in self._waiting:
            _, rank = self._leave(item)
            self._line_up(item, rank)

    def close(self) -> None:
        """Cancel what backs off."""
        for item in list(self._timers):
            self._cancel_timer(item)

    async def _give_back(self, item: Item) -> None:
        async with self._changed:
            rank = self._in_hand.pop(item)
            if item in self._again:
                self._again.discard(item)
                self._line_up(item, rank)
            self._changed.notify_all()

    def _line_up(self, item: Item, rank: int) -> None:
        if item not in self._waiting:
            turn = (item in self._failures, rank)
            self._waiting[item] = turn
            self._lines.setdefault(turn, {})[item] = None

    def _leave(self, item: Item) -> _Turn:
        turn = self._waiting.pop(item)
        line = self._lines[turn]
        del line[item]
        if not line:
            del self._lines[turn]
        return turn

    def _next(self) -> Item | None:
        if not self._lines:
            return None
        turn = min(self._lines)
        item = next(iter(self._lines[turn]))
        failed, rank = turn
        if failed:
            retrying = sum(other in self._failures for other in self._in_hand)
            return item if retrying < self._retrying_max else None
        held = any(
            other < rank for name, other in self._in_hand.items() if name not in self._failures
        )
        return None if held else item

    def _delay(self, item: Item) -> float:
        failures = self._failures.get(item, 0)
        self._failures[item] = failures + 1
        longest = min(BACKOFF_FIRST_SECONDS * 2.0 ** min(failures, 20), self._backoff_max_seconds)
        # Jitter, so that what failed together does not come back together.
        return longest * random.uniform(0.5, 1)  # noqa: S311 - no secret

    def _cancel_timer(self, item: Item) -> None:
        timer = self._timers.pop(item, None)
        if timer is not None:
            timer.cancel()
