"""Waiting for what happens in the background."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

Seen = TypeVar("Seen")


async def eventually(look: Callable[[], Awaitable[Seen]], seconds: float = 20) -> Seen:
    """Look until there is something to see, and return it."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.02)
