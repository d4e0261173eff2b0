"""Settings of utility_provider."""

from pydantic import Field

from billplane.chassis.settings import Settings


class UtilityProviderSettings(Settings):
    """What utility_provider reads beside the shared settings."""

    probe_timeout_seconds_max: float = Field(default=30, gt=0, le=300)
    """Longest wait for the answer to a probe, in seconds, whatever a provider's limits say."""
