"""REST bodies of pricing."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from billplane.chassis.applied.bodies import Name, SpecBody, SpecPatch
from billplane.chassis.fields import Instant, Integer
from billplane.chassis.rest import Body, Resource
from billplane.resources.common import OBJECT_KEY_PATTERN, OBJECT_NAME_PATTERN

Text = Annotated[str, StringConstraints(max_length=255)]
Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]


class PlanBody(SpecBody):
    """A plan by the API; `spec` as in the resource BillingPlan."""


class PlanPatch(SpecPatch):
    """A merge patch of a plan's spec (RFC 7396)."""


class Plan(Resource):
    """One version of a plan; `created_at` is the version's."""

    id: str
    name: str
    origin: str
    state: str
    version: int
    spec_hash: str
    spec: dict[str, Any]
    created_at: datetime


class PlanList(Resource):
    """A page of plans, or of one plan's versions."""

    data: list[Plan]
    next_cursor: str | None


class QuoteItem(Body):
    """Some quantity of a meter; `dimensions` are what an event of it would say beside."""

    meter: Name
    quantity: Annotated[str, StringConstraints(max_length=40)]
    dimensions: Annotated[dict[Text, Text], Field(default_factory=dict, max_length=50)]


class QuoteBody(Body):
    """What a whole period would cost in which the items are used at an instant."""

    plan: Text = Field(default="", description="id or name; empty = the default plan")
    version: Annotated[Integer, Field(ge=0, le=2**31 - 1)] = 0
    currency_code: Currency | None = None
    customer_id: Text = Field(default="", description="whose plan and currency count")
    at: Instant | None = None
    items: Annotated[list[QuoteItem], Field(default_factory=list, max_length=1000)]


class QuoteLine(Resource):
    """One line before discounts and tax.

    `exact_amount`, `unit_amount` and `quantity` are shown with at most 20 fractional digits;
    `amount_minor` is rounded, half up, from the exact amount itself.
    """

    charge: str
    kind: str
    description: str
    quantity: str
    unit: str
    unit_amount: str | None
    exact_amount: str
    amount_minor: int
    tax_category: str | None
    detail: dict[str, Any]
    starts_at: datetime
    ends_at: datetime


class QuotePlan(Resource):
    """The version that was quoted."""

    id: str
    name: str
    version: int


class QuoteRate(Resource):
    """Units of the quote's currency for one unit of the plan's."""

    rate: str
    rate_id: str
    as_of: str
    stale: bool


class Quote(Resource):
    """Lines before discounts and tax; nothing is stored."""

    plan: QuotePlan
    currency_code: str
    starts_at: datetime
    ends_at: datetime
    lines: list[QuoteLine]
    total_minor: int
    exact_amount: str
    rate: QuoteRate | None


class Price(Resource):
    """One charge of one version of a plan; `model` is `recurring` for a fee."""

    id: str
    plan_id: str
    plan_name: str
    version: int
    charge: str
    meter: str | None
    model: str
    currency_code: str
    spec: dict[str, Any]
    created_at: datetime


class PriceList(Resource):
    """A page of prices."""

    data: list[Price]
    next_cursor: str | None


class PriceQuestion(Body):
    """Some quantity of one meter on a plan, or of one price."""

    price: Text = Field(default="", description="id of a price, instead of plan and meter")
    plan: Text = Field(default="", description="id or name; empty = the customer's, the default")
    version: Annotated[Integer, Field(ge=0, le=2**31 - 1)] = 0
    meter: Text = Field(default="", description="empty = fees only")
    quantity: Annotated[str, StringConstraints(max_length=40)] = ""
    dimensions: Annotated[dict[Text, Text], Field(default_factory=dict, max_length=50)]
    at: Instant | None = None
    customer_id: Text = ""
    currency_code: Currency | None = None


class PriceAnswer(Resource):
    """What it costs, before discounts and tax; nothing is stored."""

    plan: QuotePlan
    currency_code: str
    lines: list[QuoteLine]
    total_minor: int
    exact_amount: str
    price_version: int
    rate: QuoteRate | None


class SecretBody(Body):
    """A bearer token that plans name by secretRef."""

    name: Annotated[str, StringConstraints(pattern=OBJECT_NAME_PATTERN, max_length=253)]
    key: Annotated[str, StringConstraints(pattern=OBJECT_KEY_PATTERN, max_length=253)]
    value: Annotated[str, StringConstraints(pattern="^[!-~]{1,4096}$")]


class ExternalPrice(Resource):
    """What an external source was asked and answered."""

    id: str
    plan_id: str
    charge: str
    customer_id: str
    asked: dict[str, Any]
    answered: dict[str, Any]
    amount: str | None
    unit_amount: str | None
    currency_code: str
    fetched_at: datetime


class ExternalPriceList(Resource):
    """A page of answers."""

    data: list[ExternalPrice]
    next_cursor: str | None
