"""UtilityProvider: a utility whose bills customers link, and how to reach it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from billplane.resources.common import (
    Country,
    Currency,
    DeletionPolicy,
    DisplayName,
    Duration,
    Flag,
    ResourceModel,
    Schedule,
    SecretRef,
    Spec,
    Text255,
    TimeZone,
    Url,
    exactly_one,
)
from billplane.resources.decimal_string import DecimalString
from billplane.resources.errors import Violation

Category = Literal["Electricity", "Gas", "Water", "Heat", "Internet", "Telecom", "Waste", "Other"]


class BearerAuth(ResourceModel):
    """A token in the Authorization header."""

    secret_ref: SecretRef


class JsonAuth(ResourceModel):
    """How we identify ourselves to the utility's JSON API."""

    bearer: BearerAuth


class JsonConnection(ResourceModel):
    """The JSON API that docs/reference/provider-json-api describes."""

    base_url: Url = Field(alias="baseURL")
    auth: JsonAuth | None = None


class GreenButtonConnection(ResourceModel):
    """Green Button Connect My Data: OAuth 2 and ESPI documents.

    Source: NAESB REQ.21 ESPI.
    """

    base_url: Url = Field(alias="baseURL")
    authorization_url: Url = Field(alias="authorizationURL")
    token_url: Url = Field(alias="tokenURL")
    client_id: Text255 = Field(alias="clientID")
    client_secret_ref: SecretRef
    scope: Text255 | None = None


class Connection(ResourceModel):
    """Exactly one protocol."""

    json_api: JsonConnection | None = Field(default=None, alias="json")
    green_button: GreenButtonConnection | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation unless there is exactly one protocol."""
        yield from exactly_one(path, {"json": self.json_api, "greenButton": self.green_button})


class Refresh(ResourceModel):
    """When bills are read again, and how long a read one counts as fresh."""

    schedule: Schedule = "0 */6 * * *"
    cache_ttl: Duration = Field(default="15m", alias="cacheTTL")


class Limits(ResourceModel):
    """How hard we may ask the utility."""

    requests_per_second: Annotated[int, Field(strict=True, ge=1, le=1000)] = 5
    burst: Annotated[int, Field(strict=True, ge=1, le=1000)] = 10
    timeout: Duration = "5s"


class Simulator(ResourceModel):
    """A simulated utility beside the provider: deterministic from its seed.

    Units: `error_rate` is the fraction of requests that fail.
    """

    enabled: Flag = False
    accounts: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 100
    seed: Annotated[int, Field(strict=True, ge=0, le=2_147_483_647)] = 0
    latency: Annotated[str, Field(pattern=r"^[0-9]{1,5}(ms|s)$")] = "0ms"
    error_rate: DecimalString = Field(default=Decimal(0))

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation for more failures than requests."""
        if self.error_rate > 1:
            yield Violation(f"{path}.errorRate", "OUT_OF_RANGE", "must not be above 1")


class UtilityProviderSpec(Spec):
    """A utility: what it supplies, where, in which currency, and its connection."""

    display_name: DisplayName | None = None
    category: Category
    country: Country
    region: Text255 | None = None
    currency: Currency
    time_zone: TimeZone
    connection: Connection | None = None
    refresh: Refresh = Field(default_factory=Refresh)
    limits: Limits = Field(default_factory=Limits)
    simulator: Simulator = Field(default_factory=Simulator)
    deletion_policy: DeletionPolicy = "Retain"

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation for a provider that nothing can be asked from."""
        if self.connection is None and not self.simulator.enabled:
            yield Violation(
                f"{path}.connection", "REQUIRED", "is required unless the simulator is enabled"
            )
