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
