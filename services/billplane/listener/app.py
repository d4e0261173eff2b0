"""The wiring of the listener."""

from billplane.chassis import logging
from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.runtime import Runtime
from billplane.listener.consumers import consumers
from billplane.listener.invariants import audit_log_is_an_unbroken_chain
from billplane.listener.rest import rest
from billplane.listener.rpc import rpc
from billplane.listener.service.mirrors import MIRRORS, enabled
from billplane.listener.settings import ListenerSettings

_log = logging.get("listener")


async def say_mirrors(runtime: Runtime) -> None:
    """Say once whether facts are copied for programs outside."""
    settings = runtime.settings
    on = isinstance(settings, ListenerSettings) and enabled(settings)
    if on:
        _log.info("mirrors_on", count=len(MIRRORS))
    else:
        _log.info("mirrors_off", reason="switched off, or neither RabbitMQ nor Kafka is set")


app = ServiceApp(
    name="listener",
    title="Listener",
    description="Reactions to what happens, the audit log, copies of facts for programs outside.",
    settings=ListenerSettings,
    rest=rest,
    rpc=[rpc],
    routes=[Route("/v1/reactions"), Route("/v1/dead_letters"), Route("/v1/audit_entries")],
    consumers=consumers,
    invariants=[audit_log_is_an_unbroken_chain],
    start=say_mirrors,
    mirrors=[
        destination
        for mirror in MIRRORS.values()
        for destination in mirror.destinations(rabbitmq=True, kafka=True)
    ],
)
