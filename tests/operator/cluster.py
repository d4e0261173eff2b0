"""The real operator process code against a fake API server and the running platform."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from billplane_operator.cluster_run import Operator
from billplane_operator.settings import OperatorSettings

from tests.operator.fake_api import FakeApi, Refused
from tests.operator.folder import eventually


@dataclass
class Kube:
    """What a person does with kubectl, in one namespace that is one tenant."""

    api: FakeApi
    platform: Any
    namespace: str
    environ: dict[str, str] = field(default_factory=dict)

    async def start(self):
        """Make the namespace."""
        labels = {"billplane.io/tenant": self.namespace}
        await self.api.store.create(
            {"kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}}
        )
        return self

    async def apply(self, kind, name, spec, **metadata):
        """Do what `kubectl apply` does."""
        metadata = {"name": name, "namespace": self.namespace, **metadata}
        document = {
            "apiVersion": "billplane.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec
        }  # fmt: skip
        return await self.api.store.apply(document, "kubectl", force=False)

    async def delete(self, kind, name):
        """Do what `kubectl delete` does, without waiting."""
        await self.api.store.delete(kind, self.namespace, name)

    async def annotate(self, kind, name, **annotations):
        """Do what `kubectl annotate` does; None takes one away."""
        named = {f"billplane.io/{key}": value for key, value in annotations.items()}
        patch = {"metadata": {"annotations": named}}
        await self.api.store.merge(kind, self.namespace, name, patch)

    def get(self, kind, name):
        """Return an object; None when there is none."""
        try:
            return self.api.store.get(kind, self.namespace, name)
        except Refused:
            return None

    def conditions(self, kind, name):
        """Return the conditions of a resource by type."""
        found = ((self.get(kind, name) or {}).get("status") or {}).get("conditions", [])
        return {item["type"]: item for item in found}

    def says(self, kind, name, status="True", reason=None):
        """Tell whether Ready is told of the newest generation."""
        found = self.get(kind, name) or {"metadata": {}}
        observed = (found.get("status") or {}).get("observedGeneration")
        ready = self.conditions(kind, name).get("Ready", {})
        return (
            observed == found["metadata"].get("generation")
            and ready.get("status") == status
            and reason in (None, ready.get("reason"))
        )

    async def ready(self, kind, name, status="True", reason=None, seconds=15):
        """Wait until Ready is told of the newest generation; return the object."""
        await eventually(
            lambda: self.says(kind, name, status, reason),
            lambda: f"{kind} {name}: {self.get(kind, name)}",
            seconds,
        )
        return self.get(kind, name)

    async def gone(self, kind, name, seconds=10):
        """Wait until an object is gone."""
        await eventually(
            lambda: self.get(kind, name) is None, lambda: self.get(kind, name), seconds
        )

    async def running(self, path):
        """List what a service runs of this tenant."""
        headers = self.platform.headers(self.namespace)
        return (await self.platform.request("GET", path, headers=headers, expect=200))["data"]

    def settings(self, **environ):
        """Return the operator's settings, with short times."""
        values = {
            **self.platform.environ,
            "BILLPLANE_OPERATOR_COMPARE_SECONDS": "0.3",
            "BILLPLANE_OPERATOR_RESYNC_SECONDS": "1",
            "BILLPLANE_OPERATOR_BACKOFF_MAX_SECONDS": "1",
            "BILLPLANE_OPERATOR_LEASE_SECONDS": "1.5",
            "BILLPLANE_OPERATOR_SIMULATOR_IMAGE": "billplane:test",
            "BILLPLANE_OPERATOR_HTTP_PORT": "8099",
            **self.environ,
            **{f"BILLPLANE_OPERATOR_{key.upper()}": value for key, value in environ.items()},
        }
        return OperatorSettings.load("operator", values)

    @asynccontextmanager
    async def operating(self, **environ):
        """Run the operator until the block ends; it must stop by itself then."""
        operator = Operator(self.settings(**environ))
        task = asyncio.create_task(operator.run())
        try:
            yield operator
            assert not task.done(), task.result()
        finally:
            operator.stop()
            code = await asyncio.wait_for(task, 20)
        assert code == 0

    async def killed_operator(self, until):
        """Run the operator until an event, then end it without any grace."""
        operator = Operator(self.settings(stop_grace_seconds="0.05"))
        operator._lease.release = lambda: asyncio.sleep(0)
        task = asyncio.create_task(operator.run())
        waiting = asyncio.create_task(until.wait())
        done, _ = await asyncio.wait({waiting, task}, timeout=6, return_when="FIRST_COMPLETED")
        for one in (task, waiting):
            one.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
        return waiting in done
