"""The operator as the process that a pod runs."""

import asyncio
import os
import re
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.operator.folder import METER, eventually


@asynccontextmanager
async def process(kube, **environ):
    """Run `python -m billplane_operator run` until the block ends."""
    values = {
        **kube.platform.environ,
        "KUBECONFIG": os.environ["KUBECONFIG"],
        "PATH": os.environ["PATH"],
        "BILLPLANE_OPERATOR_HTTP_PORT": "8096",
        "BILLPLANE_OPERATOR_COMPARE_SECONDS": "0.5",
        "BILLPLANE_OPERATOR_RESYNC_SECONDS": "1",
        "BILLPLANE_OPERATOR_LEASE_SECONDS": "3",
        **environ,
    }
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "billplane_operator", "run", env=values,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield program
    finally:
        if program.returncode is None:
            program.kill()
        await program.wait()


def memory_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def holder(kube):
    (lease,) = kube.api.store.list("Lease")
    return lease["spec"]["holderIdentity"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_what_is_in_hand_and_lets_the_lease_go(kube, number):
    await kube.apply("Meter", "one", METER)
    async with process(kube) as program:
        await kube.ready("Meter", "one", seconds=30)
        assert holder(kube)
        program.send_signal(number)
        out, _ = await asyncio.wait_for(program.communicate(), 20)
    assert program.returncode == 0, out.decode()
    assert holder(kube) == ""
    assert "Traceback" not in out.decode()
    for line in out.decode().splitlines():
        assert line.startswith("{"), line


async def test_an_operator_that_was_killed_is_followed_at_once_with_a_higher_epoch(kube):
    await kube.apply("Meter", "one", METER)
    async with process(kube) as program:
        await kube.ready("Meter", "one", seconds=30)
        program.kill()
        await program.wait()
    await kube.apply("Meter", "one", METER | {"unit": "call"})
    async with process(kube):
        await kube.ready("Meter", "one", seconds=30)
    (lease,) = kube.api.store.list("Lease")
    assert lease["spec"]["leaseTransitions"] == 2


async def test_memory_is_flat_over_resyncs(kube):
    for number in range(100):
        await kube.apply("Meter", f"meter-{number:03}", METER | {"eventType": f"type.{number}"})
    async with process(kube) as program:
        await eventually(
            lambda: all(kube.says("Meter", f"meter-{number:03}") for number in (0, 50, 99)),
            seconds=60,
        )
        await asyncio.sleep(2)
        first = memory_kib(program.pid)
        await asyncio.sleep(6)
        assert memory_kib(program.pid) <= first * 1.1
        assert first < 250_000


async def test_an_operator_without_a_cluster_says_so(kube):
    async with process(kube, KUBECONFIG="/nowhere") as program:
        out, _ = await asyncio.wait_for(program.communicate(), 20)
    assert program.returncode == 1
    assert out.decode().startswith("billplane_operator: neither a pod's account nor a kubeconfig")
