"""REST bodies of exchange_rate."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from billplane.chassis.applied.bodies import SpecBody, SpecPatch
from billplane.chassis.fields import CalendarDate
from billplane.chassis.rest import Body, Resource

Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]


class FeedBody(SpecBody):
    """A feed by the API; `spec` as in the resource."""


class FeedPatch(SpecPatch):
    """A merge patch of a feed's spec (RFC 7396)."""


class Feed(Resource):
    """A source of rates."""

    id: str
    name: str
    origin: str
    version: int
    spec_hash: str
    spec: dict[str, Any]
    as_of: date | None
    rate_count: int
    stale: bool
    last_success_at: datetime | None
    next_refresh_at: datetime | None
    last_error: str
    created_at: datetime


class FeedList(Resource):
    """A page of feeds."""

    data: list[Feed]
    next_cursor: str | None


class Refreshed(Resource):
    """A feed after a fetch."""

    feed: Feed
    added: int
    held_back: list[str]


class StoredRate(Resource):
    """Units of quote for one unit of base."""

    id: str
    feed_id: str
    base: str
    quote: str
    rate: str
    as_of: date
    held_back: bool
    fetched_at: datetime


class RateList(Resource):
    """A page of stored rates."""

    data: list[StoredRate]
    next_cursor: str | None


class ConvertBody(Body):
    """An amount and where to."""

    amount_minor: Annotated[int, Field(ge=-(2**53) + 1, le=2**53 - 1, strict=True)]
    currency_code: Currency
    to: Currency
    as_of: CalendarDate | None = None
    rounding: str = "half_up"
    feed: str | None = None


class Rate(Resource):
    """Units of quote for one unit of base, with the stored rates it comes from."""

    base: str
    quote: str
    rate: str
    as_of: date
    rate_ids: list[str]
    stale: bool
    feed: str
    source: str


class Converted(Resource):
    """The amount in the other currency; `exact_amount` in minor units, unrounded."""

    amount_minor: int
    currency_code: str
    exact_amount: str
    rate: Rate


class CurrencyInfo(Resource):
    """One currency of ISO 4217."""

    code: str
    name: str
    minor_units: int


class CurrencyList(Resource):
    """Every currency."""

    data: list[CurrencyInfo]
    next_cursor: str | None = None
