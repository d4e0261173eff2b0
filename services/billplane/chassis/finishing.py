"""Stopping: what is in hand is finished within the grace period, and then nothing goes on."""

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


def end_if_cancelled() -> None:
    """End the task that was cancelled while a library did not say so.

    Before Python 3.12 `asyncio.wait_for` loses the cancellation that comes as its work ends, and
    clients of stores send with it: whatever loops until it is cancelled asks here each time.

    Raises: CancelledError.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
