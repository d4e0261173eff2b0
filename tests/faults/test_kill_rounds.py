"""kill -9 of every process, at any moment: what was acknowledged is counted once, billed once.

`BILLPLANE_TEST_KILL_ROUNDS`, `…_EVENTS` and `…_SUBSCRIPTIONS` make it as long as a soak wants.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.fixtures.ports import free_port_offset

ROUNDS = int(os.environ.get("BILLPLANE_TEST_KILL_ROUNDS", "1"))
EVENTS = int(os.environ.get("BILLPLANE_TEST_KILL_EVENTS", "15000"))
SUBSCRIPTIONS = int(os.environ.get("BILLPLANE_TEST_KILL_SUBSCRIPTIONS", "40"))
BATCH = 100
# What an answer says to try again; a key that is in use belongs to our own earlier attempt.
RETRIED = (409, 429, 503, 504)
VICTIMS = ("platform", "valkey", "postgres", "supervisor")
MONTH_END = "2026-02-01T00:00:00Z"


class Laptop:
    """A laptop platform of the test's own."""

    def __init__(self, home: Path, offset: int) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{8080 + offset}"
        self.environment = {
            **os.environ,
            "BILLPLANE_HOME": str(home),
            "BILLPLANE_PORT_OFFSET": str(offset),
            "BILLPLANE_GATEWAY_WRITES_PER_SECOND": "5000",
            "BILLPLANE_GATEWAY_READS_PER_SECOND": "5000",
            "BILLPLANE_GATEWAY_USAGE_EVENTS_PER_SECOND": "1000000",
        }
        self.key = ""

    def billplane(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "billplane_cli", *arguments],
            env=self.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kill(self, name: str) -> None:
        """Kill -9 one part; a killed supervisor is started again as a person would."""
        pid = json.loads((self.home / "run" / f"{name}.pid").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        if name == "supervisor":
            self.billplane("up")

    def call(self, method: str, path: str, body=None, *, key: str = ""):
        """Send one request, again and again until it is answered for good."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        if key:
            headers["Idempotency-Key"] = key
        deadline = time.monotonic() + 90
        while True:
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    text = answer.read()
                    return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                said, final = error.read().decode(), error.code not in RETRIED
            except (OSError, ValueError) as error:
                said, final = str(error), False
            assert not final, f"{method} {path}: {said}"
            assert time.monotonic() < deadline, f"{method} {path}: {said}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def laptop():
    """Run a platform of the test's own and take it down afterwards."""
    with tempfile.TemporaryDirectory(prefix="billplane-kills-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        home.chmod(0o755)
        laptop = Laptop(home, free_port_offset())
        laptop.billplane("up")
        account = {"email": "kills@example.com", "password": "a-long-password"}
        laptop.call("POST", "/auth/register", account)
        laptop.key = laptop.call("POST", "/auth/login", account)["access_token"]
        laptop.key = laptop.call("POST", "/auth/api_keys", {"name": "kills"})["key"]
        yield laptop
        for log in ("supervisor", "platform", "operator"):
            said = (home / "logs" / f"{log}.log").read_text(errors="replace")
            print(f"--- {log}\n{said[-3000:]}")  # noqa: T201 - pytest shows it on failure
        laptop.billplane("down")


def test_acknowledged_usage_is_counted_once_and_each_period_billed_once(laptop):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    _set_up(laptop)
    killer = Killer(laptop, chance)
    acknowledged = _import(laptop, killer)
    assert acknowledged == EVENTS
    usage = 0
    for number in range(SUBSCRIPTIONS):
        query = f"/v1/usage?meter=calls&customer_id=c{number}&starts_at=2026-01-01T00:00:00Z"
        rows = laptop.call("GET", f"{query}&ends_at={MONTH_END}")["data"]
        usage += int(rows[0]["quantity"]) if rows else 0
    assert usage == EVENTS
    _bill(laptop, killer)
    invoices = _all(laptop, "/v1/invoices?limit=200")
    assert len(invoices) == SUBSCRIPTIONS
    assert len({invoice["subscription_id"] for invoice in invoices}) == SUBSCRIPTIONS
    numbers = sorted(invoice["number"] for invoice in invoices)
    assert numbers == [f"TEST-2026-{number:06d}" for number in range(1, SUBSCRIPTIONS + 1)]
    # A cent a call and nothing else.
    assert sum(invoice["net_minor"] for invoice in invoices) == EVENTS
    assert " 0 violations" in laptop.billplane("verify")
    assert killer.killed == len(VICTIMS) * ROUNDS * 2


class Killer:
    """Ends each part once a round, at chosen moments of some work."""

    def __init__(self, laptop: Laptop, chance: random.Random) -> None:
        self._laptop = laptop
        self._chance = chance
        self.killed = 0

    def during(self) -> threading.Thread:
        """Start ending parts in the background; join the thread when the work is done."""
        victims = list(VICTIMS) * ROUNDS
        self._chance.shuffle(victims)
        thread = threading.Thread(target=self._run, args=(victims,))
        thread.start()
        return thread

    def _run(self, victims: list[str]) -> None:
        for name in victims:
            time.sleep(self._chance.uniform(0.3, 2.0))
            self._laptop.kill(name)
            self.killed += 1
            # Readiness comes back by itself: the supervisor sees to it.
            self._laptop.call("GET", "/health/ready")
            self._wait_for_parts()

    def _wait_for_parts(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = json.loads(self._laptop.billplane("status", "--output", "json"))
            if status.get("phase") == "ready" and status.get("running"):
                return
            time.sleep(0.3)
        pytest.fail("the platform did not come back")


def _set_up(laptop: Laptop) -> None:
    meter = {"eventType": "call", "aggregation": "Count"}
    laptop.call("POST", "/v1/meters", {"name": "calls", "spec": meter})
    plan = {
        "currency": "EUR",
        "interval": {"unit": "Month", "anchor": "Calendar"},
        "charges": [
            {
                "name": "calls",
                "usage": {"meter": "calls", "model": {"perUnit": {"unitAmount": "0.01"}}},
            }
        ],
    }
    laptop.call("POST", "/v1/plans", {"name": "cent", "spec": plan})
    clock = laptop.call("POST", "/v1/test_clocks", {"now": "2026-01-01T00:00:00Z"})
    laptop.clock = clock["id"]
    for number in range(SUBSCRIPTIONS):
        customer = {"name": f"C{number}", "external_id": f"c{number}", "test_clock_id": clock["id"]}
        laptop.call("POST", "/v1/customers", customer, key=f"customer-{number}")
        wanted = {"customer_id": f"c{number}", "plan": "cent"}
        laptop.call("POST", "/v1/subscriptions", wanted, key=f"subscription-{number}")


def _import(laptop: Laptop, killer: Killer) -> int:
    """Send every event until it is acknowledged, while parts are killed."""
    thread = killer.during()
    acknowledged = 0
    for start in range(0, EVENTS, BATCH):
        events = [
            {
                "source": "kills",
                "id": f"e{number}",
                "type": "call",
                "subject": f"c{number % SUBSCRIPTIONS}",
                "time": "2026-01-10T00:00:00Z",
            }
            for number in range(start, min(start + BATCH, EVENTS))
        ]
        answer = laptop.call("POST", "/v1/usage_events", events)
        assert answer["accepted"] + answer["duplicates"] == len(events)
        acknowledged += len(events)
        if thread.is_alive():
            time.sleep(0.05)
    thread.join()
    return acknowledged


def _bill(laptop: Laptop, killer: Killer) -> None:
    laptop.call("POST", f"/v1/test_clocks/{laptop.clock}:advance", {"to": MONTH_END})
    thread = killer.during()
    run = laptop.call("POST", "/v1/billing_runs", {"at": MONTH_END}, key="the-run")
    deadline = time.monotonic() + 240
    while len(_finalized(laptop)) < SUBSCRIPTIONS or thread.is_alive():
        assert time.monotonic() < deadline, laptop.call("GET", f"/v1/billing_runs/{run['id']}")
        time.sleep(0.5)
    thread.join()


def _finalized(laptop: Laptop) -> list:
    found = _all(laptop, "/v1/invoices?limit=200")
    return [invoice for invoice in found if invoice["state"] == "finalized"]


def _all(laptop: Laptop, path: str) -> list:
    found, cursor = [], ""
    while cursor is not None:
        page = laptop.call("GET", path + (f"&cursor={cursor}" if cursor else ""))
        found += page["data"]
        cursor = page["next_cursor"]
    return found
