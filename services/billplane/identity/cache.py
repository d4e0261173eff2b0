"""Every Redis command of identity: failed log-ins a minute."""

from redis.exceptions import RedisError

from billplane.chassis import logging
from billplane.chassis.runtime import Runtime

_log = logging.get("identity")


async def failed_logins(runtime: Runtime, account: str) -> int:
    """Return how many log-ins failed in the last minute; 0 while Redis is away."""
    try:
        return int(await runtime.redis.get(_name(account)) or 0)
    except RedisError as error:
        _log.warning("login_limit_unavailable", error=str(error))
        return 0


async def note_failed_login(runtime: Runtime, account: str) -> None:
    """Count a failed log-in for a minute."""
    try:
        async with runtime.redis.pipeline(transaction=True) as pipeline:
            pipeline.incr(_name(account))
            pipeline.expire(_name(account), 60, nx=True)
            await pipeline.execute()
    except RedisError as error:
        _log.warning("login_limit_unavailable", error=str(error))


def _name(account: str) -> str:
    return f"identity:failed_logins:{account}"
