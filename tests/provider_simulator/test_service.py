"""How it is run: alone, without any store, small, and gone soon after SIGTERM."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from billplane import catalog
from billplane.chassis.settings import Settings, SettingsError
from billplane.provider_simulator.settings import ProviderSimulatorSettings

from tests.fixtures.ports import free_port_offset

# What a pod of it may take, with room for requests: the operator asks for 96 MiB.
MEBIBYTES_MAX = 80


def start(offset, **environ):
    values = {
        "PATH": os.environ["PATH"],
        "BILLPLANE_PORT_OFFSET": str(offset),
        **{f"BILLPLANE_PROVIDER_SIMULATOR_{name}": value for name, value in environ.items()},
    }
    command = [sys.executable, "-m", "billplane", "run", "provider_simulator"]
    return subprocess.Popen(command, env=values, stderr=subprocess.PIPE, text=True, cwd="/")


def read(url, deadline_seconds=20):
    deadline = time.monotonic() + deadline_seconds
    while True:
        try:
            with urllib.request.urlopen(url) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.1)


def test_it_runs_alone_without_a_store_or_a_secret_and_ends_within_its_grace():
    offset = free_port_offset()
    process = start(offset, ACCOUNTS="7", SEED="3")
    try:
        url = f"http://127.0.0.1:{8080 + offset}"
        assert read(f"{url}/health") == {"status": "ok"}
        assert read(f"{url}/simulator/customers")["last"]["username"].startswith("customer-7@")
        assert read(f"{url}/openapi.json")["info"]["title"] == "Provider JSON API"
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        used = int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE).group(1))
        assert used < MEBIBYTES_MAX * 1024
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - started < 6
    finally:
        process.kill()
        process.stderr.close()


def test_a_taken_port_is_told_with_the_setting_that_moves_it():
    offset = free_port_offset()
    first = start(offset)
    try:
        read(f"http://127.0.0.1:{8080 + offset}/health")
        second = start(offset)
        _, text = second.communicate(timeout=20)
        assert second.returncode == 2
        assert "BILLPLANE_PORT_OFFSET" in text
    finally:
        first.kill()
        first.communicate()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCOUNTS", "0"),
        ("LATENCY", "soon"),
        ("ERROR_RATE", "1.5"),
        ("CATEGORY", "Coal"),
        ("CURRENCY", "XXX"),
        ("TIME_ZONE", "Mars/Olympus"),
    ],
)
def test_a_bad_setting_is_named(name, value):
    variable = f"BILLPLANE_PROVIDER_SIMULATOR_{name}"
    with pytest.raises(SettingsError, match=variable):
        ProviderSimulatorSettings.load("provider_simulator", {variable: value})


def test_every_setting_says_what_it_does():
    own = set(ProviderSimulatorSettings.model_fields) - set(Settings.model_fields)
    assert all(ProviderSimulatorSettings.model_fields[name].description for name in own)


def test_it_is_no_service_of_the_catalog_and_runs_with_no_other():
    assert "provider_simulator" not in catalog.SERVICES
    with pytest.raises(KeyError, match="runs alone"):
        catalog.names_of(["tax", "provider_simulator"])
