"""What a supervisor tells others of itself: run/state.json, the lock and its pid."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from billplane.laptop.errors import AlreadyRunningError
from billplane.laptop.home import LaptopHome
from billplane.laptop.processes import ProcessIdentity

SUPERVISOR = "supervisor"
READY = "ready"
FAILED = "failed"
STOPPED = "stopped"


@dataclass(frozen=True)
class PartState:
    """One supervised process."""

    name: str
    pid: int | None
    restarts: int


@dataclass(frozen=True)
class SupervisorState:
    """Where the supervisor is: `starting <part>`, ready, restarting, stopping, stopped, failed."""

    phase: str
    supervisor: ProcessIdentity
    url: str
    port_offset: int
    message: str = ""
    parts: list[PartState] = field(default_factory=list)

    def write(self, home: LaptopHome) -> None:
        """Write the state in one step, so that a reader never sees half of it."""
        path = home.run_directory / "state.json"
        partial = path.with_name("state.json.partial")
        partial.write_text(json.dumps(asdict(self), indent=2))
        partial.replace(path)

    @classmethod
    def read(cls, home: LaptopHome) -> "SupervisorState | None":
        """Read the last state written, by a supervisor that may be gone since."""
        try:
            document = json.loads((home.run_directory / "state.json").read_text())
            parts = [PartState(**part) for part in document.pop("parts")]
            supervisor = ProcessIdentity(**document.pop("supervisor"))
            return cls(**document, supervisor=supervisor, parts=parts)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


def living_supervisor(home: LaptopHome) -> ProcessIdentity | None:
    """Give the supervisor that serves this home now."""
    identity = ProcessIdentity.read(home.pid_file(SUPERVISOR))
    return identity if identity is not None and identity.is_alive() else None


@contextmanager
def supervisor_lock(home: LaptopHome) -> Iterator[None]:
    """Hold the home's lock: the system frees it however the holder ends.

    Raises: AlreadyRunningError.
    """
    descriptor = os.open(home.run_directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(f"{home.path} is already served.") from error
        pid_file = home.pid_file(SUPERVISOR)
        ProcessIdentity.own().write(pid_file)
        yield
        pid_file.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
