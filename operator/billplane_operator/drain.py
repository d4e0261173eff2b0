"""Takes our finalizer off every resource, so that nothing hangs once the operator is gone.

Called before an uninstall. The operator is told by its Lease to add finalizers no more; it has the
time that is given to clean up after resources that are being deleted. What is left then loses its
finalizer, and what services hold of it stays.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from billplane.chassis import logging
from billplane.chassis.errors import Kind

from billplane_operator.cluster import (
    CUSTOM,
    LEASES,
    Cluster,
    Document,
    KubernetesError,
    Resource,
)
from billplane_operator.lease import DRAINING
from billplane_operator.settings import OperatorSettings

_log = logging.get("operator")

FINALIZER: Final = "billplane.io/operator"
_LOOK_SECONDS: Final = 1.0


async def drain(cluster: Cluster, settings: OperatorSettings, seconds: float) -> int:
    """Take the finalizer off everything; return how many were not cleaned up after.

    Raises: KubernetesError.
    """
    namespaces = settings.namespaces
    await _tell_operator(cluster, settings)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = await _with_finalizer(cluster, namespaces)
        if not any(is_deleted(item) for _, item in found):
            break
        await asyncio.sleep(_LOOK_SECONDS)
    left = 0
    for resource, item in await _with_finalizer(cluster, namespaces):
        left += is_deleted(item)
        await _release(cluster, resource, item)
    _log.info("finalizers_drained", not_cleaned_up=left)
    return left


def is_deleted(document: Document) -> bool:
    """Tell whether somebody deleted an object that finalizers still hold."""
    return bool((document.get("metadata") or {}).get("deletionTimestamp"))


def without_finalizer(document: Document) -> dict[str, Any]:
    """Return the patch that takes our finalizer off the version that was read."""
    metadata = document["metadata"]
    kept = [name for name in metadata.get("finalizers") or () if name != FINALIZER]
    return {"metadata": {"finalizers": kept, "resourceVersion": metadata["resourceVersion"]}}


async def _tell_operator(cluster: Cluster, settings: OperatorSettings) -> None:
    """Mark the Lease, and wait until its holder has renewed it: it has read the mark then."""
    namespace = settings.lease_namespace or cluster.namespace
    found = await cluster.get(LEASES, namespace, settings.lease_name)
    if found is None:
        return
    mark = {"metadata": {"annotations": {DRAINING: "true"}}}
    marked = await cluster.merge(LEASES, namespace, settings.lease_name, mark)
    seconds = float(marked["spec"].get("leaseDurationSeconds", 0))
    deadline = time.monotonic() + seconds
    while marked["spec"].get("holderIdentity") and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_SECONDS)
        found = await cluster.get(LEASES, namespace, settings.lease_name)
        if found is None or found["spec"].get("renewTime") != marked["spec"].get("renewTime"):
            return


async def _with_finalizer(
    cluster: Cluster, namespaces: Sequence[str]
) -> list[tuple[Resource, Document]]:
    found: list[tuple[Resource, Document]] = []
    places: Sequence[str | None] = namespaces or [None]
    for resource in CUSTOM.values():
        for namespace in places:
            found.extend((resource, item) for item in await _held(cluster, resource, namespace))
    return found


async def _held(cluster: Cluster, resource: Resource, namespace: str | None) -> list[Document]:
    try:
        items, _ = await cluster.list(resource, namespace)
    except KubernetesError as error:
        if error.kind is Kind.NOT_FOUND:  # the kind itself is gone
            return []
        raise
    return [item for item in items if FINALIZER in (item["metadata"].get("finalizers") or ())]


async def _release(cluster: Cluster, resource: Resource, item: Document) -> None:
    """Take the finalizer off, however often somebody else writes meanwhile."""
    namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
    found: Document | None = item
    while found is not None and FINALIZER in (found["metadata"].get("finalizers") or ()):
        try:
            await cluster.merge(resource, namespace, name, without_finalizer(found))
            return
        except KubernetesError as error:
            if error.kind not in (Kind.ABORTED, Kind.NOT_FOUND):
                raise
        found = await cluster.get(resource, namespace, name)
