"""Every Redis command of metering: the stream of acknowledged events and the ids seen lately.

Keys carry one of 16 shard tags, so that a cluster can spread them: `usage:{s07}` is the stream,
`seen:{s07}:<n>` the ids of one window, `refused:{s07}` what Postgres would not take.
"""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

from hiredis import pack_command
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError

from billplane.chassis import logging
from billplane.chassis.errors import StoreUnavailable
from billplane.metering.domain import Item

_log = logging.get("metering")
SHARDS = 16
EXCHANGE_SECONDS = 5
ACCEPTED, DUPLICATE, REUSED = b"102"

# One call a micro-batch. KEYS: for each shard its ids of this window, of the one before, and its
# stream. ARGV: seconds to remember; the parts, each `request number,shard number,events`, in the
# order of requests; then the rows of each part, then the id and the content hash of each event.
# A request of which one id was used for other content is left out whole, before a later one is
# compared with it. What is new in a shard becomes one stream entry; a part that is new in part
# goes whole, since Postgres stores each event once.
# Answers a character an event: 1 accepted, 0 duplicate, 2 reused.
_APPEND = """
local parts, rows_of, first = {}, {}, 0
for request, shard, count in string.gmatch(ARGV[2], '(%d+),(%d+),(%d+)') do
  parts[#parts + 1] = {request, tonumber(shard), tonumber(count)}
end
local at = 2 + #parts
local n = (#ARGV - at) / 2
local id_at, hash_at = at, at + n
local known = {}
for number, part in ipairs(parts) do
  local ids = {unpack(ARGV, id_at + first + 1, id_at + first + part[3])}
  local now = redis.call('HMGET', KEYS[part[2] * 3 - 2], unpack(ids))
  local before = redis.call('HMGET', KEYS[part[2] * 3 - 1], unpack(ids))
  for i = 1, part[3] do known[first + i] = now[i] or before[i] end
  part[4] = first
  first = first + part[3]
end
local status, fresh, pairs_of, number = {}, {}, {}, 1
while number <= #parts do
  local request, last, refused, mine = parts[number][1], number, false, {}
  while parts[last + 1] and parts[last + 1][1] == request do last = last + 1 end
  for part = number, last do
    local is_new = false
    for i = parts[part][4] + 1, parts[part][4] + parts[part][3] do
      local id, hash = ARGV[id_at + i], ARGV[hash_at + i]
      local other = fresh[id] or mine[id] or known[i]
      if not other then
        status[i], mine[id], is_new = '1', hash, true
      elseif other == hash then
        status[i] = '0'
      else
        status[i], refused = '2', true
      end
    end
    parts[part][5] = is_new
  end
  if not refused then
    for id, hash in pairs(mine) do fresh[id] = hash end
    for part = number, last do
      if parts[part][5] then
        local shard = parts[part][2]
        local pairs_, rows = pairs_of[shard] or {}, rows_of[shard] or {}
        for i = parts[part][4] + 1, parts[part][4] + parts[part][3] do
          if status[i] == '1' then
            pairs_[#pairs_ + 1] = ARGV[id_at + i]
            pairs_[#pairs_ + 1] = ARGV[hash_at + i]
          end
        end
        rows[#rows + 1] = ARGV[2 + part]
        pairs_of[shard], rows_of[shard] = pairs_, rows
      end
    end
  end
  number = last + 1
end
for shard, rows in pairs(rows_of) do
  local seen = KEYS[shard * 3 - 2]
  redis.call('HSET', seen, unpack(pairs_of[shard]))
  redis.call('EXPIRE', seen, ARGV[1])
  redis.call('XADD', KEYS[shard * 3], '*', 'rows', table.concat(rows, '\\n'))
end
return table.concat(status)
"""


def shard_of(tenant_id: str, subject: str) -> int:
    """Return the shard of a customer."""
    return crc32(f"{tenant_id}\0{subject}".encode()) % SHARDS


def stream(shard: int) -> str:
    """Name a shard's stream."""
    return f"usage:{{s{shard:02d}}}"


# The events of one request in one shard.
Part = tuple[int, Sequence[Item]]


class UsageStore:
    """The Redis that keeps what was acknowledged until Postgres has it.

    Every method raises StoreUnavailable when it cannot be reached; of an append nothing is known
    then, and a repeat is safe.
    """

    def __init__(self, redis: "Redis", dedupe_seconds: int) -> None:
        self._redis = redis
        self._window = dedupe_seconds
        self._append_sha: bytes = b""
        self._lanes: list[Lane] = []

    async def append(self, requests: Sequence[Sequence[Part]]) -> bytes:
        """Store the events of requests, each whole or not; Redis answers once they are on disk.

        Returns: a status for each event, in the order of requests, their parts and events.
        """
        window = int(time.time()) // self._window
        keys: list[str] = []
        shards: dict[int, int] = {}
        layout, rows, ids, hashes = [], [], [], []
        for number, parts in enumerate(requests):
            for shard, items in parts:
                index = shards.get(shard)
                if index is None:
                    index = shards[shard] = len(shards) + 1
                    tag = f"{{s{shard:02d}}}"
                    keys += (f"seen:{tag}:{window}", f"seen:{tag}:{window - 1}", f"usage:{tag}")
                layout.append(f"{number},{index},{len(items)}")
                rows.append(b"\n".join([item.row for item in items]))
                ids += [item.key for item in items]
                hashes += [item.content_hash for item in items]
        rest = (len(keys), *keys, self._window * 2, " ".join(layout), *rows, *ids, *hashes)
        if not self._append_sha:
            (self._append_sha,) = await self._run([("SCRIPT", "LOAD", _APPEND)])
        (found,) = await self._run([("EVALSHA", self._append_sha, *rest)])
        if isinstance(found, NoScriptError):
            # Redis was restarted and forgot the script: it stored nothing.
            _, found = await self._run(
                [("SCRIPT", "LOAD", _APPEND), ("EVALSHA", self._append_sha, *rest)]
            )
        answer: bytes = found
        return answer

    async def last_ids(self) -> dict[int, bytes]:
        """Return the newest entry of each stream that has one."""
        found = await self._run(
            [("XREVRANGE", stream(shard), "+", "-", "COUNT", 1) for shard in range(SHARDS)]
        )
        return {shard: entries[0][0] for shard, entries in enumerate(found) if entries}

    async def read(
        self, starts: Mapping[int, bytes], count: int
    ) -> dict[int, list[tuple[bytes, bytes]]]:
        """Return the oldest entries of shards, each from its start on: id and rows."""
        found = await self._run(
            [
                ("XRANGE", stream(shard), start, "+", "COUNT", count)
                for shard, start in starts.items()
            ]
        )
        return {
            shard: [(entry_id, fields[1]) for entry_id, fields in entries]
            for shard, entries in zip(starts, found, strict=True)
        }

    async def trim(self, last: Mapping[int, bytes]) -> None:
        """Forget what Postgres has: the entries of each shard up to an id."""
        commands = []
        for shard, entry_id in last.items():
            first, second = _number(entry_id)
            commands.append(("XTRIM", stream(shard), "MINID", f"{first}-{second + 1}"))
        await self._run(commands)

    async def set_aside(self, shard: int, row: bytes) -> None:
        """Keep a row that Postgres would not take, so that it does not hold up the others."""
        await self._run([("XADD", f"refused:{{s{shard:02d}}}", "*", "rows", row)])

    async def _run(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send commands together; an answer of NOSCRIPT is returned, other errors are raised.

        A connection that the server has closed meanwhile is replaced once: every command may be
        sent twice.
        """
        packed = b"".join([pack_command(command) for command in commands])
        lane = self._lanes.pop() if self._lanes else Lane(self._redis)
        try:
            try:
                found = await lane.exchange(packed, len(commands))
            except RedisConnectionError:
                found = await lane.exchange(packed, len(commands))
        except (RedisError, OSError) as error:
            raise _away(error) from None
        finally:
            self._lanes.append(lane)
        for answer in found:
            if isinstance(answer, Exception) and not isinstance(answer, NoScriptError):
                raise _away(answer) from None
        return found

    async def close(self) -> None:
        """Close every connection."""
        for lane in self._lanes:
            await lane.close()


class Lane:
    """A connection that one after the other uses.

    What the client does for each command in Python (packing, a timeout around every write and
    read) costs more than the rest of a call; here hiredis packs, and one timeout covers it all.
    """

    def __init__(self, redis: "Redis") -> None:
        pool: Any = redis.connection_pool
        options = {**pool.connection_kwargs, "socket_timeout": None}
        self._connection: Any = pool.connection_class(**options)

    async def exchange(self, packed: bytes, count: int) -> list[Any]:
        """Send packed commands and return their answers; error answers are returned too.

        Raises: RedisError, OSError; the connection is closed then.
        """
        connection = self._connection
        found: list[Any] = []
        try:
            async with asyncio.timeout(EXCHANGE_SECONDS):
                await connection.send_packed_command(packed, check_health=False)
                for _ in range(count):
                    try:
                        found.append(await connection.read_response(timeout=math.inf))
                    except ResponseError as error:
                        found.append(error)
        except BaseException:
            # What was not read must not be taken for the answer of whoever comes next.
            await connection.disconnect(nowait=True)
            raise
        return found

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.disconnect()


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
