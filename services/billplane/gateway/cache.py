"""Every Redis command of the gateway: rate limits by GCRA, leased in chunks."""

import time

from redis.asyncio import Redis
from redis.exceptions import RedisError

from billplane.chassis import logging
from billplane.chassis.errors import RateLimited
from billplane.gateway.domain import Lease, Limit

_log = logging.get("gateway")

LEASE_SECONDS = 1.0

# Generic cell rate algorithm: one number a key, the time at which the bucket would be full again.
# Grants as much of what is wanted as the burst allows. Source: ITU-T I.371, annex A.
_GCRA = """
local now = redis.call('TIME')
local at = now[1] + now[2] / 1000000
local interval, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or at), at)
local room = math.floor((at + burst * interval - full) / interval + 0.000001)
local granted = math.max(0, math.min(wanted, room))
if granted > 0 then
  full = full + granted * interval
  local lasts = math.ceil((full - at) * 1000) + 1000
  redis.call('SET', KEYS[1], string.format('%.6f', full), 'PX', lasts)
end
return {granted, math.max(0, room - granted), tostring(math.max(0, full - at)), tostring(interval)}
"""


class Limiter:
    """Answers from a lease; asks Redis once a chunk. While Redis is away the limit is local."""

    def __init__(self, redis: "Redis") -> None:
        self._script = redis.register_script(_GCRA)
        self._leases: dict[tuple[str, str], Lease] = {}

    async def take(self, who: str, limit: Limit, count: int = 1) -> Lease:
        """Let `count` calls through.

        Raises: RateLimited with the time to wait.
        """
        key = (who, limit.name)
        lease = self._leases.get(key)
        now = time.monotonic()
        if lease is not None and lease.take(count, now):
            return lease
        left = lease.left if lease is not None and now < lease.until else 0
        lease = await self._lease(who, limit, max(limit.chunk, count - left))
        lease.left += left
        if len(self._leases) > 10_000:
            self._leases.clear()
        self._leases[key] = lease
        if not lease.take(count, time.monotonic()):
            seconds = max(1, round(limit.period_seconds * count / limit.rate))
            raise RateLimited(
                f"more than {limit.rate} {limit.name} in {limit.period_seconds} s",
                retry_after_seconds=seconds,
                metadata={"limit": limit.rate, "class": limit.name},
            )
        return lease

    def charge(self, who: str, limit: Limit, count: int) -> None:
        """Count calls that turned out to be several: the next ones wait for them."""
        lease = self._leases.get((who, limit.name))
        if lease is not None:
            lease.left -= count

    async def _lease(self, who: str, limit: Limit, wanted: int) -> Lease:
        now = time.monotonic()
        try:
            granted, remaining, reset, _ = await self._script(
                keys=[f"gateway:limit:{limit.name}:{who}"],
                args=[limit.period_seconds / limit.rate, limit.burst, wanted],
            )
        except (RedisError, OSError) as error:
            _log.warning("limit_is_local", error=str(error))
            return Lease(limit.rate, now + LEASE_SECONDS, limit.rate, LEASE_SECONDS)
        return Lease(int(granted), now + LEASE_SECONDS, int(remaining), float(reset))
