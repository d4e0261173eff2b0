"""Every Redis command of metering: the stream of acknowledged events and the ids seen lately.

Keys carry one of 16 shard tags, so that a cluster can spread them: `usage:{s07}` is the stream,
`seen:{s07}:<n>` the ids of one window, `refused:{s07}` what Postgres would not take.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from billplane.chassis import logging
from billplane.chassis.errors import StoreUnavailable
from billplane.metering.domain import Item

_log = logging.get("metering")
SHARDS = 16
ACCEPTED, DUPLICATE, REUSED = b"102"

# One call a shard and micro-batch; ARGV: seconds to remember, events of each request, then all ids,
# all content hashes, all rows. A request of which one id was used for other content is left out
# whole, before a later one is compared with it. What is new becomes one stream entry.
# Answers a character an event: 1 accepted, 0 duplicate, 2 reused.
_APPEND = """
local seen, before, stream = KEYS[1], KEYS[2], KEYS[3]
local n = (#ARGV - 2) / 3
local ids = {unpack(ARGV, 3, 2 + n)}
local known = redis.call('HMGET', seen, unpack(ids))
local earlier = redis.call('HMGET', before, unpack(ids))
local status, fresh, pairs, rows = {}, {}, {}, {}
local first = 1
for size in string.gmatch(ARGV[2], '%d+') do
  local last, refused, mine, new = first + size - 1, false, {}, {}
  for i = first, last do
    local id, hash = ids[i], ARGV[2 + n + i]
    local other = fresh[id] or mine[id] or known[i] or earlier[i]
    if not other then
      status[i] = '1'
      mine[id] = hash
      new[#new + 1] = i
    elseif other == hash then
      status[i] = '0'
    else
      status[i] = '2'
      refused = true
    end
  end
  if not refused then
    for _, i in ipairs(new) do
      fresh[ids[i]] = mine[ids[i]]
      pairs[#pairs + 1] = ids[i]
      pairs[#pairs + 1] = mine[ids[i]]
      rows[#rows + 1] = ARGV[2 + 2 * n + i]
    end
  end
  first = last + 1
end
if rows[1] then
  redis.call('HSET', seen, unpack(pairs))
  redis.call('EXPIRE', seen, ARGV[1])
  redis.call('XADD', stream, '*', 'rows', table.concat(rows, '\\n'))
end
return table.concat(status)
"""


def shard_of(tenant_id: str, subject: str) -> int:
    """Return the shard of a customer."""
    return crc32(f"{tenant_id}\0{subject}".encode()) % SHARDS


def stream(shard: int) -> str:
    """Name a shard's stream."""
    return f"usage:{{s{shard:02d}}}"


class UsageStore:
    """The Redis that keeps what was acknowledged until Postgres has it.

    Every method raises StoreUnavailable when it cannot be reached; of an append nothing is known
    then, and a repeat is safe.
    """

    def __init__(self, redis: "Redis", dedupe_seconds: int) -> None:
        self._redis = redis
        self._window = dedupe_seconds
        self._append_sha = ""

    def _seen(self, shard: int) -> list[str]:
        window = int(time.time()) // self._window
        return [f"seen:{{s{shard:02d}}}:{number}" for number in (window, window - 1)]

    async def append(self, batches: Mapping[int, Sequence[Sequence[Item]]]) -> dict[int, bytes]:
        """Store the events of requests, by shard; Redis answers once they are on disk.

        Returns: a status for each event of a shard, in the order of requests and their events.
        """
        commands = {shard: self._command(shard, requests) for shard, requests in batches.items()}
        if not self._append_sha:
            (self._append_sha,) = await self._run([("SCRIPT LOAD", _APPEND)])
        found = await self._run(
            [("EVALSHA", self._append_sha, *rest) for rest in commands.values()]
        )
        if any(isinstance(answer, NoScriptError) for answer in found):
            # Redis was restarted and forgot the script; those answers stored nothing.
            await self._run([("SCRIPT LOAD", _APPEND)])
            missed = {
                shard: batches[shard]
                for shard, answer in zip(batches, found, strict=True)
                if isinstance(answer, NoScriptError)
            }
            again = await self.append(missed)
            return dict(zip(batches, found, strict=True)) | again
        return dict(zip(batches, found, strict=True))

    def _command(self, shard: int, requests: Sequence[Sequence[Item]]) -> list[Any]:
        items = [item for request in requests for item in request]
        return [
            3,
            *self._seen(shard),
            stream(shard),
            self._window * 2,
            ",".join(str(len(request)) for request in requests),
            *(item.key for item in items),
            *(item.content_hash for item in items),
            *(item.row for item in items),
        ]

    async def look(self, batches: Mapping[int, Sequence[Item]]) -> list[Item]:
        """Return the events whose ids were used for other content; stores nothing."""
        commands = [
            ("HMGET", key, *(item.key for item in items))
            for shard, items in batches.items()
            for key in self._seen(shard)
        ]
        found = iter(await self._run(commands))
        reused = []
        for items in batches.values():
            for item, now, before in zip(items, next(found), next(found), strict=True):
                known = now or before
                if known is not None and known != item.content_hash:
                    reused.append(item)
        return reused

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
            shard: [(entry_id, fields[b"rows"]) for entry_id, fields in entries]
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
        """Send commands together; an answer of NOSCRIPT is returned, other errors are raised."""
        pipeline = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            found = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as error:
            raise _away(error) from None
        for answer in found:
            if isinstance(answer, Exception) and not isinstance(answer, NoScriptError):
                raise _away(answer) from None
        return found


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
