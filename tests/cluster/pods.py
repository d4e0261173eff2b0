"""Pods of the tests: programs that run beside the platform, as a user's would."""

import json
import secrets
import time
from pathlib import Path
from typing import Any

from tests.cluster.kube import Kube, eventually

CLIENT = {"billplane.io/client": "true"}


def image_of(kube: Kube) -> str:
    """Give the image that the platform runs."""
    (deployment, *_) = kube.items("deployments", selector="app.kubernetes.io/component")
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def pod(
    kube: Kube, name: str, program: str, env: dict[str, str], labels: dict[str, str]
) -> dict[str, Any]:
    """Write a pod that runs a Python program with the image's own libraries."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image_of(kube),
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", program],
                    "env": [{"name": key, "value": value} for key, value in env.items()],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


def finished(kube: Kube, name: str, namespace: str, seconds: float) -> str:
    """Wait until a pod has ended well; return what it wrote.

    Raises: AssertionError with its log.
    """

    def phase() -> str:
        return str(kube.json("pod", name, namespace=namespace)["status"].get("phase"))

    eventually(lambda: phase() in ("Succeeded", "Failed"), seconds, f"{name} still runs")
    said = kube.kubectl("logs", name, namespace=namespace)
    assert phase() == "Succeeded", said
    return said


def last_line(text: str) -> Any:
    """Read the JSON of the last line."""
    return json.loads(text.strip().splitlines()[-1])


class Load:
    """The load client in a pod of its own."""

    def __init__(self, kube: Kube, namespace: str, key: str, seconds: int) -> None:
        self._kube, self._namespace, self._seconds = kube, namespace, seconds
        self._started = time.monotonic()
        # Events and customers of this run alone: earlier ones are still counted.
        self.run = f"run-{secrets.token_hex(4)}"
        self.meter = f"load-{namespace}"
        program = Path(__file__).with_name("load_client.py").read_text(encoding="utf-8")
        env = {
            "GATEWAY": "http://gateway.billplane:8080",
            "KEY": key,
            "METER": self.meter,
            "RUN": self.run,
            "PLAN": f"load-{namespace}",
            "EVENT_TYPE": f"load.{namespace}",
            "SECONDS": str(seconds),
        }
        kube.apply(pod(kube, "load", program, env, CLIENT), namespace=namespace)

    @property
    def left(self) -> float:
        """Seconds that it still runs, about."""
        return self._seconds - (time.monotonic() - self._started)

    def result(self) -> dict[str, int]:
        """Wait until it has ended; return its counts."""
        said = finished(self._kube, "load", self._namespace, self._seconds + 240)
        return dict(last_line(said))
