"""Load by wrk: a closed loop at fixed connections, for as long as it is told."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.harness import Run, cpu_seconds

CONNECTIONS = 32
SECONDS = 2
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Target:
    """Where requests go; `script` is Lua that says what they are, `each` operations a request."""

    url: str
    script: str = ""
    each: int = 1
    connections: int = CONNECTIONS


def require(tool: str, package: str) -> None:
    """Say what to install where a program is missing."""
    if shutil.which(tool) is None:
        raise SystemExit(f"{tool} is needed for this benchmark: apt-get install {package}")


async def load(target: Target, pids: Callable[[], Iterable[int]], seconds: int = SECONDS) -> Run:
    """Send requests; one that is refused leaves no figure."""
    before = cpu_seconds(pids())
    said = await wrk(target, seconds)
    used = cpu_seconds(pids()) - before
    match = re.search(r"(\d+) requests in ([0-9.]+)s", said)
    assert match is not None, said
    return Run(int(match[1]) * target.each, float(match[2]), used)


async def latency_milliseconds(target: Target, seconds: int = SECONDS) -> dict[str, float]:
    """Return the median and the 99th percentile of the time that an answer takes."""
    said = await wrk(target, seconds)
    found = {}
    for percent in ("50", "99"):
        match = re.search(rf"{percent}%\s+([0-9.]+)(us|ms|s)", said)
        assert match is not None, said
        found[f"p{percent}"] = round(float(match[1]) * _UNITS[match[2]], 3)
    return found


async def wrk(target: Target, seconds: int) -> str:
    """Run wrk once; return what it said."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(target.script)
        script.flush()
        process = await asyncio.create_subprocess_exec(
            *("wrk", "-t1", f"-c{target.connections}", f"-d{seconds}s", "--latency"),
            *("-s", script.name, target.url),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        said = (await process.stdout.read()).decode()
        await process.wait()
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"{target.url} refused requests:\n{said}")
    return said
