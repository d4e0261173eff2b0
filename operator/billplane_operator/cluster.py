"""The Kubernetes API as the operator uses it: the only module that knows a client for it.

Objects are JSON data. Errors are ours, so that a refused request tells a kind and a reason like a
service's refusal does.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import httpx2
from billplane.chassis.errors import BillplaneError, Kind
from billplane.resources import GROUP, KINDS, VERSION
from lightkube import ApiError, AsyncClient
from lightkube.core.exceptions import ConfigError
from lightkube.core.generic_client import ALL_NS
from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.types import CascadeType, PatchType

FIELD_MANAGER: Final = "billplane-operator"
REQUEST_SECONDS: Final = 60
_PAGE: Final = 500
_KINDS: Final[Mapping[int, Kind]] = {
    400: Kind.FAILED_PRECONDITION,
    401: Kind.UNAUTHENTICATED,
    403: Kind.PERMISSION_DENIED,
    404: Kind.NOT_FOUND,
    409: Kind.ABORTED,
    410: Kind.ABORTED,
    422: Kind.FAILED_PRECONDITION,
    429: Kind.RESOURCE_EXHAUSTED,
    500: Kind.UNAVAILABLE,
    502: Kind.UNAVAILABLE,
    503: Kind.UNAVAILABLE,
    504: Kind.DEADLINE_EXCEEDED,
}

Document: TypeAlias = dict[str, Any]


class KubernetesError(BillplaneError):
    """What the API server refused, or that it did not answer."""

    def __init__(self, kind: Kind, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.reason = reason


class NoCluster(BillplaneError):
    """Nothing tells where an API server is."""

    kind = Kind.FAILED_PRECONDITION
    reason = "NO_CLUSTER"


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object on the API server."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As manifests have it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def object(self, name: str, namespace: str | None, **fields: Any) -> Document:
        """Make a manifest of the kind; `metadata` may carry more than names."""
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        metadata |= fields.pop("metadata", {})
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata, **fields}


SECRETS: Final = Resource("", "v1", "Secret", "secrets")
CONFIG_MAPS: Final = Resource("", "v1", "ConfigMap", "configmaps")
NAMESPACES: Final = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
SERVICES: Final = Resource("", "v1", "Service", "services")
DEPLOYMENTS: Final = Resource("apps", "v1", "Deployment", "deployments")
NETWORK_POLICIES: Final = Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
LEASES: Final = Resource("coordination.k8s.io", "v1", "Lease", "leases")
CUSTOM: Final[Mapping[str, Resource]] = {
    kind.name: Resource(GROUP, VERSION, kind.name, kind.plural) for kind in KINDS.values()
}
CHILDREN: Final[Mapping[str, Resource]] = {
    resource.kind: resource for resource in (DEPLOYMENTS, SERVICES, NETWORK_POLICIES)
}


def _client_types() -> dict[Resource, Any]:
    known = (SECRETS, CONFIG_MAPS, NAMESPACES, LEASES, *CHILDREN.values(), *CUSTOM.values())
    return {
        resource: (create_namespaced_resource if resource.namespaced else create_global_resource)(
            resource.group, resource.version, resource.kind, resource.plural
        )
        for resource in known
    }


_TYPES: Final = _client_types()


class Cluster:
    """Requests to one API server; each may take a minute at most."""

    def __init__(self, seconds: float = REQUEST_SECONDS) -> None:
        try:
            self._client = AsyncClient(
                timeout=httpx2.Timeout(seconds), field_manager=FIELD_MANAGER, trust_env=True
            )
        except ConfigError as error:
            raise NoCluster(
                f"neither a pod's account nor a kubeconfig was found: {error}"
            ) from None
        except KeyError as error:
            raise NoCluster(f"the kubeconfig lacks {error}") from None

    @property
    def namespace(self) -> str:
        """The namespace that we run in, or that the kubeconfig names."""
        return str(self._client.namespace)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Document | None:
        """Return one object; None when there is none.

        Raises: KubernetesError.
        """
        try:
            found = await self._client.get(_TYPES[resource], name, **_in(resource, namespace))
        except httpx2.HTTPError as error:
            if _code(error) == 404:
                return None
            raise _refusal(error) from None
        return _document(found)

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> tuple[Sequence[Document], str]:
        """Return all objects of a namespace or of all, and the version of that list.

        Raises: KubernetesError.
        """
        where = _in(resource, namespace or ALL_NS)
        wanted: Any = dict(labels) if labels else None
        pages = self._client.list(_TYPES[resource], **where, chunk_size=_PAGE, labels=wanted)
        try:
            found = [_document(item) async for item in pages]
        except httpx2.HTTPError as error:
            raise _refusal(error) from None
        for item in found:
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return found, pages.resourceVersion

    async def create(self, resource: Resource, document: Document) -> Document | None:
        """Create an object; None when there is one of that name.

        Raises: KubernetesError.
        """
        try:
            made = await self._client.create(_TYPES[resource](document))
        except httpx2.HTTPError as error:
            if _code(error) == 409:
                return None
            raise _refusal(error) from None
        return _document(made)

    async def apply(self, resource: Resource, document: Document, part: str = "") -> Document:
        """Make our fields of an object what they are here, or of its part `status`.

        Raises: KubernetesError.
        Idempotent by: server-side apply.
        """
        kind = _TYPES[resource].Status if part == "status" else _TYPES[resource]
        return await self._patch(kind, document["metadata"], document, PatchType.APPLY, force=True)

    async def merge(
        self, resource: Resource, namespace: str | None, name: str, patch: Document
    ) -> Document:
        """Merge a patch into an object.

        Raises: KubernetesError, also when the patch names another resourceVersion.
        Source: RFC 7396.
        """
        metadata = {"namespace": namespace, "name": name}
        return await self._patch(_TYPES[resource], metadata, patch, PatchType.MERGE, force=False)

    async def replace(self, resource: Resource, document: Document) -> Document:
        """Write a whole object over the version that it was read at.

        Raises: KubernetesError, also when it has changed since.
        """
        try:
            return _document(await self._client.replace(_TYPES[resource](document)))
        except httpx2.HTTPError as error:
            raise _refusal(error) from None

    async def delete(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Delete an object and what it owns; that there is none is no error.

        Raises: KubernetesError.
        """
        try:
            await self._client.delete(
                _TYPES[resource],
                name,
                **_in(resource, namespace),
                cascade=CascadeType.BACKGROUND,
            )
        except httpx2.HTTPError as error:
            if _code(error) != 404:
                raise _refusal(error) from None

    async def _patch(
        self,
        kind: Any,
        metadata: Mapping[str, Any],
        patch: Document,
        how: PatchType,
        *,
        force: bool,
    ) -> Document:
        where = {"namespace": metadata["namespace"]} if metadata.get("namespace") else {}
        call: Callable[..., Any] = self._client.patch
        try:
            found = await call(
                kind,
                metadata["name"],
                patch,
                **where,
                patch_type=how,
                field_manager=FIELD_MANAGER,
                force=force,
            )
        except httpx2.HTTPError as error:
            raise _refusal(error) from None
        return _document(found)


def _in(resource: Resource, namespace: str | None) -> dict[str, Any]:
    return {"namespace": namespace} if resource.namespaced else {}


def _document(found: Any) -> Document:
    document: Document = found.to_dict()
    return document


def _code(error: Exception) -> int:
    return int(error.response.status_code) if isinstance(error, httpx2.HTTPStatusError) else 0


def _refusal(error: httpx2.HTTPError) -> KubernetesError:
    code = _code(error)
    if not code:
        detail = f"the API server does not answer: {error or type(error).__name__}"
        return KubernetesError(Kind.UNAVAILABLE, "API_SERVER_AWAY", detail)
    reason = str(error.status.reason or "") if isinstance(error, ApiError) else ""
    return KubernetesError(
        _KINDS.get(code, Kind.INTERNAL), f"KUBERNETES_{reason.upper() or code}", str(error)
    )
