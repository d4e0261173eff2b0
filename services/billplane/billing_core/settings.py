"""Settings of billing_core."""

from pydantic import Field

from billplane.chassis.settings import Settings


class BillingCoreSettings(Settings):
    """What billing_core reads beside the shared settings."""

    reservation_seconds: int = Field(default=900, ge=1, le=31 * 86_400)
    """How long a reservation holds that says no time of its own, in seconds."""
    stale_operation_seconds: float = Field(default=10, ge=0)
    """Age at which an operation that nobody completed is taken up by the janitor, in seconds."""
    compare_seconds: float = Field(default=3600, ge=1)
    """How often each wallet's balance is compared with its account in the ledger, in seconds."""
