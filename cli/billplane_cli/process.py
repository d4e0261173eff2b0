"""Start the platform's own programs; the only place that starts a process."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode

_NOT_RUNNING = 3


def laptop(
    arguments: list[str],
    on_event: Callable[[str, Mapping[str, Any]], None] = lambda _event, _fields: None,
) -> Mapping[str, Any]:
    """Run `python -m billplane.laptop …`, tell its events as they come, return the last one.

    Raises: CliError with what it says when it fails.
    """
    last: dict[str, Any] = {}
    with subprocess.Popen(  # noqa: S603  (a list, and this very interpreter)
        _python("billplane.laptop", arguments), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            for line in process.stdout or ():
                last = json.loads(line)
                on_event(last["event"], last)
        except KeyboardInterrupt:
            # Ctrl-C reached it too; it stops in order, and we wait for that.
            process.wait()
            raise
        code = process.wait()
    if last.get("event") == "failed":
        raise CliError(str(last["detail"]))
    if code not in {0, _NOT_RUNNING}:
        raise CliError(f"The platform's launcher ended with {code}.")
    return last


def platform(arguments: list[str]) -> ExitCode:
    """Run `python -m billplane …` with this machine's settings, its output straight to ours."""
    return _pass_on(["exec", "--", *arguments])


def psql(arguments: list[str]) -> ExitCode:
    """Run psql on the data of one service, in this terminal."""
    return _pass_on(["psql", *arguments])


def tool(
    arguments: list[str], *, timeout_seconds: float, hint: str = "", given: str | None = None
) -> str:
    """Run a program of somebody else and return what it wrote; `hint` says how to install it.

    Raises: CliError when it is not installed, fails, or takes too long.
    """
    program = arguments[0]
    try:
        completed = subprocess.run(  # noqa: S603  (a list)
            arguments,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            input=given,
        )
    except FileNotFoundError as error:
        raise CliError(
            f"{program} is not installed.", hint=hint, exit_code=ExitCode.FAILED
        ) from error
    except subprocess.TimeoutExpired as error:
        shown = " ".join(arguments[:3])
        raise CliError(
            f"`{shown} …` took longer than {timeout_seconds:.0f} s.", hint=hint
        ) from error
    if completed.returncode:
        said = (completed.stderr or completed.stdout).strip().splitlines()
        raise CliError(f"{program}: {' '.join(said[-4:]) or completed.returncode}")
    return completed.stdout


def tool_here(arguments: list[str]) -> int:
    """Run a program of somebody else in this terminal until it ends; return its exit code."""
    return subprocess.run(arguments, check=False).returncode  # noqa: S603  (a list)


def installed(program: str, *arguments: str) -> str | None:
    """Give the first line that a program says of itself; None when it is not installed."""
    try:
        completed = subprocess.run(  # noqa: S603
            [program, *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (completed.stdout or completed.stderr).strip().partition("\n")[0]


def _pass_on(arguments: list[str]) -> ExitCode:
    command = _python("billplane.laptop", arguments)
    code = subprocess.run(command, check=False).returncode  # noqa: S603
    return ExitCode(code) if code in set(ExitCode) else ExitCode.FAILED


def _python(module: str, arguments: list[str]) -> list[str]:
    # -P: the directory that a command is given in must not shadow a module.
    return [sys.executable, "-P", "-m", module, *arguments]
