"""The resources of a Kubernetes cluster, behind the same calls as the laptop's folder."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import yaml
from lightkube import ApiError, Client, KubeConfig
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import GenericNamespacedResource, create_namespaced_resource
from lightkube.types import PatchType

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.manifests import API_VERSION, Manifest
from billplane_cli.resource_folder import Address, is_decided

FIELD_MANAGER = "billplane-cli"
POLL_SECONDS = 0.5
_Answer = TypeVar("_Answer")
_GROUP, _VERSION = API_VERSION.split("/")
_KINDS: dict[str, type[GenericNamespacedResource]] = {
    kind: create_namespaced_resource(_GROUP, _VERSION, kind, plural)
    for kind, plural in (
        ("BillingPlan", "billingplans"),
        ("ExchangeRateFeed", "exchangeratefeeds"),
        ("Meter", "meters"),
        ("UtilityProvider", "utilityproviders"),
    )
}


class _Loader(yaml.SafeLoader):
    """Reads YAML as Kubernetes does: a date is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class ClusterResources:
    """The resources of one cluster, by a context of the kubeconfig."""

    def __init__(self, context: str) -> None:
        try:
            path = Path(os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser()
            config = KubeConfig.from_file(path).get(context)
        except (ConfigError, OSError) as error:
            raise CliError(f"The kubeconfig cannot be read: {error}.") from error
        if config is None:
            raise CliError(
                f"There is no context {context!r} in the kubeconfig.",
                hint="List them with `kubectl config get-contexts`.",
                exit_code=ExitCode.USAGE,
            )
        self._client = Client(config=config, field_manager=FIELD_MANAGER)
        self.namespace = config.namespace or "default"

    def apply(self, address: Address, manifest: Manifest) -> str:
        """Apply a manifest on the server; answer created, configured or unchanged.

        Raises: CliError with what the API server says of it.
        """
        kind = _KINDS[address.kind]
        document = yaml.load(manifest.text, _Loader)  # noqa: S506  (a safe loader)
        document["metadata"]["namespace"] = address.namespace
        before = self._find(address)
        applied = self._ask(lambda: self._client.apply(kind.from_dict(document), force=True))
        if before is None:
            return "created"
        return "unchanged" if _version_of(before) == _version_of(applied) else "configured"

    def annotate(self, address: Address, name: str, value: str) -> None:
        """Give a resource an annotation.

        Raises: CliError with what the API server says of it.
        """
        change = {"metadata": {"annotations": {name: value}}}
        kind = _KINDS[address.kind]
        self._ask(
            lambda: self._client.patch(
                kind, address.name, change, namespace=address.namespace,
                patch_type=PatchType.MERGE,
            )
        )  # fmt: skip

    def remove(self, address: Address) -> bool:
        """Delete a resource; answer whether there was one."""
        if self._find(address) is None:
            return False
        kind = _KINDS[address.kind]
        self._ask(lambda: self._client.delete(kind, address.name, namespace=address.namespace))
        return True

    def addresses(self, namespace: str | None, kind: str | None) -> list[Address]:
        """List what there is, in order; None stands for all."""
        found = []
        for name in [kind] if kind else _KINDS:
            for item in self._list(name, namespace or "*"):
                own: dict[str, str] = item.to_dict()["metadata"]
                found.append(Address(own["namespace"], name, own["name"]))
        return sorted(found)

    def get(self, address: Address) -> dict[str, Any]:
        """Give one resource with its status.

        Raises: CliError when it is not there.
        """
        found = self._find(address)
        if found is None:
            raise CliError(
                f"There is no {address.kind} {address.name} in namespace {address.namespace}.",
                exit_code=ExitCode.NOT_FOUND,
            )
        document: dict[str, Any] = found.to_dict()
        return document

    def wait(self, address: Address, timeout_seconds: float) -> dict[str, Any]:
        """Wait until the operator has decided on what is applied; give the resource then or now."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            found = self.get(address)
            seen = (found.get("status") or {}).get("observedGeneration")
            current = seen == found["metadata"].get("generation")
            if (current and is_decided(found)) or time.monotonic() > deadline:
                return found
            time.sleep(POLL_SECONDS)

    def wait_gone(self, address: Address, timeout_seconds: float) -> bool:
        """Wait until a deleted resource is cleaned up after."""
        deadline = time.monotonic() + timeout_seconds
        while self._find(address) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _list(self, kind: str, namespace: str) -> list[Any]:
        return self._ask(lambda: list(self._client.list(_KINDS[kind], namespace=namespace)))

    def _find(self, address: Address) -> Any:
        kind = _KINDS[address.kind]
        try:
            return self._client.get(kind, address.name, namespace=address.namespace)
        except ApiError as error:
            if error.status.code == 404 and (error.status.details or None) is not None:
                return None
            raise _told(error) from error
        except httpx2.HTTPError as error:
            raise _unreachable(error) from error

    def _ask(self, ask: Callable[[], _Answer]) -> _Answer:
        try:
            return ask()
        except ApiError as error:
            raise _told(error) from error
        except httpx2.HTTPError as error:
            raise _unreachable(error) from error


def _version_of(found: Any) -> str:
    return str(found.to_dict()["metadata"]["resourceVersion"])


def _told(error: ApiError) -> CliError:
    code = error.status.code
    hint = "Are Billplane's resource definitions installed there?" if code == 404 else ""
    return CliError(
        str(error.status.message or error),
        hint=hint,
        exit_code=ExitCode.INVALID if code == 422 else ExitCode.FAILED,
    )


def _unreachable(error: httpx2.HTTPError) -> CliError:
    return CliError(
        f"The cluster cannot be reached: {error}.",
        hint="Is it running, and is the context right? `kubectl config get-contexts`",
        exit_code=ExitCode.UNREACHABLE,
    )
