"""The ledger in processes of its own."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.fixtures.ports import free_port_offset

START_SECONDS = 60


@dataclass
class Served:
    """One process and where it listens."""

    process: Any
    url: str
    grpc_address: str
    environ: dict


@asynccontextmanager
async def serving(stores, **environ):
    """Run ledger alone in a process that is killed when the block ends."""
    offset = free_port_offset()
    values = {"BILLPLANE_LOG_LEVEL": "ERROR", **stores.environ(offset), **environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "billplane", "run", "ledger"), env={**os.environ, **values}
    )
    url = f"http://127.0.0.1:{8080 + offset}"
    try:
        async with aiohttp.ClientSession() as http:
            for _ in range(START_SECONDS * 20):
                if await _is_up(http, url):
                    break
                await asyncio.sleep(0.05)
        yield Served(process, url, f"127.0.0.1:{50051 + offset}", values)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _is_up(http, url):
    try:
        async with http.get(f"{url}/health/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
