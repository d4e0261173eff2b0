"""python -m billplane.laptop COMMAND: one JSON event a line on standard output."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from billplane.laptop import commands
from billplane.laptop.doctor import examine
from billplane.laptop.errors import AlreadyRunningError, LaptopError
from billplane.laptop.home import LaptopHome, default_home
from billplane.laptop.plan import platform_plan
from billplane.laptop.processes import python_command
from billplane.laptop.state import SupervisorState, living_supervisor

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_NOT_RUNNING = 3


def main(arguments: list[str] | None = None) -> int:
    """Run one command and answer its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        path = parsed.home or default_home().expanduser()
        if parsed.command in {"status", "down"} and not path.exists():
            return _tell_never_started(parsed.command, path)
        home = LaptopHome.open(parsed.home, parsed.port_offset)
        return _run(home, parsed)
    except LaptopError as error:
        if parsed.command in {"exec", "psql"}:
            # Their output is the program's own.
            sys.stderr.write(f"Error: {error}\n")
            return EXIT_NOT_RUNNING
        report("failed", {"detail": str(error)})
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_FAILED


def _tell_never_started(command: str, path: Path) -> int:
    if command == "down":
        report("stopped", {"was_running": False, "orphans_ended": []})
        return EXIT_OK
    report("status", commands.never_started(path))
    return EXIT_NOT_RUNNING


def report(event: str, fields: dict[str, Any]) -> None:
    """Write one event for the program that started us."""
    sys.stdout.write(f"{json.dumps({'event': event, **fields})}\n")
    sys.stdout.flush()


def _run(home: LaptopHome, parsed: argparse.Namespace) -> int:
    if parsed.command == "up" and not parsed.foreground:
        options = ["--home", str(home.path), "--port-offset", str(home.port_offset)]
        command = python_command("billplane.laptop", *options, "up", "--foreground")
        commands.up(home, report, command)
    elif parsed.command == "up":
        return _stay(home)
    elif parsed.command == "down":
        commands.down(home, platform_plan(home), report)
    elif parsed.command == "status":
        described = commands.status(home)
        report("status", described)
        return EXIT_OK if described["running"] else EXIT_NOT_RUNNING
    elif parsed.command == "doctor":
        report("doctor", {"checks": examine(home)})
    elif parsed.command == "psql":
        commands.read_only_psql(_as_running(home), parsed.service, parsed.arguments)
    else:
        arguments = parsed.arguments[1:] if parsed.arguments[:1] == ["--"] else parsed.arguments
        commands.run_with_settings(_as_running(home), arguments)
    return EXIT_OK


def _stay(home: LaptopHome) -> int:
    try:
        return EXIT_OK if commands.supervise(home, platform_plan(home), report) else EXIT_FAILED
    except AlreadyRunningError:
        state = SupervisorState.read(home)
        url = state.url if state else home.gateway_url
        report("ready", {"url": url, "already_running": True})
        return EXIT_OK


def _as_running(home: LaptopHome) -> LaptopHome:
    """Give the home with the ports that its running platform has, whatever the caller's."""
    state = SupervisorState.read(home)
    if state is None or living_supervisor(home) is None:
        return home
    return LaptopHome.open(home.path, state.port_offset)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m billplane.laptop", description=__doc__)
    parser.add_argument("--home", type=Path, help="directory of the platform (BILLPLANE_HOME)")
    parser.add_argument("--port-offset", type=int, help="shift of all ports")
    subparsers = parser.add_subparsers(dest="command", required=True)
    up = subparsers.add_parser("up", help="start the platform and return when it is ready")
    up.add_argument("--foreground", action="store_true", help="stay, until Ctrl-C")
    subparsers.add_parser("down", help="stop it and leave nothing running")
    subparsers.add_parser("status", help="say what runs")
    subparsers.add_parser("doctor", help="say what is missing and how to fix it")
    psql = subparsers.add_parser("psql", help="open a read-only connection to a service's data")
    psql.add_argument("service")
    psql.add_argument("arguments", nargs=argparse.REMAINDER)
    execute = subparsers.add_parser("exec", help="run `python -m billplane …` with its settings")
    execute.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
