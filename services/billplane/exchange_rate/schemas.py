"""REST bodies of exchange_rate."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from billplane.chassis.applied.bodies import SpecBody, SpecPatch
from billplane.chassis.fields import CalendarDate, Flag
from billplane.chassis.rest import Body, Resource
from billplane.resources.decimal_string import DecimalString

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


class RateBody(Body):
    """A rate by hand: units of quote for one unit of base, from `as_of` on and before `until`.

    `propose` lets one that deviates too far wait for somebody else's approval.
    """

    base: Currency
    quote: Currency
    rate: DecimalString
    as_of: CalendarDate | None = None
    until: CalendarDate | None = None
    reason: Annotated[str, Field(min_length=1, max_length=1000)]
    propose: Flag = False


class DecisionBody(Body):
    """Why."""

    reason: Annotated[str, Field(max_length=1000)] = ""


class StoredRate(Resource):
    """Units of quote for one unit of base; `feed_id` is `manual` where somebody recorded it.

    `held_back` is true until somebody approves it; `until`, `reason` and `actor` are of rates by
    hand.
    """

    id: str
    feed_id: str
    base: str
    quote: str
    rate: str
    as_of: date
    until: date | None
    held_back: bool
    state: Literal["usable", "held_back", "withdrawn"]
    reason: str | None
    actor: str | None
    approved_by: str | None
    fetched_at: datetime


class RateList(Resource):
    """A page of stored rates."""

    data: list[StoredRate]
    next_cursor: str | None


class ConvertBody(Body):
    """An amount and where to: the tenant's default currency unless told otherwise."""

    amount_minor: Annotated[int, Field(ge=-(2**53) + 1, le=2**53 - 1, strict=True)]
    currency_code: Currency
    to: Currency | None = None
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


class CurrencyBody(Body):
    """What changes of a currency."""

    enabled: Flag | None = None
    default: Flag | None = None


class CurrencyInfo(Resource):
    """One currency of ISO 4217, as the tenant uses it."""

    code: str
    name: str
    minor_units: int
    enabled: bool
    default: bool


class CurrencyList(Resource):
    """Every currency."""

    data: list[CurrencyInfo]
    next_cursor: str | None = None
