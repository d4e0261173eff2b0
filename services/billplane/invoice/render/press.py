"""Prints documents in a few threads of its own, so that the event loop never waits for one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from billplane.invoice.render.document import InvoiceDocument
from billplane.invoice.render.page import render_invoice, try_logo

THREADS_MAX = 2


class Press:
    """The threads of one process."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="invoice-press")

    async def print(self, document: InvoiceDocument) -> bytes:
        """Render a document as PDF."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, render_invoice, document)

    async def check_logo(self, logo: str) -> None:
        """Draw a logo for trial.

        Raises: LogoInvalid.
        """
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, try_logo, logo)

    async def close(self) -> None:
        """End the threads once they have finished."""
        await asyncio.to_thread(self._threads.shutdown)
