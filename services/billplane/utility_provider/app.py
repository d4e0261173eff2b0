"""The wiring of utility_provider."""

from billplane.chassis.app import Route, ServiceApp
from billplane.utility_provider.rest import rest
from billplane.utility_provider.rpc import rpc
from billplane.utility_provider.settings import UtilityProviderSettings

app = ServiceApp(
    name="utility_provider",
    title="Utility providers",
    description="The registry of utilities: what they supply, how they are reached, if they are.",
    settings=UtilityProviderSettings,
    rest=rest,
    rpc=[rpc],
    routes=[Route("/v1/utility_providers")],
)
