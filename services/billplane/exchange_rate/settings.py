"""Settings of exchange_rate."""

from billplane.chassis.settings import Settings


class ExchangeRateSettings(Settings):
    """What exchange_rate reads beside the shared settings."""

    resources_folder: str = ""
    """Folder of applied manifests, from which `csv.file` is read; empty = local files refused."""
    fetch_timeout_seconds: float = 20
    """How long a source may take to answer, in seconds."""
