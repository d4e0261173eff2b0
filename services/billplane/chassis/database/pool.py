"""Connections that stay while there is much to do, and are few when there is not."""

import time
from typing import Any, Final

from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, QueuePool

# For so long after half of the further connections were in use they stay open, since opening one
# costs a process of the server, a proof of the password and every prepared statement. A few jobs
# that wake together are no such load.
LINGER_SECONDS: Final = 30.0


class LingeringPool(AsyncAdaptedQueuePool):
    """Keeps `pool_size` connections at all times and `max_overflow` more while they are used."""

    def __init__(
        self, creator: Any, pool_size: int = 5, max_overflow: int = 5, **options: Any
    ) -> None:
        super().__init__(creator, pool_size=pool_size + max_overflow, max_overflow=0, **options)
        self._kept = pool_size
        self._busy = pool_size + max_overflow // 2
        self._busy_at = 0.0

    def recreate(self) -> QueuePool:
        """Return a pool like this one without its connections."""
        pool = super().recreate()
        if isinstance(pool, LingeringPool):
            pool._kept, pool._busy = self._kept, self._busy
        return pool

    def _do_get(self) -> ConnectionPoolEntry:
        if self.checkedout() >= self._busy:
            self._busy_at = time.monotonic()
        return super()._do_get()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        idle = time.monotonic() - self._busy_at > LINGER_SECONDS
        if not idle or self.checkedin() < self._kept:
            super()._do_return_conn(record)
            return
        try:
            record.close()
        finally:
            self._dec_overflow()
