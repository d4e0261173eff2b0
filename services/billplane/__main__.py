"""`python -m billplane run|migrate|wait-schema|init-database|verify|try`: the container's entry."""

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

from dotenv import dotenv_values

from billplane import catalog
from billplane.chassis.settings import SettingsError

_ALONE = {(name,) for name in catalog.STAND_ALONE}


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
    trying = commands.add_parser("try", help="make an installed platform do its work")
    trying.add_argument("trials", nargs="*", metavar="TRIAL", help="default: all")
    trying.add_argument("--gateway", default="http://gateway:8080", metavar="URL")
    check = commands.add_parser("verify", help="run every invariant of every service")
    check.add_argument("services", nargs="*", metavar="SERVICE")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "run" and tuple(options.services) in _ALONE:
            return catalog.run_alone(options.services[0])
        # Imported here, so that what stands alone does not carry what services need.
        code: int = import_module("billplane.commands").execute(options)
        return code
    except (SettingsError, KeyError) as error:
        message = error.args[0] if error.args else str(error)
        sys.stderr.write(f"billplane: {message}\n")
        return 2


def _load_dotenv() -> None:
    if not Path("/.dockerenv").exists():
        for name, value in dotenv_values(".env").items():
            if value is not None:
                os.environ.setdefault(name, value)


if __name__ == "__main__":
    _load_dotenv()
    sys.exit(main())
