"""Settings of provider_simulator; the operator sets them from `spec.simulator`."""

from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from billplane.chassis.settings import Settings
from billplane.money import UnknownCurrency, minor_units, parse_currency

Category = Literal["Electricity", "Gas", "Water", "Heat", "Internet", "Telecom", "Waste", "Other"]


def _known_currency(code: str) -> str:
    try:
        minor_units(parse_currency(code))
    except UnknownCurrency as error:
        raise ValueError(str(error)) from None
    return code


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        raise ValueError(f"{name!r} is no IANA time zone") from None
    return name


class ProviderSimulatorSettings(Settings):
    """What provider_simulator reads; of the shared settings it needs only those of its server."""

    accounts: int = Field(default=100, ge=1, le=10_000)
    """Customers that the utility has, beside the well-known ones."""
    seed: int = Field(default=0, ge=0, le=2_147_483_647)
    """Seed that all of its data follow from."""
    latency: str = Field(default="0ms", pattern=r"^[0-9]{1,5}(ms|s)$")
    """Time that every answer takes, such as 40ms or 2s."""
    error_rate: Decimal = Field(default=Decimal(0), ge=0, le=1)
    """Fraction of requests that fail with status 503."""
    requests_per_second: int = Field(default=50, ge=1, le=100_000)
    """Requests a second of one session before it is told to wait with status 429."""
    slow_seconds: float = Field(default=10, ge=0, le=600)
    """How much longer the user `slow@…` waits for each answer, in seconds."""
    session_seconds: int = Field(default=900, ge=1, le=86_400)
    """How long a session lasts, in seconds."""
    category: Category = "Electricity"
    """What the utility supplies, as in the resource."""
    country: str = Field(default="DE", pattern="^[A-Z]{2}$")
    """Country of the utility; decides the tax on its bills."""
    currency: Annotated[str, AfterValidator(_known_currency)] = "EUR"
    """Currency of its bills."""
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "Europe/Berlin"
    """Time zone of its dates."""

    @property
    def latency_seconds(self) -> float:
        """The time that every answer takes, in seconds."""
        if self.latency.endswith("ms"):
            return int(self.latency[:-2]) / 1000
        return int(self.latency[:-1])
