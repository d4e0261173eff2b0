"""Every Redis command of pricing: answers of price sources while they are fresh."""

from datetime import timedelta

from redis.exceptions import RedisError

from billplane.chassis import logging
from billplane.chassis.runtime import Runtime

_log = logging.get("pricing")


async def cached_price(runtime: Runtime, key: str) -> bytes | str | None:
    """Return what is held under a key; nothing while Redis is away."""
    try:
        return await runtime.redis.get(f"pricing:{key}")
    except RedisError:
        return None


async def cache_price(runtime: Runtime, key: str, held: str, life: timedelta) -> None:
    """Hold an answer for a while; not at all while Redis is away."""
    try:
        if life:
            await runtime.redis.set(f"pricing:{key}", held, px=life)
    except RedisError as error:
        _log.warning("price_not_cached", error=str(error))
