"""Uninstall and install again: nothing hangs, and everything is there as before."""

import time

import pytest

from tests.cluster.kube import eventually
from tests.cluster.samples import SAMPLES

METER = SAMPLES[0]
pytestmark = pytest.mark.full


def test_data_keys_and_resources_outlive_the_release(kube, api, namespace):
    kube.apply(METER.document("stays"), namespace=namespace)
    kube.wait_ready("meter", "stays", namespace)
    api.call("POST", "/v1/customers", {"name": "Ada", "external_id": f"ada-{namespace}"})
    values = kube.helm("get", "values", "billplane", "-o", "json")

    started = time.monotonic()
    kube.helm("uninstall", "billplane", "--wait", "--timeout", "300s")
    assert time.monotonic() - started < 300
    found = kube.resource("meter", "stays", namespace)
    assert not found["metadata"].get("finalizers")
    assert "deletionTimestamp" not in found["metadata"]

    kube.helm(
        *("install", "billplane", "charts/billplane", "--values", "/dev/stdin"),
        *("--wait", "--wait-for-jobs", "--timeout", "600s"),
        given=values,
    )
    eventually(kube.all_ready, 120, kube.not_ready)
    customer = api.call("GET", f"/v1/customers/ada-{namespace}", tries=20)
    assert customer["name"] == "Ada"
    kube.wait_ready("meter", "stays", namespace, 90)
