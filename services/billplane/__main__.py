"""`python -m billplane run|migrate|wait-schema|init-database|verify`: the container's entry."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from dotenv import dotenv_values
from sqlalchemy.engine import make_url

from billplane import catalog
from billplane.chassis import host, logging
from billplane.chassis.database.engine import dispose_engines
from billplane.chassis.errors import BillplaneError
from billplane.chassis.migrations import roles, runner
from billplane.chassis.settings import Settings, SettingsError
from billplane.chassis.verify import verify


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m billplane", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="host services until SIGTERM")
    run.add_argument("services", nargs="*", metavar="SERVICE", help="names, or `all`")
    run.add_argument("--port", type=int, help="REST port of a single service, for development")
    migrate = commands.add_parser("migrate", help="bring schemas to a revision")
    migrate.add_argument("services", nargs="*", metavar="SERVICE")
    migrate.add_argument("--to", default="head", help="revision, `head` or `base`")
    migrate.add_argument("--down", type=int, default=0, metavar="N", help="go back N revisions")
    migrate.add_argument("--sql", action="store_true", help="print the SQL instead")
    wait = commands.add_parser("wait-schema", help="wait until schemas are migrated")
    wait.add_argument("services", nargs="*", metavar="SERVICE")
    wait.add_argument("--timeout", type=float, default=300, metavar="SECONDS")
    init = commands.add_parser("init-database", help="make schemas and roles; idempotent")
    init.add_argument("--print", action="store_true", help="print the SQL for an administrator")
    init.add_argument("--login", default="", help="role that services connect as")
    init.add_argument("--password", default="", help="its password; both default to database_url's")
    init.add_argument("--timeout", type=float, default=60, metavar="SECONDS")
    check = commands.add_parser("verify", help="run every invariant of every service")
    check.add_argument("services", nargs="*", metavar="SERVICE")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except (SettingsError, BillplaneError, KeyError) as error:
        message = error.args[0] if error.args else str(error)
        sys.stderr.write(f"billplane: {message}\n")
        return 2


def _run(options: argparse.Namespace) -> int:
    settings = Settings.load()
    logging.configure(settings.log_level, settings.log_format)
    services = catalog.names_of(getattr(options, "services", []))
    admin_url = settings.admin_database_url or settings.database_url
    if options.command == "run":
        apps = [catalog.load(name) for name in services]
        return host.run(apps)
    if options.command == "migrate":
        if options.sql:
            for service in services:
                runner.sql(service, options.to)
            return 0
        asyncio.run(runner.migrate(admin_url, services, options.to, options.down))
        return 0
    if options.command == "wait-schema":
        asyncio.run(runner.wait_schema(settings.database_url, services, options.timeout))
        return 0
    if options.command == "init-database":
        return _init_database(options, settings)
    return asyncio.run(_verify(services, settings))


def _init_database(options: argparse.Namespace, settings: Settings) -> int:
    """Make roles and schemas; the login is the one that services will connect as."""
    url = make_url(settings.database_url)
    login = options.login or url.username or "billplane"
    names = list(catalog.SERVICES)
    if options.print:
        sys.stdout.write(";\n".join(roles.statements(names, login, "CURRENT_USER")) + ";\n")
        return 0
    admin_url = settings.admin_database_url or settings.database_url
    # An administrator who comes as that login cannot be meant to change the password in use.
    password = "" if login == make_url(admin_url).username else url.password or ""

    async def prepare() -> None:
        await runner.wait_database(admin_url, options.timeout)
        await roles.init_database(admin_url, names, login, options.password or password)

    asyncio.run(prepare())
    return 0


async def _verify(services: list[str], settings: Settings) -> int:
    try:
        found = await verify([catalog.load(name) for name in services], settings)
    finally:
        await dispose_engines()
    for item in found:
        sys.stdout.write(
            f"{item.invariant}: {item.detail} (tenant {item.tenant_id}, {item.subject})\n"
        )
    sys.stdout.write(f"{len(services)} services checked, {len(found)} violations\n")
    return 1 if found else 0


def _load_dotenv() -> None:
    if not Path("/.dockerenv").exists():
        for name, value in dotenv_values(".env").items():
            if value is not None:
                os.environ.setdefault(name, value)


if __name__ == "__main__":
    _load_dotenv()
    sys.exit(main())
