"""Who may talk to whom, by the rendered NetworkPolicies."""

import itertools

import pytest
from billplane import catalog

from tests.chart.network import Network, Pod
from tests.chart.profiles import EXTERNAL, KIND
from tests.chart.rendering import render

CLIENT = Pod({"billplane.io/client": "true"}, "shop")
STRANGER = Pod({"app": "shop"}, "shop")
STORES = {"postgres": 5432, "redis": 6379, "rabbitmq": 5672, "kafka": 9092}


@pytest.fixture(scope="module")
def fleet():
    return Network(render({}))


def calls(service):
    app = catalog.load(service)
    if service == "gateway":
        return set(catalog.SERVICES) - {"gateway"}
    return {*app.depends_on, "identity"} - {service}


@pytest.mark.parametrize("service", catalog.SERVICES)
def test_a_service_reaches_what_it_depends_on_and_nothing_else(fleet, service):
    source = fleet.hosting(service)
    reached = {
        other
        for other in catalog.SERVICES
        if other != service and fleet.allows(source, fleet.hosting(other), 50051)
    }
    assert reached == calls(service)


def test_services_reach_every_store_and_nobody_else_does(fleet):
    for store, port in STORES.items():
        target = fleet.pods[f"StatefulSet/{store}"]
        for service in catalog.SERVICES:
            assert fleet.allows(fleet.hosting(service), target, port), (service, store)
        for other in (CLIENT, STRANGER, fleet.pods["Deployment/operator"]):
            assert not fleet.allows(other, target, port), store


def test_stores_open_no_connection(fleet):
    for store, other in itertools.permutations(STORES, 2):
        source, target = fleet.pods[f"StatefulSet/{store}"], fleet.pods[f"StatefulSet/{other}"]
        assert not fleet.allows(source, target, STORES[other])
        assert not fleet.allows(source, None, 443)


def test_a_labelled_client_reaches_kept_ports_and_an_unlabelled_one_does_not(fleet):
    for service in catalog.SERVICES:
        app = catalog.load(service)
        for port in (8080, 50051, *app.kept_rest_ports, *app.kept_grpc_ports):
            assert fleet.allows(CLIENT, fleet.hosting(service), port)
            if service != "gateway" or port != 8080:
                assert not fleet.allows(STRANGER, fleet.hosting(service), port)


def test_the_gateway_alone_is_open_to_the_outside(fleet):
    open_to_all = [
        name for name in catalog.SERVICES if fleet.allows(None, fleet.hosting(name), 8080)
    ]
    assert open_to_all == ["gateway"]
    assert fleet.allows(STRANGER, fleet.hosting("gateway"), 8080)


def test_the_operator_and_its_jobs_alone_reach_the_api_server(fleet):
    callers = {name for name, pod in fleet.pods.items() if fleet.allows(pod, None, 6443)}
    assert callers == {
        "Deployment/operator",
        "Job/billplane-bootstrap-secrets",
        "Job/billplane-bootstrap-tenant",
        "Job/billplane-drain",
    }


def test_only_services_that_fetch_reach_the_outside(fleet):
    callers = {
        service for service in catalog.SERVICES if fleet.allows(fleet.hosting(service), None, 443)
    }
    assert callers == {
        "exchange_rate",
        "notification",
        "payment",
        "pricing",
        "utility_provider",
    }


def test_a_reader_of_messages_needs_its_own_label():
    network = Network(render({}))
    reader = Pod({"billplane.io/broker-client": "true"}, "shop")
    for store in ("rabbitmq", "kafka"):
        target = network.pods[f"StatefulSet/{store}"]
        assert network.allows(reader, target, STORES[store])
        assert not network.allows(CLIENT, target, STORES[store])
    assert not network.allows(reader, network.pods["StatefulSet/postgres"], 5432)


def test_management_pages_are_open_where_a_node_port_is_asked_for():
    broker = "StatefulSet/rabbitmq"
    closed, opened = Network(render({})), Network(render(KIND))
    assert not closed.allows(None, closed.pods[broker], 15672)
    assert opened.allows(None, opened.pods[broker], 15672)
    assert not opened.allows(None, opened.pods[broker], 5672)


def test_external_stores_are_reached_by_port_and_network():
    network = Network(render(EXTERNAL))
    tax = network.hosting("tax")
    assert network.allows(tax, None, 6380)
    assert network.allows(tax, None, 5432)
    assert not network.allows(tax, STRANGER, 5432)
    assert not network.allows(network.pods["Deployment/operator"], None, 5432)
