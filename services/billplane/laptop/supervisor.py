"""Start the stores and the platform, restart what dies, and stop everything in order."""

import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

from billplane.laptop.child import ChildProcess
from billplane.laptop.errors import LaptopError, ServerStartError
from billplane.laptop.home import LaptopHome, require_free_port
from billplane.laptop.plan import Plan, Program, Step
from billplane.laptop.postgres import PostgresServer
from billplane.laptop.processes import ProcessIdentity
from billplane.laptop.state import (
    FAILED,
    READY,
    STOPPED,
    PartState,
    SupervisorState,
    supervisor_lock,
)
from billplane.laptop.valkey import ValkeyServer

POLL_SECONDS = 0.1
# Names what the steps were run for; in the directory of the data that it speaks of.
STAMP = "steps.done"
DELAY_FIRST_SECONDS = 0.2
DELAY_MAX_SECONDS = 10.0
# A process that ran for so long was well, and its next death counts as its first.
HEALTHY_SECONDS = 30.0
READY_TIMEOUT_SECONDS = 120.0
STARTS_MAX_BEFORE_READY = 3
LOG_BYTES_MAX = 10_000_000
LOG_CHECK_SECONDS = 30.0


class Part(Protocol):
    """What the supervisor starts: a store or a program."""

    process: ChildProcess

    def start(self) -> None:
        """Start it and, if it is a store, wait until it answers."""

    def stop(self) -> None:
        """Stop it in its own clean way and wait for its end."""


class ProgramPart:
    """One of our own programs as a part."""

    def __init__(self, home: LaptopHome, program: Program) -> None:
        self.program = program
        self.process = ChildProcess(home, program.name, grace_seconds=program.grace_seconds)

    def start(self) -> None:
        """Start the program; whether it serves is asked apart."""
        self.process.require_stopped()
        self.process.launch(self.program.command, environment=self.program.environment)

    def stop(self) -> None:
        """Stop the program within its grace."""
        self.process.stop()


@dataclass
class Watched:
    """One part with what is known of its deaths."""

    part: Part
    restarts: int = 0
    delay_seconds: float = DELAY_FIRST_SECONDS
    started_at: float = 0.0
    due_at: float | None = field(default=None)

    @property
    def name(self) -> str:
        """Give the part's name, as in its pid file and log."""
        return self.part.process.name


class StopRequestedError(LaptopError):
    """Report that a stop was asked for while something was still starting."""


class Supervisor:
    """Serve one home until told to stop; see `run`."""

    def __init__(
        self,
        home: LaptopHome,
        plan: Plan,
        report: Callable[[str, str], None] = lambda _event, _detail: None,
    ) -> None:
        self._home = home
        self._plan = plan
        self._report = report
        self._identity = ProcessIdentity.own()
        self._stopping = False
        self._postgres = Watched(PostgresServer(home))
        self._valkey = Watched(ValkeyServer(home))
        self._programs = [Watched(ProgramPart(home, program)) for program in plan.programs]
        self._watched = [self._postgres, self._valkey, *self._programs]
        for watched in self._watched:
            watched.part.process.stop_requested = lambda: self._stopping

    def run(self) -> bool:
        """Serve until SIGTERM or SIGINT; answer whether it ended as asked.

        Raises: AlreadyRunningError.
        """
        with supervisor_lock(self._home):
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
            try:
                self._start()
                self._watch()
                failure = ""
            except StopRequestedError:
                failure = ""
            except LaptopError as error:
                failure = "" if self._stopping else str(error)
            finally:
                self._stop()
            self._enter(FAILED if failure else STOPPED, failure)
            return not failure

    def end_orphans(self) -> list[str]:
        """End what a killed supervisor left, in the order of a stop; name what was found."""
        # A start that was killed may have left a step too, which must not meet its successor.
        steps = [ChildProcess(self._home, step.name) for step in self._plan.steps]
        stopped = [watched.part.process for watched in reversed(self._watched)]
        return [child.name for child in (*steps, *stopped) if child.end_orphan()]

    def _start(self) -> None:
        for name in self.end_orphans():
            self._report("orphan_ended", name)
        require_free_port(self._home.ports["gateway"], "gateway")
        require_free_port(self._home.ports["grpc"], "gRPC")
        self._home.write_ports()
        for watched in (self._postgres, self._valkey):
            self._enter(f"starting {watched.name}")
            self._start_part(watched)
        self._run_steps()
        for watched in self._programs:
            self._enter(f"starting {watched.name}")
            self._start_part(watched)
        self._wait_until_programs_are_ready()
        self._enter(READY)

    def _run_steps(self) -> None:
        """Run the steps, unless they ran already for the same code on the same database.

        Raises: ServerStartError with the step's own words.
        """
        stamp = self._home.postgres_directory / STAMP
        if self._plan.fingerprint and _read(stamp) == self._plan.fingerprint:
            return
        for step in self._plan.steps:
            self._enter(f"starting {step.name}")
            self._run_step(step)
        if self._plan.fingerprint:
            stamp.write_text(self._plan.fingerprint)

    def _run_step(self, step: Step) -> None:
        child = ChildProcess(self._home, step.name)
        child.launch(step.command, environment=step.environment)
        while child.poll() is None:
            if self._stopping:
                child.stop()
                raise StopRequestedError(step.name)
            time.sleep(POLL_SECONDS / 5)
        code = child.poll()
        child.stop()
        if code:
            raise ServerStartError(f"{step.name} ended with {code}:\n{child.log_tail()}")

    def _wait_until_programs_are_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while not self._all_serve():
            self._revive()
            for watched in self._programs:
                if watched.restarts >= STARTS_MAX_BEFORE_READY:
                    raise ServerStartError(
                        f"{watched.name} ended {watched.restarts} times before it was ready:\n"
                        f"{watched.part.process.log_tail()}"
                    )
            if time.monotonic() > deadline:
                late = [p.name for p in self._plan.programs if not p.is_ready()]
                raise ServerStartError(
                    f"{', '.join(late)}: not ready after {READY_TIMEOUT_SECONDS:.0f} s. "
                    f"See {self._home.logs_directory}."
                )
            self._pause()

    def _watch(self) -> None:
        log_check_at = 0.0
        settled = True
        while True:
            if self._revive():
                settled = False
                self._enter("restarting")
            elif not settled and self._all_serve():
                settled = True
                self._enter(READY)
            if time.monotonic() >= log_check_at:
                rotate_logs(self._home)
                log_check_at = time.monotonic() + LOG_CHECK_SECONDS
            self._pause()

    def _all_serve(self) -> bool:
        alive = all(watched.due_at is None for watched in self._watched)
        return alive and all(program.is_ready() for program in self._plan.programs)

    def _revive(self) -> bool:
        """Restart what has died and is due; answer whether anything changed."""
        changed = False
        now = time.monotonic()
        for watched in self._watched:
            code = watched.part.process.poll()
            if watched.due_at is None and code is not None:
                if now - watched.started_at > HEALTHY_SECONDS:
                    watched.delay_seconds = DELAY_FIRST_SECONDS
                self._schedule(watched, f"ended with {code}")
                changed = True
            elif watched.due_at is not None and now >= watched.due_at:
                try:
                    self._start_part(watched)
                    self._report("restarted", watched.name)
                except LaptopError as error:
                    self._schedule(watched, str(error))
                changed = True
        return changed

    def _schedule(self, watched: Watched, cause: str) -> None:
        watched.restarts += 1
        watched.due_at = time.monotonic() + watched.delay_seconds
        watched.delay_seconds = min(watched.delay_seconds * 2, DELAY_MAX_SECONDS)
        self._report("died", f"{watched.name}: {cause}")

    def _start_part(self, watched: Watched) -> None:
        if self._stopping:
            raise StopRequestedError(watched.name)
        watched.part.start()
        watched.started_at = time.monotonic()
        watched.due_at = None

    def _stop(self) -> None:
        self._enter("stopping")
        for watched in reversed(self._watched):
            self._report("stopping", watched.name)
            watched.part.stop()

    def _pause(self) -> None:
        if self._stopping:
            raise StopRequestedError("told to stop")
        time.sleep(POLL_SECONDS)

    def _enter(self, phase: str, message: str = "") -> None:
        parts = [PartState(w.name, w.part.process.pid, w.restarts) for w in self._watched]
        SupervisorState(
            phase=phase,
            supervisor=self._identity,
            url=self._home.gateway_url,
            port_offset=self._home.port_offset,
            message=message,
            parts=parts,
        ).write(self._home)
        self._report("phase", f"{phase} {message}".strip())

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True


def rotate_logs(home: LaptopHome, bytes_max: int = LOG_BYTES_MAX) -> None:
    """Keep each log and one older part of it below a size.

    The writers hold their files open for appending, so the file is copied and emptied; what
    is written in between is lost, which a laptop's log can bear.
    """
    for path in home.logs_directory.glob("*.log"):
        if path.stat().st_size > bytes_max:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            with path.open("r+b") as log:
                log.truncate(0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
