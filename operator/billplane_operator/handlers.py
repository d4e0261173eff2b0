"""What is watched, on one screen: the only module that knows Kopf.

Kopf keeps the watches alive and tells each event; what becomes of it is decided by reconciling.
Finalizers, status and back-off are ours, so Kopf writes nothing to any object.
"""

import asyncio
import logging as standard_logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import kopf
from billplane.chassis import logging

from billplane_operator.cluster import CUSTOM, REQUEST_SECONDS, Document
from billplane_operator.settings import OperatorSettings

_log = logging.get("kopf")

Tell = Callable[[Document, bool], Awaitable[None]]


class Structured(standard_logging.Handler):
    """Writes what Kopf logs as every other line is written."""

    def emit(self, record: standard_logging.LogRecord) -> None:
        """Write one line; a trace goes along where there is one."""
        write = _log.error if record.levelno >= standard_logging.ERROR else _log.warning
        write("watch", logger=record.name, message=record.getMessage(), exc_info=record.exc_info)


def take_over_logs() -> None:
    """Have warnings and errors of Kopf written by our logging."""
    logger = standard_logging.getLogger("kopf")
    logger.handlers = [Structured(level=standard_logging.WARNING)]
    logger.propagate = False


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


async def watch(
    tell: Tell, settings: OperatorSettings, identity: str
) -> Collection["asyncio.Task[Any]"]:
    """Start watching; return the tasks that do, none of which ends by itself.

    `identity` is a name for Kopf, whose own choice asks for the user's: a container may have none.
    """
    take_over_logs()
    who: Any = identity
    return await kopf.spawn_tasks(
        registry=registry(tell),
        settings=watch_settings(settings),
        standalone=True,
        clusterwide=not settings.namespaces,
        namespaces=settings.namespaces,
        identity=who,
    )


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
