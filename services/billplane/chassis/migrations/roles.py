"""`init-database`: per service a schema, an owner, an app, a worker and a reader role."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from billplane.chassis.database.engine import async_url


def statements(services: list[str], login: str, migrator: str) -> list[str]:
    """Return the SQL, idempotent, for an administrator who is not a superuser too.

    `login` is the role that services connect as: a member of every app and reader role that
    inherits nothing. `migrator` is the role that runs migrations: a member of every owner role.
    """
    lines = [_role(login, "LOGIN NOINHERIT")]
    for service in services:
        owner, app = f"{service}_owner", f"{service}_app"
        worker, reader = f"{service}_worker", f"{service}_reader"
        lines += [_role(role, "NOLOGIN") for role in (owner, worker, reader, app)]
        lines += [
            f"GRANT {owner} TO {migrator}",
            f"GRANT {worker} TO {owner}",
            f"GRANT {app}, {reader} TO {login}",
            f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {owner}",
            f"GRANT USAGE ON SCHEMA {service} TO {app}, {reader}, {login}, {worker}",
            f"GRANT CREATE ON SCHEMA {service} TO {worker}",
        ]
    return lines


def _role(name: str, attributes: str) -> str:
    # Roles belong to the server: whoever prepares another database of it may make one just now.
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}')"
        f" THEN CREATE ROLE {name} {attributes}; END IF;"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )


async def init_database(
    admin_url: str, services: list[str], login: str, password: str = ""
) -> None:
    """Run the statements; a given password becomes the login's."""
    engine = create_async_engine(async_url(admin_url))
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(7361208552)"))
            migrator = str(await connection.scalar(text("SELECT current_user")))
            for statement in statements(services, login, migrator):
                await connection.exec_driver_sql(statement)
            if password:
                quoted = password.replace("'", "''")
                await connection.exec_driver_sql(f"ALTER ROLE {login} PASSWORD '{quoted}'")
    finally:
        await engine.dispose()
