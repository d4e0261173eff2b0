"""Engines, one a database server and process, and the transactions of one service."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import event, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from billplane.chassis import ids
from billplane.chassis.auth import Principal
from billplane.chassis.clock import Clock
from billplane.chassis.database.pool import LingeringPool
from billplane.chassis.database.transaction import ReadTransaction, Transaction
from billplane.chassis.database.watching import PATIENT, watch
from billplane.chassis.errors import StoreUnavailable, TenantRequired

if TYPE_CHECKING:
    from billplane.chassis.runtime import Runtime

_ENGINES: dict[str, AsyncEngine] = {}
# How many services use each: what a second platform of the process still uses stays open.
_USERS: Counter[str] = Counter()
_WRITES = ("INSERT", "UPDATE", "DELETE", "MERGE", "COPY")

_BEGIN = text(
    "SELECT set_config('role', :role, true), set_config('billplane.tenant_id', :tenant, true),"
    " set_config('billplane.livemode', :livemode, true),"
    " set_config('transaction_read_only', :read_only, true)"
)


def async_url(url: str) -> str:
    """Return the URL with the asyncpg driver named, and `sslmode` as that driver calls it."""
    parsed = make_url(url).set(drivername="postgresql+asyncpg")
    mode = parsed.query.get("sslmode")
    if isinstance(mode, str):
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return parsed.render_as_string(hide_password=False)


def engine_for(
    url: str, size: int = 5, overflow: int = 5, answer_seconds: float = 60
) -> AsyncEngine:
    """Return the process's engine of a database server; services at one address share it."""
    if url not in _ENGINES:
        engine = create_async_engine(
            async_url(url),
            poolclass=LingeringPool,
            pool_size=size,
            max_overflow=overflow,
            pool_timeout=10,
            pool_recycle=1800,
            connect_args={"server_settings": {"application_name": "billplane"}, "timeout": 5},
        )
        event.listen(engine.sync_engine, "before_cursor_execute", _note_write)
        watch(engine, answer_seconds)
        _ENGINES[url] = engine
    return _ENGINES[url]


async def dispose_engines() -> None:
    """Close the pools of every database server."""
    engines = [*_ENGINES.values()]
    _ENGINES.clear()
    _USERS.clear()
    for engine in engines:
        await engine.dispose()


def _note_write(
    connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: bool
) -> None:
    writes = context.isinsert or context.isupdate or context.isdelete
    if writes or statement.lstrip()[:6].upper().startswith(_WRITES):
        connection.info["wrote"] = True


class Database:
    """The transactions of one service: its schema, its app role, one tenant at a time."""

    def __init__(
        self,
        service: str,
        url: str,
        clock: Clock,
        size: int,
        overflow: int,
        answer_seconds: float = 60,
    ) -> None:
        self.service = service
        self.url = url
        self.clock = clock
        self.engine = engine_for(url, size, overflow, answer_seconds).execution_options(
            schema_translate_map={"service": service}
        )
        _USERS[url] += 1

    async def close(self) -> None:
        """Let go of the server; whoever does so last closes its connections."""
        _USERS[self.url] -= 1
        if _USERS[self.url] <= 0 and (engine := _ENGINES.pop(self.url, None)) is not None:
            await engine.dispose()

    @asynccontextmanager
    async def read(
        self, runtime: "Runtime", principal: Principal, request_id: str = ""
    ) -> AsyncIterator[ReadTransaction]:
        """Open a transaction that cannot write."""
        async with self._open("app", principal, read_only=True) as session:
            yield ReadTransaction(runtime, session, principal, self.clock.now(), request_id)

    @asynccontextmanager
    async def write(
        self, runtime: "Runtime", principal: Principal, request_id: str = ""
    ) -> AsyncIterator[Transaction]:
        """Open a transaction; it ends when the block does, or is undone when the block raises."""
        async with self._open("app", principal) as session:
            tx = Transaction(
                runtime, session, principal, self.clock.now(), request_id or ids.new("req")
            )
            yield tx
        if tx.published:
            runtime.wake_relay()
        for tell in tx.afterwards:
            tell()

    @asynccontextmanager
    async def across_tenants(
        self, role: str = "app", *, snapshot: bool = False
    ) -> AsyncIterator[AsyncSession]:
        """Open a transaction with no tenant.

        As `app` only worker functions find rows in it; as `reader` every tenant can be read. All
        statements of a `snapshot` see the same instant, whatever is written meanwhile, and may take
        as long as they need.
        """
        async with self._open(role, None, snapshot=snapshot) as session:
            yield session

    @asynccontextmanager
    async def _open(
        self,
        role: str,
        principal: Principal | None,
        read_only: bool = False,
        snapshot: bool = False,
    ) -> AsyncIterator[AsyncSession]:
        if principal is not None and not principal.tenant_id:
            raise TenantRequired("name the tenant that you act for as `Billplane-Tenant`")
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            with translated_errors():
                connection = await session.connection(
                    execution_options={"isolation_level": "REPEATABLE READ"} if snapshot else None
                )
                connection.info["wrote"] = False
                if snapshot:
                    connection.info[PATIENT] = True
                await session.execute(
                    _BEGIN,
                    {
                        "role": f"{self.service}_{role}",
                        "tenant": principal.tenant_id if principal else "",
                        "livemode": "true" if principal and principal.livemode else "false",
                        "read_only": "on" if read_only else "off",
                    },
                )
                yield session
                await session.commit()


class translated_errors:  # noqa: N801 - used as a statement
    """Turns a lost or refused connection into StoreUnavailable."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        """Translate what the block raised."""
        if error is not None and connection_lost(error):
            raise StoreUnavailable(
                "the database cannot be reached; nothing was stored, try again",
                retry_after_seconds=1,
            ) from error


def connection_lost(error: BaseException) -> bool:
    """True when the error means that the server is away, not that the statement is wrong."""
    if isinstance(error, PoolTimeout):
        return True  # every connection is taken: as good as away, and as short
    if isinstance(error, DBAPIError):
        if error.connection_invalidated or isinstance(error, InterfaceError):
            return True
        state = str(getattr(error.orig, "sqlstate", "") or "")
        return state.startswith(("08", "57P")) or (
            isinstance(error, OperationalError) and not state
        )
    return isinstance(error, ConnectionError | TimeoutError | OSError)
