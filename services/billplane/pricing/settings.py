"""Settings of pricing."""

from billplane.chassis.settings import Settings


class PricingSettings(Settings):
    """What pricing reads beside the shared settings."""

    rating_threads: int = 2
    """How many periods of many usage rows are rated at once; others wait."""
    price_timeout_seconds: float = 60
    """How long an external price source may take at most, whatever its model says, in seconds."""
