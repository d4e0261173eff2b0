"""Bar 8: what a key and a limit cost at the gateway.

The reference does the same in the usual way: a FastAPI dependency that asks Redis for the key and
for the count. The other reference is the same handler behind the gateway, reached by a route that
asks for neither; for information also the handler with no gateway before it. No warm request of
ours talks to Redis: keys are remembered, limits leased.
"""

from collections.abc import Iterable
from decimal import Decimal

from bench.harness import Bar, Bench, Run
from bench.load import Target, load, require
from bench.served import Running, open_platform
from bench.stores import Stores, open_stores

_KEY = 'wrk.headers["Authorization"] = "Bearer {key}"\n'


async def measure(bench: Bench) -> None:
    require("wrk", "wrk")
    with open_stores() as stores:
        async with open_platform(stores) as platform:
            await Gateway(bench, stores, platform).measure()


class Gateway:
    """The sides of the bar."""

    def __init__(self, bench: Bench, stores: Stores, platform: Running) -> None:
        self._bench = bench
        self._stores = stores
        self._platform = platform
        key = _KEY.format(key=platform.key)
        self._behind = Target(f"{platform.url}/reference/behind", key)
        self._open = Target(f"{platform.url}/reference/open")
        self._static = Target(f"{platform.url}/reference/static", key)
        self._limited = Target(
            f"{platform.url}/reference/limited", _KEY.format(key="reference-key")
        )

    async def measure(self) -> None:
        """Measure the gateway against each reference."""
        for reference, target, at_least in (
            ("FastAPI dependency and Redis", self._limited, Decimal(3)),
            ("the handler without key and limit", self._open, Decimal("0.7")),
            ("the handler with no gateway", self._static, None),
        ):
            bar = Bar(8, "key and limit", reference, "gateway", "request", at_least)
            await self._bench.compare_runs(
                bar,
                reference=lambda target=target: self._load(target),
                ours=lambda: self._load(self._behind),
            )

    async def _load(self, target: Target) -> Run:
        return await load(target, self.pids)

    def pids(self) -> Iterable[int]:
        """Name the processes whose CPU time counts."""
        return [self._platform.pid, self._stores.postgres_pid, self._stores.valkey_pid]
