"""The stores that a test run shares: started once, and gone with the run however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]

SHARED = """
import os, pathlib, redis

def check(valkey_url, name):
    with redis.Redis.from_url(valkey_url) as client:
        pathlib.Path(os.environ["SEEN"], name).write_text(client.info()["run_id"])

def test_one(valkey_url, postgres_admin_url): check(valkey_url, "one")
def test_two(valkey_url, postgres_admin_url): check(valkey_url, "two")
"""

ENDLESS = """
import os, pathlib, time, redis

def test_it(valkey_url):
    with redis.Redis.from_url(valkey_url) as client:
        pathlib.Path(os.environ["SEEN"], "pid").write_text(str(client.info()["process_id"]))
    time.sleep(60)
"""


def run_pytest(directory: Path, body: str, *options: str) -> subprocess.Popen[bytes]:
    (directory / "test_inner.py").write_text(body)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.fixtures.servers"]
    command += [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:valkey",
        "-c",
        os.devnull,
        "--rootdir",
        str(directory),
    ]
    return subprocess.Popen(
        [*command, *options, str(directory)],
        cwd=ROOT,
        env={**os.environ, "SEEN": str(directory), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )


def test_two_workers_share_one_server_that_ends_with_the_run(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, SHARED, "-n2", "--dist=each")
    assert run.wait(60) == 0
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text()
    assert not [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"billplane-tests-{run.pid}-" in " ".join(process.info["cmdline"] or [])
    ]


def test_a_killed_test_run_leaves_no_server_behind(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, ENDLESS)
    pid_file = tmp_path / "pid"
    deadline = time.monotonic() + 30
    while not pid_file.exists() or not pid_file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server = psutil.Process(int(pid_file.read_text()))
    run.send_signal(signal.SIGKILL)
    run.wait()
    server.wait(15)
