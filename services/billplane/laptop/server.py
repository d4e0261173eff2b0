"""One store as a child process: started as the servers' user, waited for, stopped, reaped."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from billplane.laptop.errors import AlreadyRunningError, ServerStartError
from billplane.laptop.home import LaptopHome
from billplane.laptop.processes import (
    POLL_SECONDS,
    ProcessIdentity,
    server_credentials,
    server_environment,
)

START_TIMEOUT_SECONDS = 60.0
_LOG_TAIL_CHARACTERS = 2000


class ServerProcess:
    """Keep one server's process, its pid file and its log."""

    def __init__(self, home: LaptopHome, name: str, stop_signal: signal.Signals) -> None:
        self._home = home
        self._name = name
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Give the pid while the server runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def require_stopped(self) -> None:
        """Refuse to start a second server on the same data.

        Raises: AlreadyRunningError.
        """
        identity = ProcessIdentity.read(self._home.pid_file(self._name))
        if identity is not None and identity.is_alive():
            raise AlreadyRunningError(
                f"{self._name} already runs on {self._home.path} as process {identity.pid}."
            )

    def end_orphan(self, grace_seconds: float = 20) -> bool:
        """End the server that a killed supervisor left behind; answer whether there was one."""
        path = self._home.pid_file(self._name)
        identity = ProcessIdentity.read(path)
        found = identity is not None and identity.is_alive()
        if identity is not None:
            identity.end(self._stop_signal, grace_seconds)
        path.unlink(missing_ok=True)
        return found

    def launch(self, command: list[str], *, directory: Path, configuration: str = "") -> None:
        """Start the server; a configuration that must not be seen is given on its input."""
        credentials = server_credentials()
        with self._home.log_file(self._name).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                cwd=directory,
                env=server_environment(),
                stdin=subprocess.PIPE if configuration else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C at the terminal must reach the supervisor alone, which stops in order.
                start_new_session=True,
                umask=0o077,
                **(credentials.popen_arguments() if credentials else {}),
            )
        if self._process.stdin is not None:
            with self._process.stdin as stream:
                stream.write(configuration.encode())
        identity = ProcessIdentity.of(self._process.pid)
        if identity is not None:
            identity.write(self._home.pid_file(self._name))

    def wait_ready(self, is_ready: Callable[[], bool]) -> None:
        """Wait until the server takes connections.

        Raises: ServerStartError, with what the server logged last.
        """
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not is_ready():
            if self.poll() is not None:
                raise ServerStartError(
                    f"{self._name} ended with {self.poll()} before it was ready:\n{self._tail()}"
                )
            if time.monotonic() > deadline:
                self.kill()
                raise ServerStartError(
                    f"{self._name} was not ready after {START_TIMEOUT_SECONDS:.0f} s:\n"
                    f"{self._tail()}"
                )
            time.sleep(POLL_SECONDS)

    def poll(self) -> int | None:
        """Give the exit code once the server has ended, reaping it."""
        return None if self._process is None else self._process.poll()

    def stop(self, grace_seconds: float = 20) -> None:
        """Stop the server in its own clean way and wait for it.

        Idempotent by: the process; a stopped one stays stopped.
        """
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None
        self._home.pid_file(self._name).unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill the server at once and reap it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _tail(self) -> str:
        text = self._home.log_file(self._name).read_text(errors="replace")
        return text[-_LOG_TAIL_CHARACTERS:]
