"""A changed plan in the cluster: what it does to bills is told, waited for, and then done."""

import time

from tests.cluster.kube import eventually

PENDING = "billplane.io/approve"


def plan(name, amount):
    spec = {
        "currency": "EUR",
        "interval": {"unit": "Month", "anchor": "Calendar"},
        "rollout": {"applyTo": "All", "requireApproval": True},
        "charges": [{"name": "fee", "recurring": {"amount": amount, "billed": "InArrears"}}],
    }
    metadata = {"name": name}
    return {
        "apiVersion": "billplane.io/v1alpha1",
        "kind": "BillingPlan",
        "metadata": metadata,
        "spec": spec,
    }


def test_a_version_that_waits_shows_its_bill_diff_and_is_published_by_the_annotation(
    kube, api, namespace
):
    name = f"pro-{time.time_ns()}"
    kube.apply(plan(name, "30.00"), namespace=namespace)
    kube.wait_ready("billingplan", name, namespace)
    clock = api.call("POST", "/v1/test_clocks", {"now": "2026-01-01T00:00:00Z"})["id"]
    for who in ("ada", "bea"):
        body = {"name": who, "external_id": f"{who}-{name}", "test_clock_id": clock}
        customer = api.call("POST", "/v1/customers", body)["id"]
        api.call("POST", "/v1/subscriptions", {"customer_id": customer, "plan": name})
    api.call("POST", f"/v1/test_clocks/{clock}:advance", {"to": "2026-02-01T00:00:00Z"})
    run = api.call("POST", "/v1/billing_runs", {})["id"]
    eventually(
        lambda: api.call("GET", f"/v1/billing_runs/{run}")["state"] not in ("pending", "running"),
        60,
        lambda: str(api.call("GET", f"/v1/billing_runs/{run}")),
    )

    def status():
        return kube.resource("billingplan", name, namespace).get("status") or {}

    kube.apply(plan(name, "33.50"), namespace=namespace)
    eventually(lambda: "billDiff" in status(), 60, lambda: str(status()))
    told = status()
    pending = told["pendingSpecHash"]
    assert told["billDiff"] == {
        "specHash": pending,
        "mode": "Test",
        "currency": "EUR",
        "customers": 2,
        "up": 2,
        "down": 0,
        "oldTotal": "60.00",
        "newTotal": "67.00",
    }
    assert (told["version"], told["activeSubscriptions"]) == (1, 2)
    waiting = kube.condition("billingplan", name, namespace, "AwaitingApproval")
    assert (waiting["status"], waiting["reason"]) == ("True", "ApprovalRequired")
    assert f"{PENDING}: {pending[:12]}" in waiting["message"]
    assert "of 2 customers 2 would have paid more and 0 less" in waiting["message"]
    assert api.call("GET", f"/v1/plans/{name}")["version"] == 1

    # What approves another spec approves nothing.
    kube.kubectl("annotate", "billingplan", name, f"{PENDING}={'0' * 12}", namespace=namespace)
    ready = kube.condition("billingplan", name, namespace)
    assert (ready["status"], ready["reason"]) == ("False", "AwaitingApproval")
    kube.kubectl(
        *("annotate", "--overwrite", "billingplan", name, f"{PENDING}={pending[:12]}"),
        namespace=namespace,
    )
    kube.wait_ready("billingplan", name, namespace)
    done = status()
    assert (done["version"], done["billDiff"]["newTotal"]) == (2, "67.00")
    assert "pendingSpecHash" not in done
    assert api.call("GET", f"/v1/plans/{name}")["version"] == 2
