"""Settings of the gateway."""

from billplane.chassis.settings import Settings


class GatewaySettings(Settings):
    """What the gateway reads beside the shared settings."""

    demo_tenant: str = ""
    """Tenant that calls without credential act as on the demo paths; empty = nobody."""
    reads_per_second: int = 100
    """Reads a tenant may make a second; ten seconds' worth may come at once."""
    writes_per_second: int = 50
    """Writes a tenant may make a second; ten seconds' worth may come at once."""
    usage_events_per_second: int = 20_000
    """Usage events a tenant may send a second; five seconds' worth may come at once."""
    logins_per_minute: int = 60
    """Calls to register, log in and refresh that one address may make a minute."""
    upstream_timeout_seconds: float = 30
    """How long a service in another process may take to answer."""
    upstream_port: int = 8080
    """REST port of services in other processes."""
    cors_origins: tuple[str, ...] = ()
    """Web origins whose pages may call the API; `*` = all."""
