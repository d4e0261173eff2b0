"""Know a process again by its pid and start time, and run servers as an unprivileged user."""

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.02
UNPRIVILEGED_USER = "nobody"
_HAS_PROC = Path("/proc/self/stat").exists()


@dataclass(frozen=True)
class ProcessIdentity:
    """Name one process for ever: a pid alone is given to another process sooner or later."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """Identify a living process; None when it is gone or only waits to be reaped."""
        started = _start_of(pid)
        return None if started is None else cls(pid, started)

    @classmethod
    def own(cls) -> "ProcessIdentity":
        """Identify this very process."""
        pid = os.getpid()
        return cls(pid, _start_of(pid) or "")

    @classmethod
    def read(cls, path: Path) -> "ProcessIdentity | None":
        """Read a pid file; None when there is none or it is not ours."""
        try:
            document = json.loads(path.read_text())
            return cls(int(document["pid"]), str(document["started"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write a pid file in one step, so that a reader never sees half of it."""
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(json.dumps({"pid": self.pid, "started": self.started}))
        partial.replace(path)

    def is_alive(self) -> bool:
        """Tell whether this very process, not a later one of the same pid, still runs."""
        return _start_of(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.is_alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def end(self, number: signal.Signals, grace_seconds: float) -> None:
        """Ask the process to stop, and kill it when its grace has passed."""
        self.send(number)
        if not wait_until(lambda: not self.is_alive(), grace_seconds):
            self.send(signal.SIGKILL)
            wait_until(lambda: not self.is_alive(), 5)


def wait_until(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    """Poll a condition until it holds or the time is up; answer whether it held."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def command_lines() -> Iterator[tuple[int, str]]:
    """Yield pid and command line of every process that is visible to us."""
    if _HAS_PROC:
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    raw = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                yield int(entry.name), raw.replace(b"\0", b" ").decode(errors="replace")
        return
    for line in _ps("-axo", "pid=,command=").splitlines():
        pid, _, command = line.strip().partition(" ")
        yield int(pid), command


@dataclass(frozen=True)
class Credentials:
    """Name the user, other than ourselves, that a server runs as."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        """Give the arguments that make a child of ours run as this user and no group of ours."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def may_enter(self, path: Path) -> bool:
        """Tell whether this user can reach what lies in a directory, parents included."""
        return all(self._may(directory, 0o1) for directory in (path, *path.parents))

    def may_run(self, path: Path) -> bool:
        """Tell whether this user can reach and run a file."""
        return self.may_enter(path.parent) and self._may(path, 0o5)

    def _may(self, path: Path, bits: int) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            bits <<= 6
        elif status.st_gid == self.gid:
            bits <<= 3
        return status.st_mode & bits == bits


@cache
def server_credentials() -> Credentials | None:
    """Choose whom servers run as: ourselves (None), or nobody when we are root.

    Postgres refuses to be run by root, and neither store has a use for root's rights.
    """
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(UNPRIVILEGED_USER)
    return Credentials(entry.pw_name, entry.pw_uid, entry.pw_gid)


def run_as_server(
    command: list[str],
    *,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    text_input: str = "",
) -> str:
    """Run a server's tool to its end as the servers' user and return what it said.

    Raises: subprocess.CalledProcessError.
    """
    credentials = server_credentials()
    completed: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603  (a list, and a program that we found ourselves)
        command,
        cwd=directory,
        env={**server_environment(), **(environment or {})},
        input=text_input,
        check=True,
        capture_output=True,
        text=True,
        umask=0o077,
        **(credentials.popen_arguments() if credentials else {}),
    )
    return completed.stdout


def server_environment() -> dict[str, str]:
    """Give servers a fixed environment: nothing of ours changes what they do."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _start_of(pid: int) -> str | None:
    if not _HAS_PROC:
        state, _, started = _ps("-o", "state=,lstart=", "-p", str(pid)).strip().partition(" ")
        return None if not state or state.startswith("Z") else started.strip()
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{_boot_id()}/{fields[19]}"


@cache
def _boot_id() -> str:
    # Start times count from the boot, so two boots can give one pid the same one.
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]


def _ps(*arguments: str) -> str:
    command = ["/bin/ps", *arguments]
    return subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False
    ).stdout


def python_command(module: str, *arguments: str) -> list[str]:
    """Give the command that runs one of our modules with this very interpreter."""
    # -P: the directory that a command is given in must not shadow a module.
    return [sys.executable, "-P", "-m", module, *arguments]
