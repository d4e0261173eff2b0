"""A cluster as the tests use it: kubectl and helm, and the gateway from outside."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = RELEASE = "billplane"
GATEWAY = "http://127.0.0.1:8080"
KINDS = ("meter", "billingplan", "exchangeratefeed", "utilityprovider")


class CommandFailed(AssertionError):
    """A command ended with an error; the message is what it said."""


def run(*command: str, given: str | None = None, seconds: float = 120, check: bool = True) -> str:
    """Run a command and return what it wrote, errors too unless they fail it."""
    done = subprocess.run(
        list(command),
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd=ROOT,
    )
    if check and done.returncode:
        raise CommandFailed(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout if check else done.stdout + done.stderr


def eventually(what: Any, seconds: float, message: Any = "it did not happen") -> float:
    """Wait until a condition holds; return the seconds that it took."""
    started = time.monotonic()
    while True:
        if what():
            return time.monotonic() - started
        if time.monotonic() - started > seconds:
            raise AssertionError(message() if callable(message) else message)
        time.sleep(0.25)


@dataclass(frozen=True)
class Kube:
    """One cluster, by a context of the kubeconfig that belongs to kind."""

    context: str

    def kubectl(self, *arguments: str, namespace: str = NAMESPACE, **options: Any) -> str:
        """Run kubectl."""
        return run("kubectl", "--context", self.context, "-n", namespace, *arguments, **options)

    def helm(self, *arguments: str, seconds: float = 900, given: str | None = None) -> str:
        """Run helm in the repository's folder."""
        own = ("helm", "--kube-context", self.context, "-n", NAMESPACE)
        return run(*own, *arguments, seconds=seconds, given=given)

    def signal_api_server(self, signal: str) -> None:
        """Send a signal to the API server of the one node."""
        node = f"{self.context.removeprefix('kind-')}-control-plane"
        run("docker", "exec", node, "pkill", f"-{signal}", "kube-apiserver")

    def json(self, *arguments: str, namespace: str = NAMESPACE) -> Any:
        """Run `kubectl get … -o json`."""
        return json.loads(self.kubectl("get", *arguments, "-o=json", namespace=namespace))

    def items(self, what: str, namespace: str = NAMESPACE, selector: str = "") -> list[Any]:
        """List objects."""
        chosen = ["-l", selector] if selector else []
        return list(self.json(what, *chosen, namespace=namespace)["items"])

    def apply(self, *documents: Any, namespace: str = NAMESPACE) -> str:
        """Apply documents, as `kubectl apply` does."""
        text = "\n---\n".join(json.dumps(document) for document in documents)
        return self.kubectl("apply", "-f", "-", given=text, namespace=namespace)

    def wait_ready(self, kind: str, name: str, namespace: str, seconds: int = 60) -> None:
        """Wait as a user does: `kubectl wait --for=condition=Ready`."""
        self.kubectl(
            "wait",
            "--for=condition=Ready",
            f"{kind}/{name}",
            f"--timeout={seconds}s",
            namespace=namespace,
            seconds=seconds + 10,
        )

    def resource(self, kind: str, name: str, namespace: str) -> Any:
        """Get one resource."""
        return self.json(kind, name, namespace=namespace)

    def condition(self, kind: str, name: str, namespace: str, which: str = "Ready") -> Any:
        """Get one condition of a resource, of the generation that is there; empty before that."""
        found = self.resource(kind, name, namespace)
        status = found.get("status") or {}
        for condition in status.get("conditions") or []:
            if condition["type"] == which:
                current = condition.get("observedGeneration", status.get("observedGeneration"))
                return condition if current == found["metadata"]["generation"] else {}
        return {}

    def secret(self, name: str) -> dict[str, str]:
        """Read a Secret."""
        data = self.json("secret", name).get("data") or {}
        return {key: b64decode(value).decode() for key, value in data.items()}

    def sql(self, query: str) -> str:
        """Run SQL as the administrator of the bundled Postgres."""
        secret = self.secret(f"{RELEASE}-postgres")
        return self.kubectl(
            "exec", "postgres-0", "--", "psql", secret["admin-database-url"], "-tAc", query
        ).strip()

    def pods(self, selector: str = "") -> list[Any]:
        """List the platform's pods that are meant to run on: no Jobs, no trials."""
        return [
            pod
            for pod in self.items("pods", selector=selector)
            if any(
                owner["kind"] in ("ReplicaSet", "StatefulSet")
                for owner in pod["metadata"].get("ownerReferences", [])
            )
        ]

    def memory_bytes(self, pod: str) -> int:
        """Return what a pod's control group has in use, page cache that can be dropped left out."""
        said = self.kubectl("exec", pod, "--", "sh", "-c", _MEMORY)
        numbers = [int(line.split()[-1]) for line in said.splitlines() if line.strip()]
        return numbers[0] - numbers[1]

    def all_ready(self) -> bool:
        """Tell whether every pod is ready."""
        pods = self.pods()
        return bool(pods) and all(_ready(pod) for pod in pods)

    def not_ready(self) -> str:
        """Name the pods that are not ready."""
        return ", ".join(pod["metadata"]["name"] for pod in self.pods() if not _ready(pod))


@dataclass(frozen=True)
class Api:
    """The REST API through the gateway, with one key."""

    key: str
    url: str = GATEWAY

    def call(
        self, method: str, path: str, body: Any = None, *, tries: int = 1, key: str = ""
    ) -> Any:
        """Send a request; return the JSON body. Asks again where it is told to wait."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        for left in reversed(range(tries)):
            request = urllib.request.Request(self.url + path, data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    text = answer.read()
                    return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                # 409: the first try with this key is still at it.
                again = (429, 502, 503, 504, *((409,) if key else ()))
                if left and error.code in again:
                    time.sleep(0.5)
                    continue
                raise AssertionError(f"{method} {path}: {error.read().decode()}") from None
            except OSError as error:
                if not left:
                    raise AssertionError(f"{method} {path}: {error}") from None
                time.sleep(0.5)
        raise AssertionError("unreachable")


# Control groups of version 2, else of version 1.
_MEMORY = """
cd /sys/fs/cgroup
if [ -f memory.current ]; then cat memory.current; grep '^inactive_file ' memory.stat
else cat memory/memory.usage_in_bytes; grep '^total_inactive_file ' memory/memory.stat; fi
"""


def _ready(pod: Any) -> bool:
    if pod["metadata"].get("deletionTimestamp"):
        return False
    statuses = pod["status"].get("containerStatuses") or []
    return bool(statuses) and all(status["ready"] for status in statuses)
