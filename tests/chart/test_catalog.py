"""The chart's `services:` map is the catalog."""

import pytest
import yaml
from billplane import catalog

from tests.chart.profiles import KIND, PROFILES
from tests.chart.rendering import CHART, containers, named, of_kind, render

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def test_its_keys_are_the_services_of_the_catalog():
    assert list(VALUES["services"]) == list(catalog.SERVICES)


@pytest.mark.parametrize("service", catalog.SERVICES)
def test_its_ports_and_dependencies_are_those_of_the_service(service):
    app, entry = catalog.load(service), VALUES["services"][service]
    assert entry["ports"] == {
        "rest": list(app.kept_rest_ports),
        "grpc": list(app.kept_grpc_ports),
    }
    assert sorted(entry["dependsOn"]) == sorted(app.depends_on)


def test_the_compact_groups_host_each_service_once():
    hosted = [name for group in VALUES["compact"]["groups"] for name in group["services"]]
    assert sorted(hosted) == sorted(catalog.SERVICES)


@pytest.mark.parametrize("topology", ["fleet", "compact"])
def test_every_service_is_hosted_once_and_found_by_its_name_and_its_peers(topology):
    documents = render({**KIND, "topology": topology})
    hosted = [
        argument
        for deployment in of_kind(documents, "Deployment")
        for container in deployment["spec"]["template"]["spec"]["containers"]
        if container["args"][0] == "run"
        for argument in container["args"][1:]
    ]
    assert sorted(hosted) == sorted(catalog.SERVICES)
    for service in catalog.SERVICES:
        host = service.replace("_", "-")
        ports = {port["port"] for port in named(documents, "Service", host)["spec"]["ports"]}
        app = catalog.load(service)
        assert ports == {8080, 50051, *app.kept_rest_ports, *app.kept_grpc_ports}
        assert named(documents, "Service", f"{host}-peers")["spec"]["clusterIP"] == "None"


def test_no_two_services_of_a_group_keep_the_same_rest_port():
    # A gRPC port may be shared: every service of a process answers on each of them.
    for group in VALUES["compact"]["groups"]:
        kept = [
            port for name in group["services"] for port in VALUES["services"][name]["ports"]["rest"]
        ]
        assert len(kept) == len(set(kept)), group["name"]


def test_one_service_alone_takes_another_image_and_database():
    documents = render(PROFILES["one-service-apart"])
    before = render({})
    changed = {
        deployment["metadata"]["name"]
        for deployment in of_kind(documents, "Deployment")
        if deployment != named(before, "Deployment", deployment["metadata"]["name"])
    }
    assert changed == {"tax"}
    spec = named(documents, "Deployment", "tax")["spec"]["template"]["spec"]
    assert {container["image"] for container in containers(spec)} == {"billplane:0.2.0"}
    variables = {item["name"]: item for item in spec["containers"][0]["env"]}
    secret = variables["BILLPLANE_TAX_DATABASE_URL"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "tax-database", "key": "uri"}


def test_the_operator_may_reach_every_service_that_it_configures():
    from billplane_operator.peers import _APIS

    assert set(VALUES["operator"]["dependsOn"]) == {
        "identity",
        "subscription",
        *(api.service for api in _APIS.values()),
    }
