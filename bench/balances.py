"""Bar 15: an account's balance over gRPC while transfers run, against an empty echo.

The echo is a `grpc.aio` server in a process of its own that gives back what it gets; the client is
the same, 32 calls at a time, and so are the transfers that run meanwhile. The notes tell the 99th
percentile with and without them.
"""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import grpc
from billplane.protos.ledger.v1 import ledger_pb2 as pb

from bench.harness import Bar, Bench, Run
from bench.ledger_sides import Ledger, account, open_ledger
from bench.stores import open_stores
from tests.fixtures.ports import free_port

ACCOUNTS = 100_000
CALLS = 1_500
IN_FLIGHT = 32
ECHO = "/bench.Echo/Echo"
PAUSE_SECONDS = 0.2


async def measure(bench: Bench) -> None:
    with open_stores() as stores:
        async with open_ledger(stores, ACCOUNTS) as ledger, open_echo() as (echo, pid):
            balance = ledger.call("GetBalance")
            idle = await _percentile(ledger, balance)
            async with _transferring(ledger):
                busy = await _percentile(ledger, balance)
                await bench.compare_runs(
                    Bar(
                        15,
                        "ledger, balance while transfers run",
                        "empty grpc.aio echo",
                        "GetBalance",
                        "call",
                        Decimal("0.6"),
                    ),
                    reference=lambda: calls(ledger, echo, pids=[pid]),
                    ours=lambda: calls(ledger, balance),
                    notes={"p99_milliseconds": {"idle": idle, "while transfers run": busy}},
                )
            await ledger.check()


async def calls(
    ledger: Ledger,
    method: Any,
    seconds: list[float] | None = None,
    pids: Sequence[int] = (),
) -> Run:
    """Call, many at a time; note how long each took where that is wanted."""
    left = [
        pb.GetBalanceRequest(
            account_id=account(random.randint(1, ledger.accounts))
        ).SerializeToString()
        for _ in range(CALLS)
    ]

    async def work() -> None:
        while left:
            started = time.perf_counter()
            await method(left.pop(), metadata=ledger.metadata(), timeout=30)
            if seconds is not None:
                seconds.append(time.perf_counter() - started)

    return await ledger.timed(CALLS, work, IN_FLIGHT, pids)


async def _percentile(ledger: Ledger, method: Any) -> float:
    seconds: list[float] = []
    await calls(ledger, method, seconds)
    return round(sorted(seconds)[len(seconds) * 99 // 100] * 1000, 1)


@asynccontextmanager
async def _transferring(ledger: Ledger) -> AsyncIterator[None]:
    """Post a batch now and then."""
    requests = ledger.requests(5, hot=False)

    async def work() -> None:
        while True:
            await ledger.post(requests[:1], in_flight=1)
            await asyncio.sleep(PAUSE_SECONDS)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def open_echo() -> AsyncIterator[tuple[Any, int]]:
    """Run the echo in a process of its own; give its method and the process."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.balances", str(port)), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel.unary_unary(ECHO), process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def serve_echo(port: int) -> None:
    """Give back what comes."""

    async def echo(request: bytes, _context: Any) -> bytes:
        return request

    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve_echo(int(sys.argv[1])))
