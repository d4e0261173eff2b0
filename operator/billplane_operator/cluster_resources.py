"""Resources in a cluster: the same port that a folder offers, over the Kubernetes API."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from billplane.chassis import logging
from billplane.chassis.auth import internal_seed
from billplane.chassis.errors import BillplaneError, Kind
from billplane.resources import GROUP, SpecError, spec_hash, validate_spec

from billplane_operator.cluster import (
    CHILDREN,
    CUSTOM,
    NAMESPACES,
    Cluster,
    Document,
    KubernetesError,
    Resource,
)
from billplane_operator.conditions import READY
from billplane_operator.drain import FINALIZER, is_deleted, without_finalizer
from billplane_operator.kinds import ChildName, Desired, Key, SimulatorImage
from billplane_operator.port import Broken, Gone, Settled
from billplane_operator.references import References, references_of
from billplane_operator.settings import OperatorSettings
from billplane_operator.specs.simulator import MANAGED_BY
from billplane_operator.watched import Watched, trimmed, version_of

_log = logging.get("operator")

TENANT_LABEL: Final = "billplane.io/tenant"
_PROVIDER_LABEL: Final = "billplane.io/provider"
_UNSETTLED: Final = frozenset({"ExchangeRateFeed", "UtilityProvider"})


class NamespaceUnknown(BillplaneError):
    """A namespace whose tenant is not known yet."""

    kind = Kind.UNAVAILABLE
    reason = "NAMESPACE_UNKNOWN"


class ChildNameTaken(BillplaneError):
    """An object that is not ours has the name of one that is to be made."""

    kind = Kind.ALREADY_EXISTS
    reason = "CHILD_NAME_TAKEN"


class ClusterResources:
    """Resources of the namespaces that are looked after, their children and tenants."""

    def __init__(
        self, cluster: Cluster, settings: OperatorSettings, draining: Callable[[], bool]
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._draining = draining
        self._tenants: dict[str, str] = {}
        self._children: dict[Key, dict[ChildName, Document]] = {}
        self._references = References(cluster, internal_seed(settings))
        self.watched = Watched()

    @property
    def places(self) -> Sequence[str | None]:
        """The namespaces that are looked after; None stands for all."""
        return self._settings.namespaces or (None,)

    def keys(self) -> Iterable[Key]:
        """Return every resource that is there."""
        return self.watched.keys()

    def tenant_of(self, namespace: str) -> str:
        """Return the tenant that a namespace is.

        Raises: NamespaceUnknown before its labels were read.
        """
        if namespace not in self._tenants:
            raise NamespaceUnknown(f"the tenant of namespace {namespace} is not known yet")
        return self._tenants[namespace]

    async def list_all(self) -> list[Key]:
        """List every kind; return what the watch had not told of.

        Raises: KubernetesError.
        """
        await self._read_namespaces()
        news: list[Key] = []
        for kind, resource in CUSTOM.items():
            found: list[Document] = []
            version = ""
            for place in self.places:
                items, version = await self._cluster.list(resource, place)
                found.extend(items)
            news += self.watched.listed(kind, found, version)
        return news

    async def read(self, key: Key) -> Desired | Broken | Gone | None:
        """Return what is wanted now, by the newest state that was seen."""
        document = self.watched.get(key)
        if document is None:
            return None
        metadata, spec = document["metadata"], document.get("spec") or {}
        if is_deleted(document):
            if FINALIZER not in (metadata.get("finalizers") or ()):
                return None
            policy = spec.get("deletionPolicy")
            return Gone("Delete" if policy == "Delete" else "Retain", metadata["uid"])
        if key.namespace not in self._tenants:
            await self._read_namespace(key.namespace)
        try:
            parsed = validate_spec(key.kind, spec)
        except SpecError as error:
            return Broken("\n".join(map(str, error.violations)), metadata["generation"])
        found = await self._references.find(key.namespace, metadata["uid"], spec, parsed)
        image = self._settings.simulator_image
        return Desired(
            key,
            metadata["uid"],
            parsed,
            spec_hash(parsed),
            metadata.get("annotations") or {},
            generation=metadata["generation"],
            secrets_missing=found.missing["Secret"],
            config_maps_missing=found.missing["ConfigMap"],
            provided=found.provided,
            simulator=(
                SimulatorImage(image, self._settings.simulator_pull_policy) if image else None
            ),
        )

    def settled(self, key: Key) -> Settled | None:
        """Return what the status calls ready of the spec as it is."""
        document = self.watched.get(key)
        if document is None or key.kind in _UNSETTLED or is_deleted(document):
            return None
        if any(references_of(document.get("spec"))):
            return None  # what it names may have changed meanwhile
        metadata, told = document["metadata"], document.get("status") or {}
        ready = any(
            item.get("type") == READY and item.get("status") == "True"
            for item in told.get("conditions") or ()
        )
        if not ready or told.get("observedGeneration") != metadata["generation"]:
            return None
        if FINALIZER not in (metadata.get("finalizers") or ()) or any(
            name.startswith(f"{GROUP}/") for name in metadata.get("annotations") or ()
        ):
            return None  # an annotation may ask for something: look closely
        return Settled(metadata["uid"], str(told.get("specHash", "")), metadata["generation"])

    def generation(self, key: Key) -> int:
        """Return the API server's count of the spec."""
        return int(((self.watched.get(key) or {}).get("metadata") or {}).get("generation", 0))

    def told(self, key: Key) -> Mapping[str, Any]:
        """Return the status as it was seen last."""
        return (self.watched.get(key) or {}).get("status") or {}

    async def write(self, key: Key, status: Mapping[str, Any]) -> None:
        """Write a status of the resource that was read, unless it says the same already.

        Raises: KubernetesError.
        """
        document = self.watched.get(key)
        if document is None or document.get("status") == status:
            return
        # The uid keeps the status from a resource of the same name that was made meanwhile.
        metadata = {"uid": document["metadata"]["uid"]}
        resource = CUSTOM[key.kind]
        wanted = resource.object(key.name, key.namespace, metadata=metadata, status=dict(status))
        try:
            self.watched.answered(await self._cluster.apply(resource, wanted, "status"))
        except KubernetesError as error:
            if error.kind is not Kind.NOT_FOUND:
                raise

    async def hold(self, key: Key) -> None:
        """Put our finalizer on a resource, unless the operator is about to go.

        Raises: KubernetesError.
        """
        document = self.watched.get(key)
        if document is None or self._draining():
            return
        metadata = document["metadata"]
        held = list(metadata.get("finalizers") or ())
        if FINALIZER in held:
            return
        patch = {
            "metadata": {
                "finalizers": [*held, FINALIZER],
                "resourceVersion": metadata["resourceVersion"],
            }
        }
        self.watched.answered(
            await self._cluster.merge(CUSTOM[key.kind], key.namespace, key.name, patch)
        )

    async def clear(self, key: Key) -> None:
        """Take our finalizer off a resource that is being deleted.

        Raises: KubernetesError.
        """
        resource = CUSTOM[key.kind]
        document = await self._cluster.get(resource, key.namespace, key.name)
        if document is not None and is_deleted(document):
            try:
                patch = without_finalizer(document)
                await self._cluster.merge(resource, key.namespace, key.name, patch)
            except KubernetesError as error:
                if error.kind is not Kind.NOT_FOUND:
                    raise
        self.watched.forget(key)
        self._children.pop(key, None)

    def explain(self, _key: Key, error: BillplaneError) -> str:
        """Tell the field and what is wrong with it, else what was said."""
        if not error.errors:
            return f"{error.detail} ({error.reason})"
        return "\n".join(f"{item.field}: {item.detail} ({item.reason})" for item in error.errors)

    def children(self, key: Key) -> Mapping[ChildName, Document]:
        """Return the objects that belong to a resource, as they were seen last."""
        return self._children.get(key, {})

    async def ensure_child(self, key: Key, document: Document) -> None:
        """Apply an object that belongs to a resource.

        Raises: KubernetesError, ChildNameTaken.
        """
        resource, name = CHILDREN[document["kind"]], document["metadata"]["name"]
        if (document["kind"], name) not in self.children(key):
            found = await self._cluster.get(resource, key.namespace, name)
            labels = ((found or {}).get("metadata") or {}).get("labels") or {}
            if found is not None and not labels.items() >= MANAGED_BY.items():
                detail = f"{document['kind']} {key.namespace}/{name} is not the operator's"
                raise ChildNameTaken(detail)
        applied = await self._cluster.apply(resource, document)
        self._children.setdefault(key, {})[document["kind"], name] = trimmed(applied)

    async def delete_child(self, key: Key, child: ChildName) -> None:
        """Delete an object that belongs to a resource.

        Raises: KubernetesError.
        """
        await self._cluster.delete(CHILDREN[child[0]], key.namespace, child[1])
        self._children.get(key, {}).pop(child, None)

    async def look_around(self) -> Iterable[Key]:
        """List children and read what specs name; return resources to look at.

        Raises: KubernetesError.
        """
        specs = [(key, document.get("spec")) for key, document in self.watched.items()]
        return {*await self._references.changed(specs), *await self._children_changed()}

    async def _children_changed(self) -> set[Key]:
        found: dict[Key, dict[ChildName, Document]] = {}
        for resource in CHILDREN.values():
            for place in self.places:
                items, _ = await self._cluster.list(resource, place, labels=MANAGED_BY)
                for item in items:
                    _file_child(found, resource, item)
        before, self._children = self._children, found
        return {
            key
            for key in before.keys() | found.keys()
            if _versions(before.get(key, {})) != _versions(found.get(key, {}))
            and self.watched.get(key) is not None
        }

    async def _read_namespaces(self) -> None:
        if self._settings.namespaces:
            await asyncio.gather(*map(self._read_namespace, self._settings.namespaces))
            return
        found, _ = await self._cluster.list(NAMESPACES)
        self._tenants = {item["metadata"]["name"]: self._tenant(item) for item in found}

    async def _read_namespace(self, name: str) -> None:
        found: Document | None = None
        try:
            found = await self._cluster.get(NAMESPACES, None, name)
        except KubernetesError as error:
            if error.kind is not Kind.PERMISSION_DENIED:
                raise
        self._tenants[name] = self._tenant(found or {"metadata": {}})

    def _tenant(self, namespace: Document) -> str:
        labels = namespace["metadata"].get("labels") or {}
        return str(labels.get(TENANT_LABEL) or self._settings.default_tenant)


def _file_child(
    found: dict[Key, dict[ChildName, Document]], resource: Resource, item: Document
) -> None:
    metadata = item["metadata"]
    provider = (metadata.get("labels") or {}).get(_PROVIDER_LABEL)
    if provider:
        key = Key(metadata["namespace"], "UtilityProvider", provider)
        found.setdefault(key, {})[resource.kind, metadata["name"]] = trimmed(item)


def _versions(children: Mapping[ChildName, Document]) -> dict[ChildName, str]:
    return {name: version_of(document) for name, document in children.items()}
