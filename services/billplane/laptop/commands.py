"""`up`, `down`, `status`, `psql` and `exec`: what the command line asks of a laptop platform.

Each reports events, a name and its fields, to whoever called; the caller decides how they look.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from billplane.laptop.binaries import find_postgres
from billplane.laptop.errors import LaptopError
from billplane.laptop.home import LaptopHome
from billplane.laptop.plan import Plan, administrator_environment
from billplane.laptop.postgres import PostgresServer
from billplane.laptop.processes import ProcessIdentity, python_command
from billplane.laptop.state import (
    FAILED,
    READY,
    SUPERVISOR,
    SupervisorState,
    living_supervisor,
    supervisor_lock,
)
from billplane.laptop.supervisor import STAMP, Supervisor

UP_TIMEOUT_SECONDS = 180.0
# Longer than the graces of all parts together, so that a stop is not cut short.
DOWN_TIMEOUT_SECONDS = 90.0
POLL_SECONDS = 0.05

DATABASE_SETTING = "BILLPLANE_DATABASE_URL"

Report = Callable[[str, dict[str, Any]], None]


def supervise(home: LaptopHome, plan: Plan, report: Report) -> bool:
    """Serve the home in this very process until it is told to stop; answer whether it was.

    Raises: AlreadyRunningError.
    """

    def tell(event: str, detail: str) -> None:
        report(event, {"detail": detail})
        if event == "phase" and detail == READY:
            report("ready", {"url": home.gateway_url, "already_running": False})

    return Supervisor(home, plan, tell).run()


def up(home: LaptopHome, report: Report, supervisor_command: list[str]) -> None:
    """Start a supervisor that outlives this process, and wait until the platform is ready.

    Raises: LaptopError with the cause when it does not start.
    Idempotent by: the home; a second call reports the first one's address.
    """
    running = living_supervisor(home)
    process = None if running else _spawn(home, supervisor_command)
    try:
        url, is_ours = _wait_until_ready(home, process, report)
    except (KeyboardInterrupt, LaptopError):
        if process is not None:
            process.send_signal(signal.SIGTERM)
            process.wait()
        raise
    if process is not None:
        # It outlives us; without this the interpreter warns of a child that was not waited for.
        process.returncode = 0
    report("ready", {"url": url, "already_running": not is_ours})


def down(home: LaptopHome, plan: Plan, report: Report) -> None:
    """Stop everything that runs on a home, in order, and wait until nothing is left.

    Raises: AlreadyRunningError when another start came between.
    Idempotent by: the home.
    """
    running = living_supervisor(home)
    if running is not None:
        report("stopping", {"pid": running.pid})
        running.end(signal.SIGTERM, DOWN_TIMEOUT_SECONDS)
    with supervisor_lock(home):
        orphans = Supervisor(home, plan).end_orphans()
    report("stopped", {"was_running": running is not None, "orphans_ended": orphans})


def status(home: LaptopHome) -> dict[str, Any]:
    """Describe what runs on a home.

    Shape: running, phase, url, message, parts [{name, pid, restarts}].
    """
    state = SupervisorState.read(home)
    running = living_supervisor(home) is not None
    described: dict[str, Any] = {
        "running": running,
        "phase": state.phase if state and running else "stopped",
        "home": str(home.path),
        "url": state.url if state else home.gateway_url,
        "message": state.message if state else "",
        "parts": [vars(part) for part in state.parts] if state and running else [],
    }
    return described


def never_started(path: Path) -> dict[str, Any]:
    """Describe a home that is not there, without making it; the shape is that of `status`."""
    described = {"running": False, "phase": "never started", "home": str(path)}
    return {**described, "url": "", "message": "", "parts": []}


def run_with_settings(home: LaptopHome, arguments: list[str]) -> NoReturn:
    """Become `python -m billplane …` with the settings of the platform on this home.

    An address of a database that the caller has set stands: then it is not this home's platform
    that is meant.
    Raises: LaptopError when that platform does not run.
    """
    environment = dict(os.environ)
    if not os.environ.get(DATABASE_SETTING):
        _require_running(home)
        environment = administrator_environment(home)
        if arguments[:1] == ["migrate"]:
            # A schema moved by hand is looked at again by the next start.
            (home.postgres_directory / STAMP).unlink(missing_ok=True)
    command = python_command("billplane", *arguments)
    os.execve(command[0], command, environment)  # noqa: S606


def read_only_psql(home: LaptopHome, service: str, arguments: list[str]) -> NoReturn:
    """Become psql as the reader of one service's schema, in transactions that cannot write.

    Raises: LaptopError when there is neither a platform nor a psql.
    """
    url = os.environ.get(DATABASE_SETTING, "")
    if not url:
        _require_running(home)
        url = PostgresServer(home).url()
    program = _psql(home)
    settings = {
        "role": f"{service}_reader",
        "search_path": service,
        "default_transaction_read_only": "on",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    # The address in the environment, since the password would be seen in the list of processes.
    environment = {**os.environ, **_connection(url), "PGOPTIONS": options}
    os.execve(program, [program, *arguments], environment)  # noqa: S606


def _connection(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    return {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.strip("/"),
        **({"PGSSLMODE": query["sslmode"]} if "sslmode" in query else {}),
    }


def _psql(home: LaptopHome) -> str:
    installed = shutil.which("psql")
    if installed:
        return installed
    found = find_postgres(home.binaries_directory) / "psql"
    if not found.exists():
        raise LaptopError("psql is not installed. Install your system's PostgreSQL client.")
    return str(found)


def _require_running(home: LaptopHome) -> None:
    if living_supervisor(home) is None:
        raise LaptopError(
            f"No platform runs on {home.path}. Start it with `billplane up`, or set "
            f"{DATABASE_SETTING} to the database of another one."
        )


def _spawn(home: LaptopHome, command: list[str]) -> subprocess.Popen[bytes]:
    with home.log_file(SUPERVISOR).open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            command,
            cwd=home.path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait_until_ready(
    home: LaptopHome, process: subprocess.Popen[bytes] | None, report: Report
) -> tuple[str, bool]:
    """Follow the supervisor that serves the home; answer its address and whether it is ours.

    Of two that start at once one gives way, and both callers then follow the other.
    Raises: LaptopError.
    """
    own = ProcessIdentity.of(process.pid) if process else None
    deadline = time.monotonic() + UP_TIMEOUT_SECONDS
    phase = ""
    while True:
        # Asked before the state is read, so that a last word is not missed.
        ended = process is None or process.poll() is not None
        living = living_supervisor(home)
        followed = living or own
        state = SupervisorState.read(home)
        if state is not None and state.supervisor == followed:
            if state.phase != phase:
                phase = state.phase
                report("phase", {"detail": phase})
            if phase == READY:
                return state.url, followed == own
            if phase == FAILED:
                raise LaptopError(state.message)
        if (ended and living is None) or time.monotonic() > deadline:
            raise LaptopError(
                f"The platform did not start (last: {phase or 'nothing'}). "
                f"See {home.log_file(SUPERVISOR)}."
            )
        time.sleep(POLL_SECONDS)
