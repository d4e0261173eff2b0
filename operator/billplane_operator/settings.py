"""Settings of the operator."""

from billplane.chassis.settings import Settings


class OperatorSettings(Settings):
    """What the operator reads beside the shared settings."""

    services_address: str = ""
    """Where services answer gRPC; `{service}` stands for the name. Empty = all on this machine."""
    compare_seconds: float = 10
    """How often what the services run is compared with what was applied, in seconds."""
    workers: int = 4
    """How many resources are reconciled at once."""
    backoff_max_seconds: float = 20
    """Longest wait before a resource that failed is tried again, in seconds."""
    namespaces: tuple[str, ...] = ()
    """Namespaces that are looked after; empty = all, which needs a ClusterRole."""
    default_tenant: str = "default"
    """Tenant of a namespace without the label `billplane.io/tenant`."""
    lease_namespace: str = ""
    """Namespace of the operator's Lease; empty = the one it runs in."""
    lease_name: str = "billplane-operator"
    """Name of the operator's Lease; operators of one install share it."""
    standby: bool = False
    """Wait for another operator's Lease to end (two replicas) instead of taking it (one)."""
    lease_seconds: float = 15
    """How long a Lease holds without being renewed, in seconds."""
    resync_seconds: float = 60
    """How often every kind is listed and compared with what was watched, in seconds."""
    stall_seconds: float = 180
    """How long no progress is tolerated before liveness fails, in seconds."""
    watch_seconds: float = 300
    """How long one watch request lasts before it is renewed, in seconds."""
    http_port: int = 8080
    """Port of health and metrics; the shared offset is added."""
    simulator_image: str = ""
    """Image of simulated utilities, which is the platform's own; empty = none are run."""
    simulator_pull_policy: str = "IfNotPresent"
    """When nodes pull that image: Always, IfNotPresent or Never."""
