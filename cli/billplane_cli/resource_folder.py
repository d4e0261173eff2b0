"""The laptop's resources: manifests in one folder, what became of them in another.

resources/<namespace>/<Kind>/<name>.yaml is written here and read by the operator, and so are the
tables that a manifest names beside it. status/<namespace>/<Kind>/<name>.json is written by the
operator and read here: the whole object, with the SHA-256 of the manifest that it speaks of in an
annotation.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from billplane_cli.errors import CliError
from billplane_cli.exit_codes import ExitCode
from billplane_cli.manifests import API_VERSION, Manifest, split, with_annotation

DIGEST_ANNOTATION = "billplane.io/manifest-sha256"
POLL_SECONDS = 0.05
# Reasons that no waiting changes: only another manifest or another decision does.
_FINAL_REASONS = {"InvalidSpec", "NameTaken", "AwaitingApproval", "Paused"}


@dataclass(frozen=True, order=True)
class Address:
    """Where one resource lies in both folders."""

    namespace: str
    kind: str
    name: str

    @property
    def path(self) -> Path:
        """Give the place below either folder, without a suffix."""
        return Path(self.namespace, self.kind, self.name)


class ResourceFolder:
    """Both folders of one home."""

    def __init__(self, home: Path) -> None:
        self._resources = home / "resources"
        self._status = home / "status"
        if not self._resources.is_dir():
            raise CliError(
                f"No platform has been started on {home} yet.",
                hint="Start it with `billplane up`. On Kubernetes, use kubectl.",
                exit_code=ExitCode.UNREACHABLE,
            )

    def apply(self, address: Address, manifest: Manifest) -> str:
        """File a manifest in one step; answer created, configured or unchanged.

        Idempotent by: the manifest's text.
        """
        path = self._manifest(address)
        before = path.read_text() if path.exists() else None
        # First, since the operator may act as soon as the manifest is there.
        copied = [name for name in manifest.files if _copy(manifest.file(name), path.parent / name)]
        if before == manifest.text:
            return "configured" if copied else "unchanged"
        _write(path, manifest.text.encode())
        return "created" if before is None else "configured"

    def annotate(self, address: Address, name: str, value: str) -> None:
        """Give a filed manifest an annotation.

        Raises: CliError when it is not filed.
        """
        self.get(address)
        path = self._manifest(address)
        _write(path, with_annotation(path.read_text(), name, value).encode())

    def remove(self, address: Address) -> bool:
        """Remove a manifest and the tables that it alone names; answer whether there was one."""
        path = self._manifest(address)
        try:
            named = _files_of(path)
            path.unlink()
        except FileNotFoundError:
            return False
        others = {name for other in path.parent.glob("*.yaml") for name in _files_of(other)}
        for name in named - others:
            (path.parent / name).unlink(missing_ok=True)
        return True

    def addresses(self, namespace: str | None, kind: str | None) -> list[Address]:
        """List what is filed, in order; None stands for all."""
        found = self._resources.glob(f"{namespace or '*'}/{kind or '*'}/*.yaml")
        return sorted(Address(*path.with_suffix("").parts[-3:]) for path in found)

    def get(self, address: Address) -> dict[str, Any]:
        """Give one resource with what became of it.

        Raises: CliError when it is not filed.
        """
        try:
            text = self._manifest(address).read_text()
        except FileNotFoundError as error:
            raise CliError(
                f"There is no {address.kind} {address.name} in namespace {address.namespace}.",
                exit_code=ExitCode.NOT_FOUND,
            ) from error
        status = self._read_status(address)
        if status is not None and _digest_of(status) == _digest(text):
            return status
        # Not looked at yet. As text throughout: what a scalar is, is the operator's to say.
        written = yaml.load(text, yaml.BaseLoader)  # noqa: S506  (it makes nothing but text)
        pending = {"type": "Ready", "status": "Unknown", "reason": "Pending", "message": ""}
        return {**written, "status": {"conditions": [pending]}}

    def wait(self, address: Address, timeout_seconds: float) -> dict[str, Any]:
        """Wait until the operator has decided on what is filed; give the resource then or now."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            found = self.get(address)
            if is_decided(found) or time.monotonic() > deadline:
                return found
            time.sleep(POLL_SECONDS)

    def wait_gone(self, address: Address, timeout_seconds: float) -> bool:
        """Wait until the operator has cleaned up after a removed manifest."""
        deadline = time.monotonic() + timeout_seconds
        while self._read_status(address) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _manifest(self, address: Address) -> Path:
        return self._resources / address.path.with_name(f"{address.name}.yaml")

    def _read_status(self, address: Address) -> dict[str, Any] | None:
        path = self._status / address.path.with_name(f"{address.name}.json")
        try:
            document = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return document if isinstance(document, dict) else None


def conditions(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the conditions of a resource, the summary first."""
    status = resource.get("status") or {}
    found = status.get("conditions") or []
    yield from sorted(found, key=lambda condition: condition.get("type") != "Ready")


def ready(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the summary condition; empty when there is none yet."""
    for condition in conditions(resource):
        if condition.get("type") == "Ready":
            return condition
    return {}


def is_decided(resource: Mapping[str, Any]) -> bool:
    """Tell whether the operator has nothing more to do for this manifest."""
    condition = ready(resource)
    return condition.get("status") == "True" or condition.get("reason") in _FINAL_REASONS


def describe_text(resource: Mapping[str, Any]) -> str:
    """Write a resource as YAML, what became of it last."""
    shown = {"apiVersion": API_VERSION, **resource}
    return yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)


def _copy(origin: Path, target: Path) -> bool:
    """Copy a file in one step; answer whether there was another or none."""
    content = origin.read_bytes()
    if target.exists() and target.read_bytes() == content:
        return False
    _write(target, content)
    return True


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _files_of(path: Path) -> set[str]:
    return {name for manifest in split(path.read_text(), str(path)) for name in manifest.files}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_of(status: Mapping[str, Any]) -> str:
    annotations = (status.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(DIGEST_ANNOTATION, ""))
