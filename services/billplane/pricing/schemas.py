"""REST bodies of pricing."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from billplane.chassis.applied.bodies import Name, SpecBody, SpecPatch
from billplane.chassis.fields import Integer
from billplane.chassis.rest import Body, Resource

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
    at: datetime | None = None
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
