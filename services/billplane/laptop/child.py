"""One child process of ours: started, waited for, stopped, reaped, and known again by its pid."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from billplane.laptop.errors import AlreadyRunningError, ServerStartError
from billplane.laptop.home import LaptopHome
from billplane.laptop.processes import (
    POLL_SECONDS,
    Credentials,
    ProcessIdentity,
    server_credentials,
    server_environment,
)

START_TIMEOUT_SECONDS = 60.0
_LOG_TAIL_BYTES = 2000


class ChildProcess:
    """Keep one process with its pid file and its log."""

    def __init__(
        self,
        home: LaptopHome,
        name: str,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_seconds: float = 20,
    ) -> None:
        self.name = name
        self._home = home
        self._stop_signal = stop_signal
        self._grace_seconds = grace_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self.stop_requested: Callable[[], bool] = lambda: False

    @property
    def pid(self) -> int | None:
        """Give the pid while the process runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def require_stopped(self) -> None:
        """Refuse to start a second process on the same data.

        Raises: AlreadyRunningError.
        """
        identity = ProcessIdentity.read(self._home.pid_file(self.name))
        if identity is not None and identity.is_alive():
            raise AlreadyRunningError(
                f"{self.name} already runs on {self._home.path} as process {identity.pid}."
            )

    def end_orphan(self) -> bool:
        """End the process that a killed supervisor left behind; answer whether there was one."""
        path = self._home.pid_file(self.name)
        identity = ProcessIdentity.read(path)
        found = identity is not None and identity.is_alive()
        if identity is not None:
            identity.end(self._stop_signal, self._grace_seconds)
        path.unlink(missing_ok=True)
        return found

    def launch(self, command: list[str], *, environment: Mapping[str, str]) -> None:
        """Start one of our own programs, as ourselves, in the home directory."""
        self._launch(command, directory=self._home.path, environment=environment)

    def launch_server(self, command: list[str], *, directory: Path, configuration: str) -> None:
        """Start a store as the servers' user; its configuration is given on its input."""
        self._launch(
            command,
            directory=directory,
            environment=server_environment(),
            configuration=configuration,
            credentials=server_credentials(),
        )

    def wait_ready(self, is_ready: Callable[[], bool]) -> None:
        """Wait until the process takes connections.

        Raises: ServerStartError, with what the process logged last.
        """
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not is_ready():
            if self.poll() is not None:
                raise ServerStartError(
                    f"{self.name} ended with {self.poll()} before it was ready:\n{self.log_tail()}"
                )
            if self.stop_requested():
                raise ServerStartError(f"{self.name} was told to stop before it was ready.")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerStartError(
                    f"{self.name} was not ready after {START_TIMEOUT_SECONDS:.0f} s:\n"
                    f"{self.log_tail()}"
                )
            time.sleep(POLL_SECONDS)

    def poll(self) -> int | None:
        """Give the exit code once the process has ended, reaping it."""
        return None if self._process is None else self._process.poll()

    def stop(self) -> None:
        """Stop the process in its own clean way and wait for it.

        Idempotent by: the process; a stopped one stays stopped.
        """
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(self._grace_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None
        self._home.pid_file(self.name).unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill the process at once and reap it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log_tail(self) -> str:
        """Give the last lines of this run's log, for an error that has to explain itself."""
        with self._home.log_file(self.name).open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(min(self._log_start, size), size - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip()

    def _launch(
        self,
        command: list[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        configuration: str = "",
        credentials: Credentials | None = None,
    ) -> None:
        with self._home.log_file(self.name).open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603
                command,
                cwd=directory,
                env=dict(environment),
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
            identity.write(self._home.pid_file(self.name))
