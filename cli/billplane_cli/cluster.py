"""A platform in a kind cluster of this machine: kind, docker, helm and kubectl, asked in turn."""

import json
import socket
import tomllib
from base64 import b64decode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billplane_cli import process
from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode

RELEASE = NAMESPACE = "billplane"
KUBERNETES = "1.34.0"
# What kind-config.yaml opens on this machine.
PORTS = (8080, 15672)
GATEWAY_URL = "http://localhost:8080"
LOAD_SECONDS, BUILD_SECONDS, CREATE_SECONDS, ASK_SECONDS = 600, 1800, 600, 60
LOOK_SECONDS = 10
_HINTS = {
    "docker": "Install Docker and start it: docs.docker.com/engine/install.",
    "kind": "Install kind: kind.sigs.k8s.io/docs/user/quick-start.",
    "kubectl": "Install kubectl: kubernetes.io/docs/tasks/tools.",
    "helm": "Install Helm: helm.sh/docs/intro/install.",
}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """A clone of the repository: the image is built and the chart installed from it."""

    root: Path

    @classmethod
    def find(cls, given: Path | None) -> "Source":
        """Find the clone: the given folder, or the nearest one above the current directory.

        Raises: CliError.
        """
        places = [given] if given else [Path.cwd(), *Path.cwd().parents, *Path(__file__).parents]
        for place in places:
            if (place / "charts" / "billplane").is_dir() and (place / "Dockerfile").is_file():
                return cls(place.resolve())
        raise CliError(
            f"There is no clone of Billplane in {places[0]}.",
            hint="Run this in a clone, or name one with --source.",
            exit_code=ExitCode.USAGE,
        )

    @property
    def chart(self) -> Path:
        """The chart's folder."""
        return self.root / "charts" / "billplane"

    @property
    def image(self) -> str:
        """The image as examples name it: the newest that was built."""
        return f"{RELEASE}:{self.version}"

    @property
    def version(self) -> str:
        """The version of the project."""
        project = tomllib.loads((self.root / "pyproject.toml").read_text(encoding="utf-8"))
        return str(project["project"]["version"])


class Cluster:
    """One kind cluster, by name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.context = f"kind-{name}"

    def exists(self) -> bool:
        """Tell whether the cluster is there."""
        return self.name in _tool("kind", "get", "clusters").split()

    def create(self, config: Path, node_image: str) -> None:
        """Make the cluster.

        Raises: CliError naming a port of this machine that is taken.
        """
        for port in PORTS:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    raise CliError(
                        f"Port {port} of this machine is taken, and the cluster needs it.",
                        hint="Stop what listens there; the laptop platform ends with `make down`.",
                    ) from error
        image = ["--image", node_image] if node_image else []
        command = ["kind", "create", "cluster", "--name", self.name, "--config", str(config)]
        _tool(*command, *image, "--wait", "180s", seconds=CREATE_SECONDS)

    def remove(self) -> None:
        """Remove the cluster and everything in it."""
        _tool("kind", "delete", "cluster", "--name", self.name, seconds=CREATE_SECONDS)

    def load(self, images: Sequence[str], say: Say) -> None:
        """Bring images into the cluster; those that this machine lacks are pulled first."""
        for image in images:
            if not _has_image(image):
                say(f"Pulling {image} …")
                _tool("docker", "pull", image, seconds=LOAD_SECONDS)
        say(f"Loading {len(images)} images …")
        command = ("kind", "load", "docker-image", "--name", self.name, *images)
        _tool(*command, seconds=LOAD_SECONDS)

    def kubectl(self, *arguments: str, seconds: float = ASK_SECONDS, given: str = "") -> str:
        """Run kubectl on this cluster, in the platform's namespace unless told otherwise."""
        own = ["kubectl", "--context", self.context, "--namespace", NAMESPACE]
        return _tool(*own, *arguments, seconds=seconds, given=given)

    def helm(self, *arguments: str, seconds: float = ASK_SECONDS) -> str:
        """Run helm on this cluster, in the platform's namespace."""
        own = ["helm", "--kube-context", self.context, "--namespace", NAMESPACE]
        return _tool(*own, *arguments, seconds=seconds)

    def install(
        self,
        source: Source,
        values: Sequence[Path],
        settings: Sequence[str],
        seconds: int,
        say: Say,
    ) -> None:
        """Install the chart, or bring what is installed to it, and wait until all of it is ready.

        Meanwhile it says which pods are waited for.

        Raises: CliError that tells which pods are not ready, and why.
        """
        # Pod Security says of each namespace what its pods may do; ours need nothing special.
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }
        self.kubectl("apply", "-f", "-", given=json.dumps(namespace))
        options = [item for path in values for item in ("--values", str(path))]
        options += [item for setting in settings for item in ("--set", setting)]
        command = ["upgrade", "--install", RELEASE, str(source.chart), *options]
        try:
            wait = ["--wait", "--wait-for-jobs", "--timeout", f"{seconds}s"]
            with ThreadPoolExecutor(1) as aside:
                installing = aside.submit(self.helm, *command, *wait, seconds=seconds + 60)
                said = ""
                while not wait_for([installing], timeout=LOOK_SECONDS).done:
                    late = self._late()
                    if late and late != said:
                        said = late
                        say(f"Waiting for {late} …")
                installing.result()
        except CliError as error:
            names = self._late()
            raise CliError(
                error.message,
                hint=f"Not ready: {names or 'nothing'}. Look with `kubectl --context "
                f"{self.context} -n {NAMESPACE} describe pod NAME`.",
            ) from error

    def _late(self) -> str:
        """Name the pods that are not ready, each with its state."""
        late = [pod for pod in self.pods() if not pod["ready"]]
        return ", ".join(f"{pod['name']} ({pod['state']})" for pod in late)

    def pods(self) -> list[dict[str, Any]]:
        """List the platform's pods: name, ready, restarts and state."""
        return [_pod(item) for item in json.loads(self.kubectl("get", "pods", "-o=json"))["items"]]

    def first_key(self) -> str:
        """Return the test key that the installation made for its default tenant."""
        secret = json.loads(self.kubectl("get", "secret", f"{RELEASE}-first-key", "-o=json"))
        return b64decode(secret["data"]["api-key"]).decode()


def build(source: Source) -> str:
    """Build the image from a clone; return its name, whose tag tells its content.

    Another content is another tag, so that pods are replaced and schemas migrated where they must
    be, and only there.
    """
    command = ["docker", "build", "--quiet", "--build-arg", f"VERSION={source.version}"]
    image_id = _tool(*command, str(source.root), seconds=BUILD_SECONDS).strip()
    image = f"{RELEASE}:{source.version}-{image_id.removeprefix('sha256:')[:12]}"
    for name in (image, source.image):
        _tool("docker", "tag", image_id, name)
    return image


def images_of(source: Source) -> list[str]:
    """Name the images of the bundled stores, as the chart's values have them."""
    # Helm alone takes an old Kubernetes for granted.
    shown = _tool("helm", "template", RELEASE, str(source.chart), "--kube-version", KUBERNETES)
    found = {
        line.split("image:", 1)[1].strip().strip('"')
        for line in shown.splitlines()
        if line.strip().removeprefix("- ").startswith("image:")
    }
    return sorted(image for image in found if not image.startswith(f"{RELEASE}:"))


def require_tools() -> None:
    """Check that everything is installed that a cluster needs.

    Raises: CliError naming the first that is missing.
    """
    _tool("docker", "version", "--format", "{{.Server.Version}}")
    _tool("kind", "version")
    _tool("kubectl", "version", "--client")
    _tool("helm", "version", "--short")


def _has_image(image: str) -> bool:
    found = _tool("docker", "image", "ls", "--quiet", image)
    return bool(found.strip())


def _pod(item: dict[str, Any]) -> dict[str, Any]:
    statuses = item["status"].get("containerStatuses") or []
    waiting = [status["state"].get("waiting", {}).get("reason") for status in statuses]
    phase = item["status"].get("phase", "Unknown")
    done = phase == "Succeeded"
    return {
        "name": item["metadata"]["name"],
        "ready": done or (bool(statuses) and all(status["ready"] for status in statuses)),
        "restarts": sum(status["restartCount"] for status in statuses),
        "state": next(filter(None, waiting), phase),
    }


def _tool(*arguments: str, seconds: float = ASK_SECONDS, given: str = "") -> str:
    return process.tool(
        list(arguments),
        timeout_seconds=seconds,
        hint=_HINTS.get(arguments[0], ""),
        given=given or None,
    )
