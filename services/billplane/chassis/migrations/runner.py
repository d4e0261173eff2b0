"""Runs the histories: `migrate`, `wait-schema`."""

import asyncio
from importlib import resources
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from asyncpg import PostgresError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from billplane.chassis import logging
from billplane.chassis.database.engine import async_url
from billplane.chassis.errors import StoreUnavailable

_log = logging.get("migrations")
# Any fixed number: one migration at a time in a database.
_LOCK = 7_361_208_551
# A server that is away, starting, or does not know the role yet.
_NOT_READY = (OSError, DBAPIError, PostgresError)


def has_history(service: str) -> bool:
    """True when the service owns tables."""
    return versions(service).is_dir()


def versions(service: str) -> Path:
    """Return the folder of a service's migrations."""
    return Path(str(resources.files("billplane"))) / service / "migrations"


def config_for(service: str) -> Config:
    """Return the Alembic configuration of one service."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("version_locations", str(versions(service)))
    config.set_main_option("path_separator", "os")
    config.attributes["schema"] = service
    return config


def head(service: str) -> str:
    """Return the newest revision of a service."""
    return str(ScriptDirectory.from_config(config_for(service)).get_current_head())


def revisions(service: str) -> list[str]:
    """List a service's revisions, the oldest first."""
    script = ScriptDirectory.from_config(config_for(service))
    return [item.revision for item in reversed(list(script.walk_revisions()))]


async def current(engine: AsyncEngine, service: str) -> str | None:
    """Return the revision that a database is at, None when there is none."""
    async with engine.connect() as connection:
        exists = await connection.scalar(
            text("SELECT to_regclass(:name)"), {"name": f"{service}.alembic_version"}
        )
        if exists is None:
            return None
        found = await connection.scalar(
            text(f"SELECT version_num FROM {service}.alembic_version")  # noqa: S608 - a name of the catalog
        )
        return str(found) if found else None


async def migrate(url: str, services: list[str], to: str = "head", down: int = 0) -> None:
    """Bring the schemas of some services to a revision, one after the other.

    Raises: StoreUnavailable when the database cannot be reached.
    """
    engine = create_async_engine(async_url(url))
    try:
        async with engine.connect() as lock:
            await lock.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            for service in services:
                if not has_history(service):
                    continue
                if to == "head" and not down and await current(engine, service) == head(service):
                    continue
                async with engine.connect() as connection:
                    await connection.run_sync(_run, service, to, down)
                    await connection.commit()
                _log.info("schema_migrated", schema=service, to=await current(engine, service))
    finally:
        await engine.dispose()


def _run(connection: Any, service: str, to: str, down: int) -> None:
    config = config_for(service)
    config.attributes["connection"] = connection
    connection.exec_driver_sql(f"SET LOCAL ROLE {service}_owner")
    if down:
        command.downgrade(config, f"-{down}")
    elif to == "base":
        command.downgrade(config, "base")
    else:
        command.upgrade(config, to)
    # Whoever may use the schema may see its revision: readiness asks before it takes a role.
    connection.exec_driver_sql(f"GRANT SELECT ON {service}.alembic_version TO PUBLIC")


def sql(service: str, to: str = "head") -> None:
    """Write the SQL of a service's history to standard output."""
    command.upgrade(config_for(service), to, sql=True)


async def wait_database(url: str, timeout_seconds: float) -> None:
    """Return once the server lets this role in.

    Raises: StoreUnavailable after the timeout, with the last answer.
    """
    engine = create_async_engine(async_url(url))
    answer = ""
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                try:
                    async with engine.connect():
                        return
                except _NOT_READY as error:
                    answer = str(error)
                    _log.info("database_not_ready", error=answer)
                await asyncio.sleep(1)
    except TimeoutError:
        raise StoreUnavailable(f"the database does not answer: {answer}") from None
    finally:
        await engine.dispose()


async def wait_schema(url: str, services: list[str], timeout_seconds: float) -> None:
    """Return once every schema is at its head.

    Raises: StoreUnavailable after the timeout.
    """
    engine = create_async_engine(async_url(url))
    waiting = [service for service in services if has_history(service)]
    try:
        async with asyncio.timeout(timeout_seconds):
            while waiting:
                try:
                    waiting = [
                        name for name in waiting if await current(engine, name) != head(name)
                    ]
                except _NOT_READY as error:
                    _log.info("database_not_ready", error=str(error))
                if waiting:
                    await asyncio.sleep(1)
    except TimeoutError:
        raise StoreUnavailable(f"these schemas are not migrated: {', '.join(waiting)}") from None
    finally:
        await engine.dispose()
