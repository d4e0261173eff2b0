"""The wiring of identity."""

from billplane.chassis.app import Route, ServiceApp
from billplane.chassis.events import fact
from billplane.identity.invariants import users_belong_to_a_tenant
from billplane.identity.rest import rest
from billplane.identity.rpc import rpc
from billplane.identity.settings import IdentitySettings
from billplane.protos.identity.v1.events_pb2 import UserRegistered

app = ServiceApp(
    name="identity",
    title="Identity",
    description="Users, tenants, API keys and the keys that sign tokens.",
    settings=IdentitySettings,
    rest=rest,
    rpc=[rpc],
    routes=[
        Route("/auth/register", "login", public=True),
        Route("/auth/login", "login", public=True),
        Route("/auth/refresh", "login", public=True),
        Route("/auth/logout", public=True),
        Route("/auth/me"),
        Route("/auth/api_keys"),
        Route("/.well-known/jwks.json", "none", public=True),
    ],
    messages=[fact(UserRegistered, "user")],
    invariants=[users_belong_to_a_tenant],
    kept_rest_ports=[8081],
    finders=[
        "find_user",
        "find_key",
        "find_refresh_token",
        "find_staff",
        "list_staff",
        "find_home",
    ],
)
