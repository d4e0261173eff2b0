"""kill -9 of stores and brokers while people pay: what was acknowledged is in the books, once.

`BILLPLANE_TEST_KILL_MONEY_SECONDS` says for how long. Kafka and RabbitMQ are used, and killed,
where they are named (see tests/brokers.sh).
"""

import os
import random
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fixtures import brokers
from tests.fixtures.brokers import Container
from tests.fixtures.laptop import Laptop, running_laptop

SECONDS = float(os.environ.get("BILLPLANE_TEST_KILL_MONEY_SECONDS", "8"))
PAYERS = 4
SETTLE_SECONDS = 240
CONTAINERS = {"kafka": brokers.KAFKA_CONTAINER, "rabbitmq": brokers.RABBITMQ_CONTAINER}
ON_BROKERS = all(CONTAINERS.values())


@pytest.fixture(scope="module")
def laptop():
    """Run a platform with a test key, on the brokers where there are some to kill."""
    settings = brokers.environ(f"k{secrets.token_hex(4)}.") if ON_BROKERS else {}
    for name in CONTAINERS.values() if ON_BROKERS else ():
        Container(name).start()
    with running_laptop(settings) as laptop:
        account = {"email": "money@example.com", "password": "a-long-password"}
        laptop.call("POST", "/auth/register", account)
        laptop.key = laptop.call("POST", "/auth/login", account)["access_token"]
        laptop.key = laptop.call("POST", "/auth/api_keys", {"name": "money"})["key"]
        yield laptop


class Work:
    """What some payers did, as they were told."""

    def __init__(self, laptop: Laptop) -> None:
        self.laptop = laptop
        self.over = threading.Event()
        self.paid: dict[str, int] = {}
        self.moved: dict[str, int] = {}
        self.charged = 0
        self._lock = threading.Lock()
        self.accounts = [self._account(name) for name in ("ada", "bob")]
        customer = laptop.call("POST", "/v1/customers", {"name": "Ada", "currency_code": "EUR"})
        wanted = {"customer_id": customer["id"], "currency_code": "EUR"}
        self.wallet = laptop.call("POST", "/v1/wallets", wanted)["id"]
        top_up = {"amount_minor": 10_000_000, "manual_reason": "to begin with"}
        laptop.call("POST", f"/v1/wallets/{self.wallet}:top_up", top_up, key="top-up")

    def pay(self, payer: int) -> None:
        """Pay, move and reserve until the time is over; each request has a key of its own."""
        chance = random.Random(payer)
        number = 0
        while not self.over.is_set():
            number += 1
            name, amount = f"{payer}-{number}", chance.randrange(100, 10_000)
            intent = {
                "amount": amount,
                "currency": "eur",
                "payment_method": "pm_card_visa",
                "confirm": True,
                "return_url": "https://example.com/back",
            }
            found = self.laptop.call("POST", "/v1/payment_intents", intent, key=f"pay-{name}")
            assert found["status"] == "succeeded", found
            postings = [
                {"account_id": account, "direction": direction, "amount_minor": amount}
                for account, direction in zip(self.accounts, ("debit", "credit"), strict=True)
            ]
            moved = {"postings": postings, "currency_code": "EUR", "external_id": f"move-{name}"}
            transaction = self.laptop.call(
                "POST", "/ledger/transactions", moved, key=f"move-{name}"
            )
            wallet = f"/v1/wallets/{self.wallet}"
            held = {"amount_minor": 10, "ttl_seconds": 3600}
            held = self.laptop.call("POST", f"{wallet}:reserve", held, key=f"hold-{name}")
            committed = f"/v1/reservations/{held['reservation']['id']}:commit"
            self.laptop.call("POST", committed, {"amount_minor": 7, "final": True}, key=f"c-{name}")
            with self._lock:
                self.paid[found["id"]] = amount
                self.moved[transaction["id"]] = amount
                self.charged += 7

    def _account(self, name: str) -> str:
        wanted = {"name": name, "type": "asset", "currency": "EUR", "allow_negative": True}
        return self.laptop.call("POST", "/ledger/accounts", wanted)["id"]

    def balances(self) -> dict[str, int]:
        """Return the balance of each account by its name in the chart, or its id."""
        page = self.laptop.call("GET", "/v1/ledger/accounts?limit=200")
        return {item["external_id"] or item["id"]: item["balance_minor"] for item in page["data"]}

    def posted(self) -> bool:
        """Tell whether the books say what the payers were told."""
        found = self.balances()
        cash = found.get("cash:simulated:EUR", 0) + found.get("fees:EUR", 0)
        return cash == sum(self.paid.values())


def _kill(laptop: Laptop, work: Work) -> dict[str, int]:
    """Kill one after the other at random until the time is over; return how often each."""
    chance = random.Random()
    victims = ["postgres", "valkey", "platform", *(CONTAINERS if ON_BROKERS else ())]
    killed = dict.fromkeys(victims, 0)
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends or not all(killed.values()):
        time.sleep(chance.uniform(1, 4))
        name = min(victims, key=lambda each: (killed[each], chance.random()))
        if name in CONTAINERS:
            container = Container(CONTAINERS[name])
            container.kill()
            time.sleep(chance.uniform(0, 3))
            container.start()
        else:
            laptop.kill(name)
        killed[name] += 1
        laptop.call("GET", "/health/ready")
    return killed


def test_what_was_paid_moved_and_reserved_under_kills_is_in_the_books_once(laptop):
    work = Work(laptop)
    with ThreadPoolExecutor(PAYERS) as pool:
        paying = [pool.submit(work.pay, payer) for payer in range(PAYERS)]
        try:
            killed = _kill(laptop, work)
        finally:
            work.over.set()
        for each in paying:
            each.result()
    print(f"{len(work.paid)} payments, killed {killed}")  # noqa: T201 - shown by `make soak`
    assert work.paid
    assert all(killed.values())
    deadline = time.monotonic() + SETTLE_SECONDS
    while not work.posted():
        assert time.monotonic() < deadline, (sum(work.paid.values()), work.balances())
        time.sleep(1)
    moved = sum(work.moved.values())
    found = work.balances()
    assert [found[account] for account in work.accounts] == [moved, -moved]
    wallet = laptop.call("GET", f"/v1/wallets/{work.wallet}")
    assert wallet["balance"]["posted_minor"] == 10_000_000 - work.charged
    assert wallet["balance"]["reserved_minor"] == 0
    laptop.billplane("ledger", "verify")
    assert " 0 violations" in laptop.billplane("verify")
