"""Under load everything dies once: what was acknowledged is counted once, and nothing else."""

import itertools
import secrets
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cluster.kube import CommandFailed, eventually
from tests.cluster.pods import Load
from tests.cluster.samples import SAMPLES, meter

METER, PLAN, *_ = SAMPLES
STORES = ("kafka", "rabbitmq", "redis", "postgres")
STARTS, ENDS = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"


@pytest.fixture
def loaded(kube, api, namespace):
    """Give a namespace whose meter and plan the load client uses."""
    name = f"load-{namespace}"
    kube.apply(
        METER.document(name, **meter(f"load.{namespace}")),
        PLAN.document(
            name,
            charges=[
                {
                    "name": "requests",
                    "usage": {"meter": name, "model": {"perUnit": {"unitAmount": "0.01"}}},
                }
            ],
        ),
        namespace=namespace,
    )
    kube.wait_ready("meter", name, namespace)
    kube.wait_ready("billingplan", name, namespace)
    return namespace


def workloads(kube):
    """Name the Deployments that serve calls."""
    found = kube.items("deployments", selector="app.kubernetes.io/part-of=billplane")
    names = {item["metadata"]["name"] for item in found}
    return sorted(name for name in names if "operator" not in name)


def kill(kube, selector_or_name):
    """Kill a pod at once, and wait until its successor is ready."""
    pods = [pod["metadata"]["name"] for pod in kube.pods()]
    chosen = [name for name in pods if name.startswith(f"{selector_or_name}-")]
    assert chosen, (selector_or_name, pods)
    before = {pod["metadata"]["uid"] for pod in kube.pods()}
    kube.kubectl("delete", "pod", chosen[0], "--force", "--grace-period=0")

    def replaced():
        now = {pod["metadata"]["uid"] for pod in kube.pods()}
        return bool(now - before) and kube.all_ready()

    eventually(replaced, 240, kube.not_ready)


def test_every_pod_and_store_is_killed_under_load_and_nothing_is_lost(kube, api, loaded):
    victims = [*workloads(kube), *STORES]
    load = Load(kube, loaded, api.key, 200)
    eventually(
        lambda: kube.json("pod", "load", namespace=loaded)["status"].get("phase") == "Running", 60
    )
    time.sleep(3)
    for victim in victims:
        if load.left < 30:
            break
        kill(kube, victim)
        time.sleep(1)
    else:
        victim = ""
    assert not victim, f"time was over before {victim} was killed"
    counts = load.result()
    assert counts["given_up"] == counts["refused"] == 0, counts
    assert counts["acknowledged"] > 100
    assert usage(api, load) == counts["acknowledged"], counts
    assert "0 violations" in verify(kube)


def usage(api, load):
    """Sum what metering counts of the load, of all its customers."""
    total = 0
    for number in range(3):
        query = f"meter={load.meter}&customer_id={load.run}-{number}"
        found = api.call("GET", f"/v1/usage?{query}&starts_at={STARTS}&ends_at={ENDS}", tries=20)
        total += sum(int(float(row["quantity"])) for row in found["data"])
    return total


def verify(kube):
    """Check every invariant of every service, inside the cluster."""
    name = workloads(kube)[0]
    try:
        command = ("exec", f"deployment/{name}", "--", "python", "-m", "billplane", "verify")
        return kube.kubectl(*command, seconds=300)
    except CommandFailed as error:
        return str(error)


def test_payments_go_on_while_one_of_two_replicas_dies(kube, api):
    hosting = next(name for name in workloads(kube) if name in ("billing", "payment"))
    run, places = secrets.token_hex(4), itertools.count()
    trial = "/v1/ledger/trial_balance"

    def pay(amount):
        body = {
            "amount": amount,
            "currency": "eur",
            "payment_method": "pm_card_visa",
            "confirm": True,
        }
        key = f"{run}-{next(places)}"
        return api.call("POST", "/v1/payment_intents", body, tries=60, key=key)["status"]

    def received():
        lines = [line for row in api.call("GET", trial, tries=20)["data"] for line in row["lines"]]
        found = [line for line in lines if line["line"] == "unapplied_payments"]
        return sum(line["credit_minor"] - line["debit_minor"] for line in found)

    before = received()
    kube.kubectl("scale", f"deployment/{hosting}", "--replicas=2")
    eventually(kube.all_ready, 240, kube.not_ready)
    try:
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(pay, 1_000 + number) for number in range(100)]
            time.sleep(4)
            kill(kube, hosting)
            assert {each.result() for each in waiting} == {"succeeded"}
        wanted = sum(range(1_000, 1_100))
        eventually(lambda: received() - before == wanted, 60, lambda: f"{received() - before}")
    finally:
        kube.kubectl("scale", f"deployment/{hosting}", "--replicas=1")
    assert all(row["debit_minor"] == row["credit_minor"] for row in api.call("GET", trial)["data"])
    eventually(kube.all_ready, 240, kube.not_ready)
    assert "0 violations" in verify(kube)
