"""What is watched, on one screen: the only module that knows Kopf, with `cluster_run.py`.

Kopf keeps the watches alive and tells each event; what becomes of it is decided by reconciling.
Finalizers, status and back-off are ours, so Kopf writes nothing to any object.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from billplane_operator.cluster import CUSTOM, REQUEST_SECONDS, Document
from billplane_operator.settings import OperatorSettings

Tell = Callable[[Document, bool], Awaitable[None]]


def registry(tell: Tell) -> kopf.OperatorRegistry:
    """Return the handlers of one operator; `tell` gets an object and whether it is deleted."""
    made = kopf.OperatorRegistry()

    @kopf.on.login(registry=made)
    def log_in(**given: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**given) or kopf.login_with_kubeconfig(**given)

    async def heard(event: kopf.RawEvent, **_: Any) -> None:
        await tell(dict(event["object"]), event["type"] == "DELETED")

    for resource in CUSTOM.values():
        kopf.on.event(resource.group, resource.version, resource.plural, registry=made)(heard)
    return made


def watch_settings(settings: OperatorSettings) -> kopf.OperatorSettings:
    """Return how Kopf watches."""
    made = kopf.OperatorSettings()
    made.peering.standalone = True
    made.posting.enabled = False
    made.scanning.disabled = bool(settings.namespaces)
    made.networking.request_timeout = REQUEST_SECONDS
    made.networking.connect_timeout = 10
    made.watching.server_timeout = settings.watch_seconds
    made.watching.reconnect_backoff = 1
    made.queueing.idle_timeout = 1
    made.process.ultimate_exiting_timeout = None
    return made
