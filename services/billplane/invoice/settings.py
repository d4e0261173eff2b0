"""Settings of invoice."""

from pydantic import Field

from billplane.chassis.settings import Settings


class InvoiceSettings(Settings):
    """What invoice reads beside the shared settings."""

    stale_attempt_seconds: float = Field(default=60, ge=0)
    """Age at which an attempt to finalize is taken up by the janitor, in seconds."""
