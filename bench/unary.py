"""Bar 9: a unary gRPC call of a service, against an empty echo on a bare `grpc.aio` server.

Both servers run in processes of their own and are called by the same client, with the same bytes
and the same credential, many calls at a time. The service's function gives back its request as the
echo does; before and after it is what every call of ours has: who calls is verified, the request is
read and checked, logs and metrics are told, and an error would be a rich one. No store is asked, so
that what remains is the cost of the manner in which services answer.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import grpc
import uvloop
from billplane.chassis import logging
from billplane.chassis.app import ServiceApp
from billplane.chassis.auth import InternalTokens, Principal, derive_seed
from billplane.chassis.call import Call
from billplane.chassis.host import Platform, settle_memory
from billplane.chassis.rpc import Rpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from bench.balances import open_echo
from bench.harness import Bar, Bench, Run, cpu_seconds
from bench.served import SECRET, TENANT
from bench.stores import open_stores
from tests.fixtures.ports import free_port_offset

CALLS = 4_000
IN_FLIGHT = 32
READY_SECONDS = 60
PATH = "/bench.unary.Unary/Echo"
_TOKENS = InternalTokens(derive_seed(SECRET, b"billplane/internal/1"))
_OWNER = Principal(
    "user:usr_bench", TENANT, livemode=False, scopes=frozenset({"*"}), unlimited=True
)


async def measure(bench: Bench) -> None:
    with open_stores() as stores:
        async with (
            open_service(stores.valkey_url) as (service, service_pid),
            open_echo() as (echo, echo_pid),
        ):
            await bench.compare_runs(
                Bar(9, "gRPC unary", "empty grpc.aio echo", "a service", "call", Decimal("0.7")),
                reference=lambda: calls(echo, [echo_pid]),
                ours=lambda: calls(service, [service_pid]),
            )


async def calls(method: Any, pids: Sequence[int]) -> Run:
    """Call, many at a time, and hold the answer against what was sent."""
    request = StringValue(value="what comes is given back").SerializeToString()
    left = CALLS

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            metadata = [("authorization", f"Bearer {_TOKENS.mint(_OWNER)}")]
            if await method(request, metadata=metadata, timeout=30) != request:
                raise RuntimeError("the answer is not what was sent")

    before = cpu_seconds(pids)
    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return Run(CALLS, time.perf_counter() - started, cpu_seconds(pids) - before)


@asynccontextmanager
async def open_service(redis_url: str) -> AsyncIterator[tuple[Any, int]]:
    """Run the service in a process of its own; give its method and the process."""
    offset = free_port_offset()
    environ = {
        # Nothing of its own is stored, so that nobody connects there.
        "BILLPLANE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "BILLPLANE_REDIS_URL": redis_url,
        "BILLPLANE_JWT_SECRET": SECRET,
        "BILLPLANE_PORT_OFFSET": str(offset),
        "BILLPLANE_LOG_LEVEL": "WARNING",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.unary"),
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(READY_SECONDS):
            if not await process.stdout.readline():
                raise RuntimeError("the service did not start")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{50051 + offset}") as channel:
            yield channel.unary_unary(PATH), process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def echo_service() -> ServiceApp:
    """Declare a service whose one method gives back its request."""
    wrappers = StringValue.DESCRIPTOR.file
    file = descriptor_pb2.FileDescriptorProto(
        name="bench/unary.proto",
        package="bench.unary",
        syntax="proto3",
        dependency=[wrappers.name],
        service=[
            descriptor_pb2.ServiceDescriptorProto(
                name="Unary",
                method=[
                    descriptor_pb2.MethodDescriptorProto(
                        name="Echo",
                        input_type=".google.protobuf.StringValue",
                        output_type=".google.protobuf.StringValue",
                    )
                ],
            )
        ],
    )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    rpc = Rpc(pool.FindServiceByName("bench.unary.Unary"))

    @rpc.steps
    async def Echo(_call: Call, request: Message) -> Message:  # noqa: N802 - the method's name
        """Give back the request."""
        return request

    return ServiceApp(name="bench", title="Bench", description="Gives back.", rpc=[rpc])


async def main() -> None:
    logging.configure("WARNING", "json")
    platform = Platform([echo_service()])
    await platform.start()
    settle_memory()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(15, stopping.set)
    await stopping.wait()
    await platform.stop()


if __name__ == "__main__":
    uvloop.run(main())
