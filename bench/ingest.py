"""Bars 1 and 2: usage in, through the gateway, acknowledged once it is on disk.

Load by wrk (closed loop, 32 connections); a figure is the median of pairs as everywhere.
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

from billplane.laptop.home import LaptopHome
from billplane.laptop.valkey import ValkeyServer

from bench.harness import Bar, Bench, Result, Run, cpu_seconds
from tests.fixtures.laptop import Laptop, running_laptop
from tests.fixtures.ports import free_port

SECONDS, CONNECTIONS, BATCH = 3, 32, 100
_KEPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer KEY"
wrk.body = '{"customer_id":"c-1","resource_type":"bench","quantity":1}'
"""
_BATCH = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer KEY"
local first = SEED
request = function()
  local events = {}
  for i = 1, BATCH do
    first = first + 1
    local id = string.format('%.0f', first)
    events[i] = '{"source":"bench","id":"' .. id .. '","type":"bench","subject":"c-'
      .. (first % 50) .. '","data":{"quantity":1}}'
  end
  return wrk.format(nil, nil, nil, '[' .. table.concat(events, ',') .. ']')
end
"""


async def measure(bench: Bench) -> None:
    """Measure what one request an event and a hundred events a request bring."""
    for tool, package in (("wrk", "wrk"), ("redis-benchmark", "redis-tools")):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is needed for this benchmark: apt-get install {package}")
    await asyncio.to_thread(_measure, bench)


def _measure(bench: Bench) -> None:
    with running_laptop() as laptop:
        _set_up(laptop)
        home = LaptopHome.open(laptop.home)
        valkey = ValkeyServer(home, port=int(json.loads(_ports(laptop))["valkey"])).url
        with _replaced_engine(valkey) as engine:
            kept = _KEPT.replace("KEY", laptop.key)
            _compare(
                bench,
                Bar(1, "ingest, 1 event a request", "replaced engine", "kept path",
                    "event", Decimal(4)),
                lambda: _wrk(f"{engine}/api/v1/usage", kept),
                lambda: _wrk(f"{laptop.url}/api/v1/usage", kept),
            )  # fmt: skip
            _compare(
                bench,
                Bar(1, "ingest, 1 event a request", "static answer", "kept path",
                    "event", Decimal("0.5")),
                lambda: _wrk(f"{engine}/static", ""),
                lambda: _wrk(f"{laptop.url}/api/v1/usage", kept),
            )  # fmt: skip
            _compare(
                bench,
                Bar(2, "ingest, 100 events a request", "replaced engine", "usage_events",
                    "event", Decimal(20)),
                lambda: _wrk(f"{engine}/api/v1/usage", kept),
                lambda: _batches(laptop),
            )  # fmt: skip
        _compare(
            bench,
            Bar(2, "ingest, 100 events a request", "redis-benchmark -P 16 HINCRBY",
                "usage_events", "event", Decimal("0.3")),
            lambda: _redis_benchmark(valkey),
            lambda: _batches(laptop),
        )  # fmt: skip


def _set_up(laptop: Laptop) -> None:
    account = {"email": "bench@example.com", "password": "a-long-password"}
    laptop.call("POST", "/auth/register", account)
    laptop.key = laptop.call("POST", "/auth/login", account)["access_token"]
    laptop.key = laptop.call("POST", "/auth/api_keys", {"name": "bench"})["key"]
    spec = {"eventType": "bench", "aggregation": "Sum", "valueProperty": "$.quantity"}
    laptop.call("POST", "/v1/meters", {"name": "bench", "spec": spec})


def _ports(laptop: Laptop) -> str:
    return (laptop.home / "run" / "ports.json").read_text()


@contextmanager
def _replaced_engine(valkey: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "bench.replaced_engine", str(port), valkey]
    process = subprocess.Popen(command)
    try:
        time.sleep(2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _compare(bench: Bench, bar: Bar, reference: Callable[[], Run], ours: Callable[[], Run]) -> None:
    kept: tuple[list[Run], list[Run]] = ([], [])
    for pair in range(bench.pairs + 1):
        for side, runs in zip((reference, ours), kept, strict=True):
            run = side()
            if pair > 0:
                runs.append(run)
    bench.results.append(Result(bar, *kept))


def _batches(laptop: Laptop) -> Run:
    script = _BATCH.replace("KEY", laptop.key).replace("SEED", str(time.time_ns() // 1000))
    run = _wrk(f"{laptop.url}/v1/usage_events", script.replace("BATCH", str(BATCH)))
    return Run(run.operations * BATCH, run.seconds, run.cpu_seconds)


def _wrk(url: str, script: str) -> Run:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"]
        command += ["-s", file.name] if script else []
        before = _machine_cpu()
        done = subprocess.run([*command, url], capture_output=True, text=True, check=True)
        used = _machine_cpu() - before
    if "Non-2xx" in done.stdout:
        raise RuntimeError(f"{url} refused requests: {done.stdout}")
    requests = int(re.search(r"(\d+) requests in", done.stdout).group(1))
    return Run(requests, SECONDS, used)


def _redis_benchmark(valkey: str) -> Run:
    password, address = re.match(r"redis://:?(.*)@([^/]+)", valkey).groups()
    host, port = address.rsplit(":", 1)
    count = 200_000
    command = ["redis-benchmark", "-h", host, "-p", port, "-a", password.split(":")[-1]]
    command += ["-P", "16", "-n", str(count), "-q", "HINCRBY", "bench:hash", "field", "1"]
    before, started = _machine_cpu(), time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return Run(count, time.perf_counter() - started, _machine_cpu() - before)


def _machine_cpu() -> float:
    return cpu_seconds([1])
