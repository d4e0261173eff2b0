"""Wake-ups: a word over Redis that there is something new to look for.

They may be lost at any time. Who waits looks by itself every now and then; what there is to find
is in a store that keeps it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from billplane.chassis import logging
from billplane.chassis.finishing import end_if_cancelled

_log = logging.get("events")

# How long one waits at most before looking without having been woken.
SILENCE_SECONDS: Final = 2.0
_AGAIN_SECONDS: Final = 1.0


class Wakeups:
    """Wakes who waits for a topic, in this process and in others."""

    def __init__(self, redis: "Redis", prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._said: set[str] = set()
        self._saying: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    def wake(self, topic: str) -> None:
        """Say that a topic has something new; what is said at once goes out together."""
        self._wake_here(topic)
        self._said.add(topic)
        if self._saying is None or self._saying.done():
            self._saying = asyncio.create_task(self._say())

    @asynccontextmanager
    async def waiting(self, topic: str) -> AsyncIterator[asyncio.Event]:
        """Give the event that is set whenever the topic has something new; clear it, then look."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        event = asyncio.Event()
        self._waiting.setdefault(topic, set()).add(event)
        try:
            yield event
        finally:
            left = self._waiting[topic]
            left.discard(event)
            if not left:
                del self._waiting[topic]

    async def close(self) -> None:
        """Stop listening."""
        tasks = [task for task in (self._saying, self._listening) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wake_here(self, topic: str) -> None:
        for event in self._waiting.get(topic, ()):
            event.set()

    async def _say(self) -> None:
        while self._said:
            end_if_cancelled()
            topics, self._said = self._said, set()
            pipeline = self._redis.pipeline(transaction=False)
            for topic in topics:
                pipeline.publish(f"{self._prefix}:{topic}", b"")
            try:
                await pipeline.execute(raise_on_error=False)
            except RedisError as error:
                _log.info("wake_up_lost", error=str(error))

    async def _listen(self) -> None:
        while True:
            end_if_cancelled()
            try:
                async with self._redis.pubsub() as channel:
                    await channel.psubscribe(f"{self._prefix}:*")
                    async for message in channel.listen():
                        end_if_cancelled()
                        self._hear(message)
            except (RedisError, OSError) as error:
                _log.info("wake_ups_away", error=str(error))
            await asyncio.sleep(_AGAIN_SECONDS)

    def _hear(self, message: Any) -> None:
        if message["type"] == "psubscribe":
            # Whatever was said before this moment was not heard.
            for topic in list(self._waiting):
                self._wake_here(topic)
        elif message["type"] == "pmessage":
            name = message["channel"].decode()
            self._wake_here(name.removeprefix(f"{self._prefix}:"))


async def woken(event: asyncio.Event, seconds: float = SILENCE_SECONDS) -> None:
    """Wait until woken, or so long."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    finally:
        event.clear()
