"""What is rendered is what was reviewed, by Helm 3 and Helm 4 alike."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import helm_python
import pytest
import yaml

from tests.chart.profiles import EXTERNAL, KIND, PROFILES
from tests.chart.rendering import CHART, LOADER, NAMESPACE, ROOT, named, of_kind, render

GOLDEN = Path(__file__).parent / "golden"
UPDATE = os.environ.get("BILLPLANE_TEST_UPDATE_GOLDEN")


def reviewed(documents):
    """Return documents as text, without the CRDs, which are compared with their sources."""
    kept = [item for item in documents if item["kind"] != "CustomResourceDefinition"]
    kept.sort(key=lambda item: (item["kind"], item["metadata"]["name"]))
    return yaml.safe_dump_all(kept, sort_keys=True, width=100)


@pytest.mark.parametrize(
    ("name", "documents"),
    [
        ("kind", lambda: render(KIND)),
        ("fleet-workloads", lambda: of_kind(render({}), "Deployment", "StatefulSet")),
        ("external-jobs", lambda: of_kind(render(EXTERNAL), "Job", "Role", "RoleBinding")),
    ],
)
def test_a_profile_is_rendered_as_reviewed(name, documents):
    path, text = GOLDEN / f"{name}.yaml", reviewed(documents())
    if UPDATE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text, "set BILLPLANE_TEST_UPDATE_GOLDEN=1 and review the difference"


def test_helm_finds_nothing_to_mend():
    found = helm_python.lint(CHART)
    assert found["errors"] == []
    assert {message["error"] for message in found["messages"]} <= {"icon is recommended"}


@pytest.mark.skipif(shutil.which("helm") is None, reason="no helm on the PATH")
@pytest.mark.parametrize("profile", ["kind", "external"])
def test_the_helm_program_renders_the_same(profile, tmp_path):
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(PROFILES[profile]))
    command = ["helm", "template", "billplane", str(CHART), "--namespace", NAMESPACE]
    command += ["--kube-version", "1.34.0", "--values", str(values)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = [item for item in yaml.load_all(text, LOADER) if item]
    for document in [*theirs, *(ours := render(PROFILES[profile]))]:
        document["metadata"].pop("labels")
        document.get("spec", {}).get("template", {}).get("metadata", {}).pop("labels", None)
    assert reviewed(theirs) == reviewed(ours)


def test_the_crds_are_those_of_the_sources_and_stay():
    documents = render({})
    for source in sorted((ROOT / "crds").glob("*.yaml")):
        wanted = yaml.safe_load(source.read_text())
        found = named(documents, "CustomResourceDefinition", wanted["metadata"]["name"])
        assert found["spec"] == wanted["spec"]
        assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    unkept = render({"crds": {"keep": False}})
    for document in of_kind(unkept, "CustomResourceDefinition"):
        assert "helm.sh/resource-policy" not in document["metadata"].get("annotations", {})


def test_a_migrations_job_has_a_name_for_each_version():
    def job(values):
        (found,) = [
            item
            for item in of_kind(render(values), "Job")
            if item["metadata"]["labels"]["app.kubernetes.io/component"] == "migrate"
        ]
        return found

    first, other = job({}), job({"image": {"tag": "0.2.0"}})
    assert first == job({})
    assert other["metadata"]["name"] != first["metadata"]["name"]
    assert "helm.sh/hook" not in first["metadata"].get("annotations", {})


def test_secrets_are_made_before_anything_that_needs_them():
    hooks = {
        item["metadata"]["name"]: item["metadata"].get("annotations", {})
        for item in render({})
        if item["kind"] in ("Job", "Role", "RoleBinding", "ServiceAccount")
    }
    secrets = hooks["billplane-bootstrap-secrets"]
    assert secrets["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert int(hooks["billplane-bootstrap"]["helm.sh/hook-weight"]) < int(
        secrets["helm.sh/hook-weight"]
    )
    assert hooks["billplane-bootstrap-tenant"]["helm.sh/hook"] == "post-install,post-upgrade"
    assert hooks["billplane-drain"]["helm.sh/hook"] == "pre-delete"


def test_the_operator_and_the_job_that_drains_it_share_a_lease_that_they_may_touch():
    documents = render({}, release="acme")
    deployment = named(documents, "Deployment", "operator")
    job = named(documents, "Job", "acme-billplane-drain")
    for owner in (deployment, job):
        (container,) = owner["spec"]["template"]["spec"]["containers"]
        variables = {item["name"]: item.get("value") for item in container["env"]}
        assert variables["BILLPLANE_OPERATOR_LEASE_NAME"] == "acme-billplane-operator"
    role = named(documents, "Role", "acme-billplane-operator-lease")
    assert {name for rule in role["rules"] for name in rule.get("resourceNames", ())} == {
        "acme-billplane-operator"
    }


def test_the_namespaced_operator_has_no_cluster_wide_permission():
    documents = render(PROFILES["namespaced-operator"])
    assert not of_kind(documents, "ClusterRole", "ClusterRoleBinding")
    places = {
        item["metadata"].get("namespace")
        for item in of_kind(documents, "Role")
        if item["metadata"]["name"] == "billplane-operator"
    }
    assert places == {"team-a", "team-b"}


def test_alerts_and_dashboards_ask_for_metrics_that_there_are():
    documents = render(PROFILES["edge-and-monitoring"])
    boards = [
        text
        for item in of_kind(documents, "ConfigMap")
        if "-dashboard-" in item["metadata"]["name"]
        for text in item["data"].values()
    ]
    assert len(boards) == 2
    (rules,) = of_kind(documents, "PrometheusRule")
    asked = set(re.findall(r"billplane_[a-z_]+", json.dumps([*boards, rules["spec"]["groups"]])))
    code = "".join(
        path.read_text()
        for root in ("services/billplane", "operator")
        for path in (ROOT / root).rglob("*.py")
    )
    for metric in asked:
        assert f'"{metric.removesuffix("_bucket")}"' in code, metric


def test_every_alert_has_a_runbook():
    documents = render(PROFILES["edge-and-monitoring"])
    (rules,) = of_kind(documents, "PrometheusRule")
    for rule in rules["spec"]["groups"][0]["rules"]:
        page = rule["annotations"]["runbook_url"].rsplit("/", 1)[1]
        text = (ROOT / "docs" / "operating" / "runbooks" / page).read_text()
        assert rule["alert"] in text
        assert "NAMESPACE" not in rule["expr"]
        assert 'namespace="billing"' in rule["expr"]
