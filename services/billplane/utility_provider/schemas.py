"""REST bodies of utility_provider."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import StringConstraints

from billplane.chassis.applied.bodies import SpecBody, SpecPatch
from billplane.chassis.rest import Resource
from billplane.resources.utility_provider import Category
from billplane.utility_provider.domain import Reachability

Country = Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")]
Region = Annotated[str, StringConstraints(min_length=1, max_length=255)]

__all__ = ["Category", "Country", "Region"]


class ProviderBody(SpecBody):
    """A provider by the API; `spec` as in the resource."""


class ProviderPatch(SpecPatch):
    """A merge patch of a provider's spec (RFC 7396)."""


class Provider(Resource):
    """A utility; `endpoint` is the base address that is asked, null while there is none."""

    id: str
    name: str
    origin: str
    version: int
    spec_hash: str
    spec: dict[str, Any]
    endpoint: str | None
    reachability: Reachability
    last_probe_at: datetime | None
    last_success_at: datetime | None
    last_error: str
    created_at: datetime


class ProviderList(Resource):
    """A page of providers."""

    data: list[Provider]
    next_cursor: str | None


class Probed(Resource):
    """A provider after a probe; `probed` is false where the limits allowed none yet."""

    provider: Provider
    probed: bool
