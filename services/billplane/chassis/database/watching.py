"""Connections that Postgres no longer answers on: a path that swallows what is sent ends none.

Nothing tells a client whose packets are dropped, by a firewall or a proxy, that nobody hears it:
the one who waits would wait for ever, and so would all who wait for him. So every wait has an end.
"""

import asyncio
import time
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine

# A connection that was used so lately is not asked whether it is still there.
FRESH_SECONDS: Final = 1.0
PING_SECONDS: Final = 3.0
# In a connection's info: its statements may take as long as they need.
PATIENT: Final = "patient"
_TIMER, _RETURNED = "timer", "returned"


def watch(engine: AsyncEngine, answer_seconds: float) -> None:
    """Cut connections of an engine that leave a statement or a commit unanswered for so long."""

    def sent(connection: Any, *_: Any) -> None:
        if connection.invalidated:
            return
        info = connection.info
        _answered(info)
        if not info.get(PATIENT):
            _wait(info, connection.connection.driver_connection, answer_seconds)

    def answered(connection: Any, *_: Any) -> None:
        _answered(connection.info)

    def failed(context: Any) -> None:
        if context.connection is not None and not context.connection.invalidated:
            _answered(context.connection.info)

    def returned(_dbapi_connection: Any, record: Any) -> None:
        _answered(record.info)
        record.info.pop(PATIENT, None)
        record.info[_RETURNED] = time.monotonic()

    def taken(dbapi_connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.get(_RETURNED)
        if since is None or time.monotonic() - since < FRESH_SECONDS:
            return
        _wait(record.info, dbapi_connection.driver_connection, PING_SECONDS)
        try:
            dbapi_connection.ping()
        except Exception as error:
            # Those that are as old lead over the same way.
            raise InvalidatePoolError from error
        finally:
            _answered(record.info)

    target = engine.sync_engine
    event.listen(target, "before_cursor_execute", sent)
    event.listen(target, "commit", sent)
    event.listen(target, "rollback", sent)
    event.listen(target, "after_cursor_execute", answered)
    event.listen(target, "handle_error", failed)
    event.listen(target, "checkout", taken)
    event.listen(target, "checkin", returned)


def _wait(info: dict[Any, Any], connection: Any, seconds: float) -> None:
    info[_TIMER] = asyncio.get_running_loop().call_later(seconds, connection.terminate)


def _answered(info: dict[Any, Any]) -> None:
    timer = info.pop(_TIMER, None)
    if timer is not None:
        timer.cancel()
