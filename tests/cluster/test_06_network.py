"""Who may reach whom: what needs a connection has it, and nobody else."""

import pytest

from tests.cluster.pods import CLIENT, finished, last_line, pod

# Tries to connect, and says which addresses let it.
PROGRAM = """
import json, os, socket
found = {}
for address in os.environ["ADDRESSES"].split():
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=4).close()
        found[address] = True
    except OSError:
        found[address] = False
print(json.dumps(found))
"""
SERVICES = ("tax.billplane:8001", "pricing.billplane:50053", "gateway.billplane:8080")
STORES = (
    "postgres.billplane:5432",
    "redis.billplane:6379",
    "rabbitmq.billplane:5672",
    "kafka.billplane:9092",
)


def reached(kube, namespace, name, labels):
    env = {"ADDRESSES": " ".join((*SERVICES, *STORES))}
    kube.apply(pod(kube, name, PROGRAM, env, labels), namespace=namespace)
    return last_line(finished(kube, name, namespace, 120))


@pytest.mark.parametrize("place", ["own", "other"])
def test_a_client_reaches_services_and_no_store_and_others_reach_nothing(kube, namespace, place):
    where = "billplane" if place == "own" else namespace
    names = [f"reach-{place}-client", f"reach-{place}-stranger"]
    try:
        client = reached(kube, where, names[0], CLIENT)
        stranger = reached(kube, where, names[1], {"app": "stranger"})
    finally:
        kube.kubectl("delete", "pod", *names, "--ignore-not-found", "--wait=false", namespace=where)
    assert client == {**dict.fromkeys(SERVICES, True), **dict.fromkeys(STORES, False)}
    # The gateway is the one door: whoever runs in the cluster may knock at it.
    gateway = "gateway.billplane:8080"
    assert {address: let for address, let in stranger.items() if address != gateway} == (
        dict.fromkeys((*SERVICES[:2], *STORES), False)
    )


REST = """
import json, os, urllib.error, urllib.request
def ask(url, key):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        return urllib.request.urlopen(request, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code
key = os.environ["KEY"]
print(json.dumps({
    "tax": ask("http://tax.billplane:8001/v1/tax_rules", key),
    "tax_without": ask("http://tax.billplane:8001/v1/tax_rules", ""),
    "gateway": ask("http://gateway.billplane:8080/v1/plans", key),
}))
"""
GRPC = """
import json, os, grpc
from billplane.protos.pricing.v1 import pricing_pb2, pricing_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
channel = grpc.insecure_channel("pricing.billplane:50053")
health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
stub = pricing_pb2_grpc.PricingServiceStub(channel)
metadata = (("authorization", "Bearer " + os.environ["KEY"]),)
plans = stub.ListPlans(pricing_pb2.ListPlansRequest(), metadata=metadata, timeout=20)
try:
    stub.ListPlans(pricing_pb2.ListPlansRequest(), timeout=20)
    without = "OK"
except grpc.RpcError as error:
    without = error.code().name
print(json.dumps({"health": health.status, "plans": len(plans.plans) >= 0, "without": without}))
"""


def test_rest_and_grpc_clients_call_services_with_a_key(kube, api, namespace):
    env = {"KEY": api.key}
    kube.apply(
        pod(kube, "rest", REST, env, CLIENT),
        pod(kube, "grpc", GRPC, env, CLIENT),
        namespace=namespace,
    )
    rest = last_line(finished(kube, "rest", namespace, 120))
    assert rest == {"tax": 200, "tax_without": 401, "gateway": 200}
    grpc = last_line(finished(kube, "grpc", namespace, 120))
    assert grpc == {"health": 1, "plans": True, "without": "UNAUTHENTICATED"}


@pytest.mark.parametrize("client", ["rest", "grpc"])
def test_the_examples_of_clients_run_as_they_are(kube, api, client):
    job = f"job/billplane-{client}-client"
    try:
        kube.kubectl(
            *("create", "secret", "generic", "billplane-client"),
            f"--from-literal=api-key={api.key}",
        )
        kube.kubectl("apply", "-k", f"examples/clients/{client}")
        kube.kubectl("wait", "--for=condition=complete", job, "--timeout=120s", seconds=130)
        assert kube.kubectl("logs", job).strip()
    finally:
        kube.kubectl("delete", "-k", f"examples/clients/{client}", "--ignore-not-found")
        kube.kubectl("delete", "secret", "billplane-client", "--ignore-not-found")
