"""Settings of ledger."""

from pydantic import Field

from billplane.chassis.settings import Settings


class LedgerSettings(Settings):
    """What ledger reads beside the shared settings."""

    batch_transfers: int = Field(default=256, ge=1, le=1000)
    """Transactions of several requests that are written by one commit at most."""
    writers: int = Field(default=4, ge=1)
    """Tenants and modes that one process writes at the same time; each takes a connection."""
    transfers_waiting_max: int = Field(default=20_000, ge=1)
    """How many transactions of this process may wait before requests are turned away."""
