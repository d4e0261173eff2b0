"""Settings of subscription."""

from pydantic import Field

from billplane.chassis.settings import Settings


class SubscriptionSettings(Settings):
    """What subscription reads beside the shared settings."""

    billing_grace_seconds: int = Field(default=3600, ge=0)
    """How long after its end a period waits for late usage before it is billed by itself."""
    billing_parallel: int = Field(default=4, ge=1, le=64)
    """How many subscriptions one process bills at once."""
    billing_lease_seconds: int = Field(default=20, ge=1)
    """How long a subscription is one process's to bill before another may take it up."""
    automatic_billing: bool = True
    """False leaves billing to runs that somebody starts."""
