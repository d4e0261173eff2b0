"""What `python -m billplane` does with services: run, migrate, wait, prepare, verify."""

import argparse
import asyncio
import os
import sys

from sqlalchemy.engine import make_url

from billplane import catalog, trial
from billplane.chassis import host, logging
from billplane.chassis.database.engine import dispose_engines
from billplane.chassis.errors import BillplaneError
from billplane.chassis.migrations import roles, runner
from billplane.chassis.settings import Settings
from billplane.chassis.verify import verify


def execute(options: argparse.Namespace) -> int:
    """Run one command; return its exit code.

    Raises: SettingsError, KeyError for a service that there is not.
    """
    try:
        return _execute(options)
    except BillplaneError as error:
        sys.stderr.write(f"billplane: {error.detail}\n")
        return 2


def _execute(options: argparse.Namespace) -> int:
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
    if options.command == "try":
        key = os.environ.get("BILLPLANE_API_KEY", "")
        return trial.run(options.trials, settings, options.gateway, key)
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
