"""Whatever values people set, what is rendered holds together."""

import functools
import json
import re

import kubernetes_validate
import pytest

from tests.chart.profiles import PROFILES
from tests.chart.rendering import containers, of_kind, pods, render, selects

KUBERNETES = "1.34"
# Kinds of others, whose schemas no Kubernetes has.
OTHERS = {
    "CustomResourceDefinition",
    "HTTPRoute",
    "PrometheusRule",
    "ServiceMonitor",
}
MADE_BY_BOOTSTRAP = {
    "billplane-postgres": {
        "postgres-password",
        "username",
        "password",
        "database-url",
        "admin-database-url",
    },
    "billplane-redis": {"password", "redis-url"},
    "billplane-rabbitmq": {"username", "password", "erlang-cookie", "rabbitmq-url"},
    "billplane-kafka": {"username", "password", "cluster-id", "kafka-bootstrap-servers"},
    "billplane-people": {"jwt-secret", "admin-key"},
    "billplane-internal": {"internal-seed"},
    "billplane-first-key": {"api-key", "key-id", "tenant"},
}
# What an installation runs without.
ADDED_BY_PEOPLE = {"stripe-secret-key", "stripe-webhook-secret", "smtp-password", "sms-token"}
THEIRS = {
    "our-postgres": {"database-url", "admin-database-url"},
    "our-redis": {"redis-url"},
    "our-rabbitmq": {"rabbitmq-url"},
    "our-kafka": {"kafka-username", "kafka-password"},
    "billplane-settings": {"jwt-secret", "admin-key"},
    "our-billplane": {"jwt-secret", "admin-key"},
    "our-authority": {"ca.crt"},
    "tax-database": {"uri"},
    "tax-settings": set(),
}


@functools.cache
def accept(text):
    """Hold a document against Kubernetes' own schema; most are the same in every profile."""
    kubernetes_validate.validate(json.loads(text), KUBERNETES, strict=True)


every_profile = pytest.mark.parametrize("profile", PROFILES)


@every_profile
def test_kubernetes_accepts_every_document(profile):
    for document in render(PROFILES[profile]):
        if document["kind"] not in OTHERS:
            accept(json.dumps(document))


@every_profile
def test_every_document_has_a_name_of_its_own_and_our_labels(profile):
    documents = render(PROFILES[profile])
    names = [
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in documents
    ]
    assert len(names) == len(set(names))
    for document in documents:
        labels = document["metadata"]["labels"]
        assert labels["app.kubernetes.io/part-of"] == "billplane", document["metadata"]["name"]
        assert labels["app.kubernetes.io/instance"] == "billplane"


@every_profile
def test_pods_pass_the_restricted_level(profile):
    for name, _, spec in pods(render(PROFILES[profile])):
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for unwanted in ("hostNetwork", "hostPID", "hostIPC"):
            assert unwanted not in spec, name
        for volume in spec.get("volumes", ()):
            assert set(volume) - {"name"} <= {"emptyDir", "configMap", "secret"}, name
        for container in containers(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"]["memory"], name
            assert container["resources"]["limits"]["memory"], name


@every_profile
def test_only_the_operator_and_its_jobs_hold_a_token_of_the_cluster(profile):
    holders = {
        labels["app.kubernetes.io/component"]
        for _, labels, spec in pods(render(PROFILES[profile]))
        if spec.get("automountServiceAccountToken") is not False
    }
    assert holders <= {"operator", "bootstrap", "drain"}


@every_profile
def test_every_service_leads_to_pods_that_have_its_ports(profile):
    documents = render(PROFILES[profile])
    for service in of_kind(documents, "Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        behind = [
            pod
            for _, labels, pod in pods(documents)
            if all(labels.get(key) == value for key, value in spec["selector"].items())
        ]
        assert behind, name
        for pod in behind:
            open_ports = {
                value
                for container in pod["containers"]
                for port in container.get("ports", ())
                for value in (port.get("name"), port["containerPort"])
            }
            for port in spec["ports"]:
                assert port.get("targetPort", port["port"]) in open_ports, name


@every_profile
def test_a_port_is_named_once_a_pod_and_by_a_name_that_kubernetes_takes(profile):
    for name, _, spec in pods(render(PROFILES[profile])):
        for container in containers(spec):
            names = [port["name"] for port in container.get("ports", ())]
            assert len(names) == len(set(names)), name
            assert all(re.fullmatch(r"[a-z0-9-]{1,15}", port) for port in names), name


def secrets_of(spec):
    for container in containers(spec):
        for variable in container.get("env", ()):
            found = variable.get("valueFrom", {}).get("secretKeyRef")
            if found:
                yield found["name"], found["key"], found.get("optional", False)
        for source in container.get("envFrom", ()):
            yield source["secretRef"]["name"], None, False
    for volume in spec.get("volumes", ()):
        if "secret" in volume:
            yield volume["secret"]["secretName"], None, False


@every_profile
def test_every_secret_is_made_by_the_bootstrap_or_named_by_people(profile):
    documents = render(PROFILES[profile])
    made = bootstrap_makes(documents)
    for name, _, spec in pods(documents):
        for secret, key, optional in secrets_of(spec):
            keys = made.get(secret, THEIRS.get(secret))
            assert keys is not None, f"{name}: nobody makes {secret}"
            added = optional and key in ADDED_BY_PEOPLE
            assert key is None or added or key in keys, f"{name}: {secret} has no {key}"


def bootstrap_makes(documents):
    """Return the Secrets that the Jobs of this installation make, by their arguments."""
    arguments = {
        argument
        for _, labels, spec in pods(documents)
        if labels["app.kubernetes.io/component"] == "bootstrap"
        for argument in spec["containers"][0]["args"]
    }
    stores = {
        text.removeprefix("--store=").split("=")[0] for text in arguments if "--store" in text
    }
    names = {f"billplane-{store}" for store in stores} | {"billplane-internal"}
    names.add("billplane-first-key")
    if not any(text.startswith("--people=") for text in arguments):
        names.add("billplane-people")
    return {name: MADE_BY_BOOTSTRAP[name] for name in names}


@every_profile
def test_only_identity_is_given_the_secret_that_signs_user_tokens(profile):
    for name, labels, spec in pods(render(PROFILES[profile])):
        keys = {key for _, key, _ in secrets_of(spec)}
        if "jwt-secret" in keys:
            assert labels.get("hosts.billplane.io/identity") == "true", name


@every_profile
def test_no_document_holds_a_credential(profile):
    text = json.dumps(render(PROFILES[profile]))
    assert not of_kind(render(PROFILES[profile]), "Secret")
    assert not re.search(r"(postgresql|redis|amqps?)://[^\"]*:[^\"]*@", text)


@every_profile
def test_selectors_are_what_every_version_and_value_keeps(profile):
    documents = render(PROFILES[profile])
    for document in of_kind(documents, "Deployment", "StatefulSet"):
        selector = document["spec"]["selector"]
        assert set(selector["matchLabels"]) == {
            "app.kubernetes.io/name",
            "app.kubernetes.io/instance",
            "app.kubernetes.io/component",
        }
        assert selects(selector, document["spec"]["template"]["metadata"]["labels"])


@every_profile
def test_the_grace_period_outlives_the_servers_own(profile):
    for deployment in of_kind(render(PROFILES[profile]), "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        server = {item["name"]: item.get("value") for item in container["env"]}
        stop = int(server.get("BILLPLANE_STOP_GRACE_SECONDS", 0))
        assert spec["terminationGracePeriodSeconds"] > sleep + stop
