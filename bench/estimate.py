"""Bar 16: the estimated bill of a customer whose plan charges 100 meters.

The reference runs on the same server, in the same process: a FastAPI route that has Postgres sum
the customer's events of the period by meter, with one statement over the index that was made for
it, and prices the sums with a loop over tiers in Decimal. Both answer the same amounts; what is
acknowledged while they run belongs into ours, which therefore looks for it each time.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg

from bench.harness import Bar, Bench, Run
from bench.load import Target, load, require
from bench.served import CHARGED_METERS, TENANT, TIERS, Running, open_platform
from bench.stores import Stores, open_stores

CUSTOMER = "c-1"
EVENTS_PER_METER = 2_000
# As many as the references' pool: more would only wait.
CONNECTIONS = 8
_KEY = 'wrk.headers["Authorization"] = "Bearer {key}"\n'
_BETWEEN = """
wrk.headers["Authorization"] = "Bearer {key}"
local number = 0
request = function()
  number = number + 1
  if number % 2 == 0 then
    return wrk.format("GET", "/api/v1/billing/c-1")
  end
  return wrk.format("POST", "/api/v1/usage", {{["Authorization"] = "Bearer {key}",
    ["Content-Type"] = "application/json"}},
    '{{"customer_id":"c-1","resource_type":"bench-1","quantity":1}}')
end
"""
_FILL = """
INSERT INTO metering.usage_events (tenant_id, livemode, source, id, event_type, subject, event_at,
  data, content_hash, quantity, received_at)
SELECT $1, false, 'bench', meter || '-' || number, 'bench-' || meter, $2,
  $3::timestamptz + ($4::timestamptz - $3::timestamptz) * (number / $5::float8),
  jsonb_build_object('quantity', round(number % 50 / 8.0, 3)), 0, NULL, now()
FROM generate_series(0, $6 - 1) AS meter, generate_series(0, $5::integer - 1) AS number
"""
_COUNT = """
INSERT INTO metering.usage_records (tenant_id, livemode, customer_id, meter_id, starts_at,
  dimensions, aggregation, quantity, event_count, updated_at)
SELECT c.*, now() FROM metering.counted_events c
"""


async def measure(bench: Bench) -> None:
    require("wrk", "wrk")
    with open_stores() as stores:
        async with open_platform(stores) as platform:
            await prepare(stores, platform)
            await Estimate(bench, stores, platform).measure()


async def prepare(stores: Stores, platform: Running) -> None:
    """Make the meters and the plan, and put usage of the open month into the tables."""
    charges = []
    for number in range(CHARGED_METERS):
        spec = {"eventType": f"bench-{number}", "aggregation": "Sum",
                "valueProperty": "$.quantity"}  # fmt: skip
        await platform.call("POST", "/v1/meters", {"name": f"m-{number}", "spec": spec}, expect=201)
        tiers = [
            {"unitAmount": str(price)} | ({} if up_to is None else {"upTo": str(up_to)})
            for up_to, price in TIERS
        ]
        usage = {"meter": f"m-{number}", "model": {"graduated": {"tiers": tiers}}}
        charges.append({"name": f"c-{number}", "usage": usage})
    plan = {"currency": "EUR", "default": True, "charges": charges,
            "interval": {"unit": "Month", "anchor": "Calendar"}}  # fmt: skip
    await platform.call("POST", "/v1/plans", {"name": "bench", "spec": plan}, expect=201)
    now = datetime.now(UTC)
    starts_at = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    connection: Any = await asyncpg.connect(stores.postgres_admin_url)
    await connection.execute(
        _FILL, TENANT, CUSTOMER, starts_at, now, EVENTS_PER_METER, CHARGED_METERS
    )
    await connection.execute(_COUNT)
    await connection.execute("VACUUM ANALYZE metering.usage_events, metering.usage_records")
    await connection.close()


class Estimate:
    """The sides of the bar."""

    def __init__(self, bench: Bench, stores: Stores, platform: Running) -> None:
        self._bench = bench
        self._stores = stores
        self._platform = platform
        key = _KEY.format(key=platform.key)
        self._ours = Target(
            f"{platform.url}/api/v1/billing/{CUSTOMER}", key, connections=CONNECTIONS
        )
        self._between = Target(
            platform.url, _BETWEEN.format(key=platform.key), connections=CONNECTIONS
        )
        self._theirs = Target(
            f"{platform.url}/reference/estimate/{CUSTOMER}", key, connections=CONNECTIONS
        )

    async def measure(self) -> None:
        """Measure once both say the same.

        The second line has no bar: every estimate follows an event there, whose way in is counted.
        """
        await self.check()
        await self._bench.compare_runs(
            Bar(16, f"estimated bill, {CHARGED_METERS} meters", "SQL sums and a Decimal loop",
                "gateway and metering", "request", Decimal(5)),
            reference=lambda: self._load(self._theirs),
            ours=lambda: self._load(self._ours),
            check=self.check,
        )  # fmt: skip
        await self._bench.compare_runs(
            Bar(16, f"estimated bill, {CHARGED_METERS} meters, an event before each",
                "SQL sums and a Decimal loop", "gateway and metering", "request"),
            reference=lambda: self._load(self._theirs),
            ours=self.changing,
        )  # fmt: skip

    async def _load(self, target: Target) -> Run:
        return await load(target, self.pids)

    async def changing(self) -> Run:
        """Send an event of the customer before each estimate, so that each is worked out anew."""
        run = await self._load(self._between)
        return Run(run.operations // 2, run.seconds, run.cpu_seconds)

    def pids(self) -> Iterable[int]:
        """Name the processes whose CPU time counts."""
        return [self._platform.pid, self._stores.postgres_pid, self._stores.valkey_pid]

    async def check(self) -> None:
        """Compare the amounts of both."""
        ours = await self._platform.call("GET", f"/api/v1/billing/{CUSTOMER}")
        theirs = await self._platform.call("GET", f"/reference/estimate/{CUSTOMER}")
        if ours["total_minor"] != theirs["total_minor"] or len(ours["lines"]) < CHARGED_METERS:
            raise RuntimeError(f"{ours['total_minor']} and {theirs['total_minor']} differ")
