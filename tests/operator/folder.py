"""A folder of manifests that the real operator reconciles with a running platform."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from billplane.chassis.clock import SystemClock
from billplane_operator.kinds import Key
from billplane_operator.local import Folder
from billplane_operator.peers import Peers
from billplane_operator.reconcile import Reconciler
from billplane_operator.settings import OperatorSettings

METER = {"eventType": "api.request", "aggregation": "Sum", "valueProperty": "$.units"}
PLAN = {"currency": "EUR", "charges": [{"name": "platform", "recurring": {"amount": "49.00"}}]}
RATES = [{"quote": "USD", "rate": "1.3194", "asOf": "2026-01-02"}]
FEED = {"base": "EUR", "currencies": ["USD"], "source": {"static": {"rates": RATES}}}


def manifest(kind: str, name: str, spec: Any, **metadata: Any) -> str:
    """Write a resource as YAML."""
    document = {
        "apiVersion": "billplane.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }
    return yaml.safe_dump(document, sort_keys=False)


@dataclass
class Home:
    """Both folders of one home, as the command line uses them."""

    path: Path
    namespace: str

    def file(self, kind: str, name: str, spec: Any, **metadata: Any) -> Path:
        """File a resource, by rename."""
        path = self.path / "resources" / self.namespace / kind / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = spec if isinstance(spec, str) else manifest(kind, name, spec, **metadata)
        partial = path.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(path)
        return path

    def status_path(self, kind: str, name: str) -> Path:
        """Say where the status of a resource is written."""
        return self.path / "status" / self.namespace / kind / f"{name}.json"

    def document(self, kind: str, name: str) -> dict[str, Any]:
        """Read a resource with its status; empty before there is one for the file as it is."""
        try:
            document = json.loads(self.status_path(kind, name).read_text())
        except FileNotFoundError:
            return {}
        filed = self.path / "resources" / self.namespace / kind / f"{name}.yaml"
        digest = hashlib.sha256(filed.read_bytes()).hexdigest()
        annotations = document["metadata"]["annotations"]
        return document if annotations.get("billplane.io/manifest-sha256") == digest else {}

    def conditions(self, kind: str, name: str) -> dict[str, dict[str, Any]]:
        """Read the conditions of a resource by type."""
        found = self.document(kind, name).get("status", {}).get("conditions", [])
        return {item["type"]: item for item in found}

    async def decided(
        self, kind: str, name: str, status: str = "True", seconds: float = 10
    ) -> dict[str, Any]:
        """Wait until a resource is ready, or is not; return it."""
        await eventually(
            lambda: self.conditions(kind, name).get("Ready", {}).get("status") == status,
            lambda: f"{kind} {name}: {self.conditions(kind, name)}",
            seconds,
        )
        return self.document(kind, name)


async def eventually(holds, told=lambda: "", seconds: float = 10) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, told()
        await asyncio.sleep(0.02)


@asynccontextmanager
async def operating(platform, home: Home, **environ: str) -> AsyncIterator[Reconciler]:
    """Run the operator on a home until the block ends."""
    values = {"BILLPLANE_OPERATOR_COMPARE_SECONDS": "0.2", **platform.environ, **environ}
    settings = OperatorSettings.load("operator", values)
    (home.path / "resources").mkdir(parents=True, exist_ok=True)
    folder = Folder(home.path / "resources", home.path / "status")
    peers = Peers(settings)
    reconciler = Reconciler(folder, peers, SystemClock(), settings)

    async def watch() -> None:
        folder.scan()
        changed = set(folder.keys())
        while True:
            for key in sorted(changed):
                await reconciler.add(key)
            await asyncio.sleep(0.02)
            changed = folder.scan()

    tasks = [asyncio.create_task(reconciler.run()), asyncio.create_task(watch())]
    try:
        yield reconciler
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        reconciler.queue.close()
        await peers.close()


def key(home: Home, kind: str, name: str) -> Key:
    """Name a resource of a home."""
    return Key(home.namespace, kind, name)
