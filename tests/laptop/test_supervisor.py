"""`billplane up` keeps a platform running through kills, and `down` leaves nothing."""

import contextlib
import http.client
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from billplane.laptop import commands
from billplane.laptop.errors import LaptopError
from billplane.laptop.home import LaptopHome
from billplane.laptop.processes import ProcessIdentity
from billplane.laptop.state import living_supervisor
from billplane.laptop.supervisor import rotate_logs

from tests.fixtures.ports import free_port_offset
from tests.laptop.stand_in import stand_in_plan

PARTS = ("postgres", "valkey", "platform", "operator")
STAND_IN = Path(__file__).with_name("stand_in.py")


@pytest.fixture
def laptop(home_path: Path) -> Iterator[LaptopHome]:
    home = LaptopHome.open(home_path, free_port_offset())
    yield home
    with contextlib.suppress(LaptopError):
        commands.down(home, stand_in_plan(home), ignore)


def ignore(_event: str, _fields: dict[str, Any]) -> None:
    """Take no notice of an event."""


def up(home: LaptopHome) -> list[tuple[str, dict[str, Any]]]:
    events: list[tuple[str, dict[str, Any]]] = []
    command = [sys.executable, str(STAND_IN), str(home.path), str(home.port_offset)]
    commands.up(home, lambda event, fields: events.append((event, fields)), command)
    return events


def up_at_a_terminal(home: LaptopHome) -> None:
    """Start the platform where Ctrl-C counts, also in a run of tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    up(home)


def identity(home: LaptopHome, name: str) -> ProcessIdentity:
    found = ProcessIdentity.read(home.pid_file(name))
    assert found is not None
    return found


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def living_parts(home: LaptopHome) -> set[str]:
    return {
        name
        for name in PARTS
        if (found := ProcessIdentity.read(home.pid_file(name))) and found.is_alive()
    }


def mentions(home: LaptopHome) -> list[list[str]]:
    """List the processes that have to do with a home, however they were started."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        line = process.info["cmdline"] or []
        where = process.info["cwd"] or ""
        if str(home.path) in f"{line} {where}" and process.info["status"] != "zombie":
            found.append(line)
    return found


def settings_seen_by_platform(home: LaptopHome) -> dict[str, str]:
    door = http.client.HTTPConnection("127.0.0.1", home.ports["gateway"], timeout=5)
    with contextlib.closing(door):
        door.request("GET", "/")
        seen: dict[str, str] = json.load(door.getresponse())
    return seen


def test_up_returns_once_the_platform_is_ready_and_down_leaves_nothing(
    laptop: LaptopHome,
) -> None:
    events = up(laptop)
    assert events[-1] == ("ready", {"url": laptop.gateway_url, "already_running": False})
    phases = [fields["detail"] for event, fields in events if event == "phase"]
    assert phases[-1] == "ready"
    assert living_parts(laptop) == set(PARTS)
    ports = json.loads((laptop.run_directory / "ports.json").read_text())
    assert ports["gateway"] == 8080 + laptop.port_offset

    commands.down(laptop, stand_in_plan(laptop), ignore)
    assert mentions(laptop) == []
    assert not commands.status(laptop)["running"]


def test_the_platform_gets_the_stores_and_secrets_but_not_the_administrators_address(
    laptop: LaptopHome,
) -> None:
    up(laptop)
    seen = settings_seen_by_platform(laptop)
    assert seen["BILLPLANE_JWT_SECRET"] == laptop.secrets.jwt_secret
    assert seen["BILLPLANE_DATABASE_URL"].startswith("postgresql://billplane:")
    assert seen["BILLPLANE_REDIS_URL"].startswith("redis://:")
    assert "BILLPLANE_ADMIN_DATABASE_URL" not in seen


def test_a_second_up_reports_the_first_ones_address(laptop: LaptopHome) -> None:
    up(laptop)
    first = living_supervisor(laptop)
    assert up(laptop)[-1] == ("ready", {"url": laptop.gateway_url, "already_running": True})
    assert living_supervisor(laptop) == first


def test_of_two_ups_at_once_one_starts_and_both_report_ready(laptop: LaptopHome) -> None:
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=up, args=(laptop,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    supervisors = [line for line in mentions(laptop) if line[-2:-1] == [str(laptop.path)]]
    assert len(supervisors) == 1


def test_ctrl_c_while_it_starts_stops_what_was_started(
    laptop: LaptopHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_STEP_SECONDS", "60")
    starting = multiprocessing.get_context("spawn").Process(target=up_at_a_terminal, args=(laptop,))
    starting.start()
    eventually((laptop.path / "steps.seen").exists)
    assert starting.pid is not None
    os.kill(starting.pid, signal.SIGINT)
    starting.join(30)
    assert starting.exitcode not in {0, None}
    assert mentions(laptop) == []


def test_in_the_foreground_it_stays_until_ctrl_c_and_another_reports_it(
    laptop: LaptopHome,
) -> None:
    command = [sys.executable, str(STAND_IN), str(laptop.path), str(laptop.port_offset)]
    foreground = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    eventually(lambda: commands.status(laptop)["phase"] == "ready")

    options = ["--home", str(laptop.path), "--port-offset", "9999", "up", "--foreground"]
    second = subprocess.run(
        [sys.executable, "-m", "billplane.laptop", *options],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(second.stdout)
    assert (told["url"], told["already_running"]) == (laptop.gateway_url, True)

    foreground.send_signal(signal.SIGINT)
    assert foreground.wait(30) == 0
    assert mentions(laptop) == []


@pytest.mark.parametrize("name", PARTS)
def test_a_killed_part_is_restarted(laptop: LaptopHome, name: str) -> None:
    up(laptop)
    killed = identity(laptop, name)
    killed.send(signal.SIGKILL)
    eventually(lambda: identity(laptop, name) != killed and living_parts(laptop) == set(PARTS))
    eventually(lambda: commands.status(laptop)["phase"] == "ready")
    restarts = {part["name"]: part["restarts"] for part in commands.status(laptop)["parts"]}
    assert restarts[name] >= 1
    assert settings_seen_by_platform(laptop)


def test_after_a_killed_supervisor_the_next_up_ends_its_orphans_and_goes_on(
    laptop: LaptopHome,
) -> None:
    up(laptop)
    supervisor = living_supervisor(laptop)
    assert supervisor is not None
    orphans = {name: identity(laptop, name) for name in PARTS}
    supervisor.send(signal.SIGKILL)
    eventually(lambda: not supervisor.is_alive())
    assert living_parts(laptop) == set(PARTS)

    assert up(laptop)[-1][1]["already_running"] is False
    assert not any(orphan.is_alive() for orphan in orphans.values())
    assert living_parts(laptop) == set(PARTS)


def test_down_ends_the_orphans_of_a_killed_supervisor(laptop: LaptopHome) -> None:
    up(laptop)
    supervisor = living_supervisor(laptop)
    assert supervisor is not None
    supervisor.send(signal.SIGKILL)
    eventually(lambda: not supervisor.is_alive())
    commands.down(laptop, stand_in_plan(laptop), ignore)
    assert mentions(laptop) == []


def test_a_pid_that_another_program_got_since_is_left_alone(laptop: LaptopHome) -> None:
    ProcessIdentity(os.getpid(), "an earlier start").write(laptop.pid_file("platform"))
    commands.down(laptop, stand_in_plan(laptop), ignore)
    assert not laptop.pid_file("platform").exists()


def test_a_platform_that_cannot_start_ends_up_with_its_own_words(
    laptop: LaptopHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_BROKEN", "1")
    with pytest.raises(LaptopError, match="the price list is missing"):
        up(laptop)
    eventually(lambda: mentions(laptop) == [])


def test_a_taken_gateway_port_is_named_with_its_setting(laptop: LaptopHome) -> None:
    with socket.socket() as other:
        # As the servers do: connections of a moment ago do not hold the port.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", laptop.ports["gateway"]))
        other.listen()
        named = rf"Port {laptop.ports['gateway']} \(gateway\).*BILLPLANE_PORT_OFFSET"
        with pytest.raises(LaptopError, match=named):
            up(laptop)


def test_steps_run_again_only_when_what_they_depend_on_has_changed(
    laptop: LaptopHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fingerprint in ("one", "one", "two"):
        monkeypatch.setenv("STAND_IN_FINGERPRINT", fingerprint)
        up(laptop)
        commands.down(laptop, stand_in_plan(laptop), ignore)
    assert (laptop.path / "steps.seen").read_text() == "migrated\nmigrated\n"


def test_a_supervisor_is_light(laptop: LaptopHome) -> None:
    up(laptop)
    supervisor = living_supervisor(laptop)
    assert supervisor is not None
    private_bytes = psutil.Process(supervisor.pid).memory_full_info().uss
    assert private_bytes < 16 * 2**20


def test_a_log_that_grew_is_cut_and_its_older_part_kept(home: LaptopHome) -> None:
    with home.log_file("platform").open("ab") as log:
        log.write(b"old " * 100)
        log.flush()
        rotate_logs(home, bytes_max=100)
        log.write(b"new")
    assert home.log_file("platform").read_bytes() == b"new"
    assert (home.logs_directory / "platform.log.1").read_bytes() == b"old " * 100
