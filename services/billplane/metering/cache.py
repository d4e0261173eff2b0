"""Every Redis command of metering: the stream of acknowledged events and the ids seen lately.

Keys carry one of 16 shard tags, so that a cluster can spread them: `usage:{s07}` is the stream,
`seen:{s07}:<n>` the ids of one window.
"""

import time
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from redis.asyncio import Redis
from redis.exceptions import RedisError

from billplane.chassis import logging
from billplane.chassis.errors import StoreUnavailable

_log = logging.get("metering")
SHARDS = 16
ACCEPTED, DUPLICATE, REUSED = 1, 0, -1

# One call a shard and micro-batch. A request whose ids were used for other content is refused
# whole; what is left becomes one stream entry. Answers a status for each event.
_APPEND = """
local seen, before, stream = KEYS[1], KEYS[2], KEYS[3]
local ttl, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local status, refused, rows, fresh = {}, {}, {}, {}
local at = 3
for i = 1, count do
  local request, id, hash = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local known = fresh[id] or redis.call('HGET', seen, id) or redis.call('HGET', before, id)
  if not known then
    fresh[id] = hash
    status[i] = 1
  elseif known == hash then
    status[i] = 0
  else
    status[i] = -1
    refused[request] = true
  end
  at = at + 4
end
at = 3
local stored = false
for i = 1, count do
  if status[i] == 1 and not refused[ARGV[at]] then
    rows[#rows + 1] = ARGV[at + 3]
    redis.call('HSET', seen, ARGV[at + 1], ARGV[at + 2])
    stored = true
  end
  at = at + 4
end
if stored then
  redis.call('EXPIRE', seen, ttl)
  redis.call('XADD', stream, '*', 'rows', table.concat(rows, '\\n'))
end
return status
"""

# Looks without storing: a request of several shards must fit in all of them.
_LOOK = """
local status = {}
for i = 1, #ARGV, 2 do
  local known = redis.call('HGET', KEYS[1], ARGV[i]) or redis.call('HGET', KEYS[2], ARGV[i])
  status[#status + 1] = (known and known ~= ARGV[i + 1]) and -1 or 1
end
return status
"""


@dataclass(slots=True)
class Item:
    """An event on its way into the stream."""

    request: int
    key: bytes
    content_hash: bytes
    row: bytes


def shard_of(tenant_id: str, subject: str) -> int:
    """Return the shard of a customer."""
    return crc32(f"{tenant_id}\0{subject}".encode()) % SHARDS


def stream(shard: int) -> str:
    """Name a shard's stream."""
    return f"usage:{{s{shard:02d}}}"


class UsageStore:
    """The Redis that keeps what was acknowledged until Postgres has it."""

    def __init__(self, redis: "Redis", dedupe_seconds: int) -> None:
        self._redis = redis
        self._window = dedupe_seconds
        self._append = redis.register_script(_APPEND)
        self._look = redis.register_script(_LOOK)

    def _seen(self, shard: int) -> list[str]:
        window = int(time.time()) // self._window
        return [f"seen:{{s{shard:02d}}}:{number}" for number in (window, window - 1)]

    async def append(self, shard: int, items: list[Item]) -> list[int]:
        """Store events; Redis answers once they are on disk. Returns a status for each.

        Raises: StoreUnavailable; then nothing is known of what was stored, and a repeat is safe.
        """
        arguments: list[Any] = [self._window * 2, len(items)]
        for item in items:
            arguments += (item.request, item.key, item.content_hash, item.row)
        try:
            found = await self._append(keys=[*self._seen(shard), stream(shard)], args=arguments)
        except (RedisError, OSError) as error:
            raise _away(error) from None
        return [int(status) for status in found]

    async def look(self, shard: int, items: list[Item]) -> list[int]:
        """Tell which events' ids were used for other content; stores nothing.

        Raises: StoreUnavailable.
        """
        arguments: list[Any] = []
        for item in items:
            arguments += (item.key, item.content_hash)
        try:
            return [int(status) for status in await self._look(self._seen(shard), arguments)]
        except (RedisError, OSError) as error:
            raise _away(error) from None

    async def read(self, shard: int, count: int) -> list[tuple[bytes, bytes]]:
        """Return the oldest entries of a stream: id and rows.

        Raises: StoreUnavailable.
        """
        try:
            found: Any = await self._redis.xrange(stream(shard), count=count)
        except (RedisError, OSError) as error:
            raise _away(error) from None
        return [(entry_id, fields[b"rows"]) for entry_id, fields in found]

    async def trim(self, last: dict[int, bytes]) -> None:
        """Forget what Postgres has: the entries of each shard up to an id.

        Raises: StoreUnavailable.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for shard, entry_id in last.items():
            first, _, second = entry_id.decode().partition("-")
            pipeline.xtrim(stream(shard), minid=f"{first}-{int(second) + 1}", approximate=False)
        try:
            await pipeline.execute()
        except (RedisError, OSError) as error:
            raise _away(error) from None

    async def waiting(self) -> int:
        """Return how many entries wait in all streams.

        Raises: StoreUnavailable.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for shard in range(SHARDS):
            pipeline.xlen(stream(shard))
        try:
            return sum(await pipeline.execute())
        except (RedisError, OSError) as error:
            raise _away(error) from None

    async def last_ids(self) -> dict[int, bytes]:
        """Return the newest entry of each stream that has one.

        Raises: StoreUnavailable.
        """
        pipeline = self._redis.pipeline(transaction=False)
        for shard in range(SHARDS):
            pipeline.xrevrange(stream(shard), count=1)
        try:
            found = await pipeline.execute()
        except (RedisError, OSError) as error:
            raise _away(error) from None
        return {shard: entries[0][0] for shard, entries in enumerate(found) if entries}


def after(entry_id: bytes, other: bytes) -> bool:
    """Tell whether a stream id comes after another."""
    return _number(entry_id) > _number(other)


def _number(entry_id: bytes) -> tuple[int, int]:
    first, _, second = entry_id.partition(b"-")
    return int(first), int(second)


def _away(error: BaseException) -> StoreUnavailable:
    _log.warning("usage_store_unavailable", error=str(error))
    return StoreUnavailable(
        "the usage store cannot be reached; send the same events again", retry_after_seconds=1
    )
