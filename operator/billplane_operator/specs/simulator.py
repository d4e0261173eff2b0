"""The simulated utility beside a provider: a Deployment, its Service and its NetworkPolicy."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from billplane.resources import UtilityProviderSpec

from billplane_operator.kinds.base import Desired, Document, SimulatorImage

PORT: Final = 8080
MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "billplane-operator"}
_NAME_MAX: Final = 63
_USER: Final = 10001


def name_of(provider: str) -> str:
    """Return the name of a provider's simulator; it begins with a letter, as Services must."""
    name = f"simulator-{provider}"
    if len(name) <= _NAME_MAX:
        return name
    digest = hashlib.sha256(provider.encode()).hexdigest()[:8]
    return f"{name[: _NAME_MAX - 9].rstrip('-')}-{digest}"


def endpoint_of(desired: Desired) -> str:
    """Return the address that the simulator answers at, from every namespace."""
    return f"http://{name_of(desired.key.name)}.{desired.key.namespace}.svc:{PORT}"


def documents(desired: Desired) -> Iterator[Document]:
    """Yield what the simulator of a provider consists of; nothing where it is not to run."""
    spec, image = desired.spec, desired.simulator
    if image is None or not isinstance(spec, UtilityProviderSpec) or not spec.simulator.enabled:
        return
    yield _object(desired, "networking.k8s.io/v1", "NetworkPolicy", _network_policy(desired))
    yield _object(desired, "v1", "Service", _service(desired))
    yield _object(desired, "apps/v1", "Deployment", _deployment(desired, spec, image))


def _object(desired: Desired, api_version: str, kind: str, spec: Document) -> Document:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name_of(desired.key.name),
            "namespace": desired.key.namespace,
            "labels": _labels(desired),
            "ownerReferences": [
                {
                    "apiVersion": "billplane.io/v1alpha1",
                    "kind": desired.key.kind,
                    "name": desired.key.name,
                    "uid": desired.uid,
                    "controller": True,
                }
            ],
        },
        "spec": spec,
    }


def _selector(desired: Desired) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "provider-simulator",
        "app.kubernetes.io/instance": name_of(desired.key.name),
    }


def _labels(desired: Desired) -> dict[str, str]:
    return {
        **_selector(desired),
        **MANAGED_BY,
        "app.kubernetes.io/component": "provider-simulator",
        "billplane.io/provider": desired.key.name,
    }


def _deployment(desired: Desired, spec: UtilityProviderSpec, image: SimulatorImage) -> Document:
    return {
        "replicas": 1,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": _selector(desired)},
        "template": {
            "metadata": {"labels": _labels(desired)},
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": 10,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": _USER,
                    "runAsGroup": _USER,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [_container(spec, image)],
                "volumes": [{"name": "temporary", "emptyDir": {"sizeLimit": "64Mi"}}],
            },
        },
    }


def _container(spec: UtilityProviderSpec, image: SimulatorImage) -> Document:
    return {
        "name": "simulator",
        "image": image.image,
        "imagePullPolicy": image.pull_policy,
        "args": ["run", "provider_simulator"],
        "env": _environment(spec),
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": _probe("/health/live", 2, 60),
        "livenessProbe": _probe("/health/live", 10, 3),
        "readinessProbe": _probe("/health/ready", 5, 3),
        "resources": {
            "requests": {"cpu": "20m", "memory": "96Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "temporary", "mountPath": "/tmp"}],  # noqa: S108 - in its pod
    }


def _environment(spec: UtilityProviderSpec) -> list[dict[str, str]]:
    simulator = spec.document()["simulator"]
    prefix = "BILLPLANE_PROVIDER_SIMULATOR_"
    values: dict[str, Any] = {
        "BILLPLANE_BIND_HOST": "0.0.0.0",  # noqa: S104 - the pod's own address
        f"{prefix}ACCOUNTS": simulator["accounts"],
        f"{prefix}SEED": simulator["seed"],
        f"{prefix}LATENCY": simulator["latency"],
        f"{prefix}ERROR_RATE": simulator["errorRate"],
        f"{prefix}CATEGORY": spec.category,
        f"{prefix}COUNTRY": spec.country,
        f"{prefix}CURRENCY": spec.currency,
        f"{prefix}TIME_ZONE": spec.time_zone,
    }
    return [{"name": name, "value": str(value)} for name, value in values.items()]


def _probe(path: str, period: int, failures: int) -> Document:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
    }


def _service(desired: Desired) -> Document:
    return {
        "type": "ClusterIP",
        "selector": _selector(desired),
        "ports": [
            {
                "name": "http",
                "port": PORT,
                "targetPort": "http",
                "protocol": "TCP",
                "appProtocol": "http",
            }
        ],
    }


def _network_policy(desired: Desired) -> Document:
    ours = {
        "namespaceSelector": {},
        "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "billplane"}},
    }
    return {
        "podSelector": {"matchLabels": _selector(desired)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [ours], "ports": [{"port": PORT, "protocol": "TCP"}]}],
        "egress": [],
    }
