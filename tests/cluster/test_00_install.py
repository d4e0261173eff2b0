"""An installation as it comes up: ready, quiet, tried from beside it, with secrets of its own."""

import json
from datetime import datetime, timedelta

from tests.cluster.kube import NAMESPACE


def test_every_pod_is_ready_and_none_was_restarted(kube):
    pods = kube.pods()
    assert len(pods) >= 7
    restarted = {
        pod["metadata"]["name"]: status["restartCount"]
        for pod in pods
        for status in pod["status"]["containerStatuses"]
        if status["restartCount"]
    }
    assert kube.all_ready(), kube.not_ready()
    assert restarted == {}


def test_what_an_installation_takes_is_told(kube, record_figure):
    pods = kube.pods()
    topology = "compact" if len(pods) < 12 else "fleet"
    used = {
        pod["metadata"]["name"]: kube.memory_bytes(pod["metadata"]["name"]) / 2**20 for pod in pods
    }
    for pod in pods:
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        record_figure(f"memory, {topology}: {component}", used[pod["metadata"]["name"]], "MiB")
    record_figure(f"memory, {topology}: all pods", sum(used.values()), "MiB")
    made = [instant(pod["metadata"]["creationTimestamp"]) for pod in pods]
    ready = max(
        instant(condition["lastTransitionTime"])
        for pod in pods
        for condition in pod["status"]["conditions"]
        if condition["type"] == "Ready"
    )
    if max(made) - min(made) < timedelta(seconds=30):  # all of them of one install
        seconds = (ready - min(made)).total_seconds()
        record_figure(f"first pod to all ready, {topology}", seconds, "s")
    assert all(memory < 700 for memory in used.values()), used


def instant(text):
    return datetime.fromisoformat(text)


def test_helms_own_tests_are_green(kube):
    said = kube.helm("test", "billplane", "--timeout", "300s")
    assert "Phase:          Succeeded" in said or "Phase: Succeeded" in said.replace("  ", "")
    assert "Failed" not in said


def test_the_namespace_enforces_the_restricted_level(kube):
    namespace = kube.json("namespace", NAMESPACE)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in kube.pods():
        security = pod["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True, pod["metadata"]["name"]
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_no_secret_has_a_default_value(kube):
    secrets = {
        item["metadata"]["name"]: kube.secret(item["metadata"]["name"])
        for item in kube.items("secrets")
        if item["type"] == "Opaque"
    }
    passwords = [
        value
        for values in secrets.values()
        for key, value in values.items()
        if key in ("password", "jwt-secret", "admin-key", "postgres-password", "erlang-cookie")
    ]
    assert len(passwords) >= 5
    assert len(set(passwords)) == len(passwords)
    assert all(len(value) >= 24 for value in passwords)
    release = json.dumps(kube.items("deployments") + kube.items("statefulsets"))
    assert not [value for value in passwords if value in release]


def test_the_gateway_answers_and_knows_the_key(api):
    assert api.call("GET", "/health") == {"status": "ok"}
    assert "data" in api.call("GET", "/v1/customers")
