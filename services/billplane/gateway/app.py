"""The wiring of the gateway."""

from billplane.chassis.app import Route, ServiceApp
from billplane.gateway import stream
from billplane.gateway.edge import Edge, open_edge
from billplane.gateway.settings import GatewaySettings

app = ServiceApp(
    name="gateway",
    title="API",
    description="The one public door: credentials, limits, routing.",
    settings=GatewaySettings,
    front=Edge,
    start=open_edge,
    routes=[Route(stream.PATH)],
    depends_on=["identity", "notification"],
)
