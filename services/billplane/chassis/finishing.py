"""What is in hand is finished: a stop waits for it, within the grace period."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Await work to its end also when the caller is cancelled meanwhile; it is cancelled then.

    A second cancellation gives the work up.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.exception()  # its own words are in the log; here it only must not be lost
        raise
