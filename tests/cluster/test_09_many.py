"""Five hundred resources: caught up with, looked at again and again, and nothing written for it."""

import time

import pytest

from tests.cluster.kube import eventually
from tests.cluster.samples import SAMPLES

METER = SAMPLES[0]
pytestmark = pytest.mark.full
COUNT = 500
RESYNCS = 10


def memory(kube):
    """Return the operator's memory in bytes, by its cgroup."""
    said = kube.kubectl("exec", "deployment/operator", "--", "cat", "/proc/1/status")
    (line,) = [line for line in said.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def versions(kube, namespace):
    found = kube.items("meters", namespace=namespace)
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in found}


def test_five_hundred_meters_become_ready_and_stay_unwritten(kube, namespace, record_figure):
    kube.kubectl(
        *("set", "env", "deployment/operator", "BILLPLANE_OPERATOR_RESYNC_SECONDS=10"),
    )
    kube.kubectl("rollout", "status", "deployment/operator", "--timeout=120s", seconds=130)
    started = time.monotonic()
    for first in range(0, COUNT, 100):
        kube.apply(
            *(
                METER.document(f"many-{number}", eventType=f"many.{number}")
                for number in range(first, first + 100)
            ),
            namespace=namespace,
        )
    kube.kubectl(
        *("wait", "--for=condition=Ready", "meters", "--all", "--timeout=300s"),
        namespace=namespace,
        seconds=320,
    )
    record_figure("catch-up with 500 resources", time.monotonic() - started, "s")

    rows = "SELECT count(*) || ':' || max(xmin::text::bigint) FROM metering.meters"
    time.sleep(15)
    before, stored, first = versions(kube, namespace), kube.sql(rows), memory(kube)
    time.sleep(RESYNCS * 10 + 5)
    assert versions(kube, namespace) == before
    assert kube.sql(rows) == stored
    last = memory(kube)
    record_figure("operator with 500 resources", first / 2**20, "MiB")
    record_figure("operator ten resyncs later", last / 2**20, "MiB")
    assert last <= 1.1 * first

    kube.kubectl("set", "env", "deployment/operator", "BILLPLANE_OPERATOR_RESYNC_SECONDS-")
    kube.kubectl("rollout", "status", "deployment/operator", "--timeout=120s", seconds=130)


def test_a_paused_api_server_is_caught_up_with(kube, namespace):
    """The API server stops answering for thirty seconds; then everything goes on."""
    kube.apply(METER.document("before", eventType="pause.before"), namespace=namespace)
    kube.wait_ready("meter", "before", namespace)
    kube.signal_api_server("STOP")
    try:
        time.sleep(30)
    finally:
        kube.signal_api_server("CONT")
    eventually(lambda: answers(kube), 60)
    kube.apply(METER.document("after", eventType="pause.after"), namespace=namespace)
    kube.wait_ready("meter", "after", namespace, 90)


def answers(kube):
    try:
        return bool(kube.items("namespaces"))
    except AssertionError:
        return False
