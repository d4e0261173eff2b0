"""The cluster under test: a kind one, made if there is none; never another."""

import json
import os
import subprocess
import sys

import pytest

from tests.cluster.kube import NAMESPACE, ROOT, Api, Kube, eventually, run

CONTEXT = os.environ.get("BILLPLANE_TEST_CONTEXT", "kind-billplane")
FIGURES = ROOT / "build" / "figures.json"
FULL = os.environ.get("BILLPLANE_TEST_CLUSTER_FULL") == "1"


@pytest.fixture(scope="session")
def kube():
    """Give the cluster with the platform installed and ready.

    A context that is not kind's is refused: these tests kill, delete and uninstall.
    """
    if not CONTEXT.startswith("kind-"):
        pytest.exit(f"{CONTEXT} is no kind cluster; these tests would wreck it", returncode=4)
    name = CONTEXT.removeprefix("kind-")
    if name not in run("kind", "get", "clusters", check=False).split():
        up = [sys.executable, "-m", "billplane_cli", "cluster", "up", "--name", name]
        subprocess.run(up, cwd=ROOT, check=True, timeout=1800)
    cluster = Kube(CONTEXT)
    eventually(cluster.all_ready, 300, cluster.not_ready)
    return cluster


@pytest.fixture(scope="session")
def api(kube):
    """Give the REST API with the installation's first key."""
    return Api(kube.secret("billplane-first-key")["api-key"])


@pytest.fixture
def namespace(kube, request):
    """Give an empty namespace of the default tenant, and remove it after the test."""
    name = "t-" + request.node.name.split("[")[0].replace("_", "-")[5:45].strip("-")
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    kube.kubectl("delete", "namespace", name, "--wait=true", "--timeout=120s", seconds=150)


@pytest.fixture(scope="session")
def record_figure():
    """Give what keeps a measured figure for docs/operating/numbers.md."""

    def record(name, value, unit):
        known = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
        known[name] = {"value": round(value, 1), "unit": unit}
        FIGURES.parent.mkdir(exist_ok=True)
        FIGURES.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", "utf-8")

    return record


def pytest_collection_modifyitems(config, items):
    """Leave the long tests out unless they are asked for."""
    if not FULL:
        long = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def full():
    """Tell whether the long forms of tests run too."""
    return FULL


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show what the cluster looked like when a test failed."""
    report = yield
    if report.failed and call.when in ("setup", "call"):
        for command in (
            ("get", "pods", "-o", "wide"),
            ("get", "events", "--sort-by=.lastTimestamp"),
            ("logs", "-l", "app.kubernetes.io/component=operator", "--tail=40"),
        ):
            said = run("kubectl", "--context", CONTEXT, "-n", NAMESPACE, *command, check=False)
            report.sections.append((" ".join(command), said[-6000:]))
    return report
