"""kill -9 of every process, at any moment: what was acknowledged is counted once, billed once.

`BILLPLANE_TEST_KILL_ROUNDS`, `…_EVENTS` and `…_SUBSCRIPTIONS` make it as long as a soak wants.
"""

import json
import os
import random
import threading
import time

import pytest

from tests.fixtures.laptop import Laptop, running_laptop

ROUNDS = int(os.environ.get("BILLPLANE_TEST_KILL_ROUNDS", "1"))
EVENTS = int(os.environ.get("BILLPLANE_TEST_KILL_EVENTS", "8000"))
SUBSCRIPTIONS = int(os.environ.get("BILLPLANE_TEST_KILL_SUBSCRIPTIONS", "25"))
BATCH = 100
VICTIMS = ("platform", "valkey", "postgres", "supervisor")
MONTH_END = "2026-02-01T00:00:00Z"


@pytest.fixture(scope="module")
def laptop():
    """Run a platform of the test's own with a test key."""
    with running_laptop() as laptop:
        account = {"email": "kills@example.com", "password": "a-long-password"}
        laptop.call("POST", "/auth/register", account)
        laptop.key = laptop.call("POST", "/auth/login", account)["access_token"]
        laptop.key = laptop.call("POST", "/auth/api_keys", {"name": "kills"})["key"]
        yield laptop


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
