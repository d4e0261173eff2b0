"""Every Redis command of the gateway: rate limits by GCRA, leased in chunks."""

import time
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from billplane.chassis import logging
from billplane.gateway.domain import LEASE_SECONDS, Bucket, Lease, Limit

_log = logging.get("gateway")

KEPT_MAX = 10_000

# domain.Bucket for all processes, by the clock of Redis.
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
return {granted, math.max(0, room - granted), tostring(math.max(0, full - at))}
"""


class Limiter:
    """Answers from a lease; asks Redis once a chunk. While Redis is away the limit is local."""

    def __init__(self, redis: "Redis") -> None:
        self._script = redis.register_script(_GCRA)
        self._leases: dict[tuple[str, str], Lease] = {}
        self._local: dict[tuple[str, str], Bucket] = {}

    async def take(self, who: str, limit: Limit, count: int = 1) -> tuple[Lease, bool]:
        """Return the lease in force and whether it lets `count` calls through."""
        key = (who, limit.name)
        held = self._leases.get(key)
        now = time.monotonic()
        if held is not None and held.take(count, now):
            return held, True
        left = held.left if held is not None else 0
        if held is not None and now >= held.until:
            left = min(left, 0)  # what a lease has left ends with it, what it owes does not
        lease = await self._lease(key, limit, max(limit.chunk, count - left))
        lease.left += left
        _trim(self._leases)
        self._leases[key] = lease
        return lease, lease.take(count, time.monotonic())

    def charge(self, who: str, limit: Limit, count: int) -> None:
        """Count calls that turned out to be several: the next ones wait for them."""
        lease = self._leases.get((who, limit.name))
        if lease is not None:
            lease.left -= count

    async def _lease(self, key: tuple[str, str], limit: Limit, wanted: int) -> Lease:
        who, name = key
        now = time.monotonic()
        try:
            granted, remaining, reset = await self._script(
                keys=[f"gateway:limit:{name}:{who}"], args=[limit.interval, limit.burst, wanted]
            )
        except (RedisError, OSError) as error:
            _log.warning("limit_is_local", error=str(error))
            _trim(self._local)
            return self._local.setdefault(key, Bucket()).lease(limit, wanted, now)
        return Lease(int(granted), now + LEASE_SECONDS, int(remaining), float(reset))


def _trim(held: dict[tuple[str, str], Any]) -> None:
    if len(held) > KEPT_MAX:
        held.clear()
