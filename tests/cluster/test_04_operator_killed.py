"""The operator dies again and again while people change things: all of it is applied, in order."""

import threading
import time

from tests.cluster.kube import CommandFailed, eventually
from tests.cluster.samples import SAMPLES

METER, PLAN, *_ = SAMPLES
RESOURCES = 8
SELECTOR = "app.kubernetes.io/component=operator"


def test_nothing_is_lost_and_nothing_goes_backwards(kube, namespace, full):
    changes = 200 if full else 40
    stopping = threading.Event()
    kills = []

    def kill():
        while not stopping.wait(4):
            try:
                kube.kubectl(
                    "delete", "pod", "-l", SELECTOR, "--force", "--grace-period=0", "--wait=false"
                )
                kills.append(time.monotonic())
            except CommandFailed:
                continue

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for number in range(changes):
            name = f"churn-{number % RESOURCES}"
            document = METER.document(
                name, eventType=f"churn.{number % RESOURCES}", displayName=f"change {number}"
            )
            kube.apply(document, namespace=namespace)
            time.sleep(0.2)
    finally:
        stopping.set()
        killer.join()
    assert kills
    last = {f"churn-{number % RESOURCES}": f"change {number}" for number in range(changes)}

    def applied():
        rows = kube.sql(
            "SELECT name || '=' || (spec->>'displayName') FROM metering.meters"
            " WHERE name LIKE 'churn-%' AND removed_at IS NULL"
        )
        return dict(row.split("=", 1) for row in rows.splitlines()) == last

    eventually(applied, 120)
    for name in last:
        kube.wait_ready("meter", name, namespace, 120)
