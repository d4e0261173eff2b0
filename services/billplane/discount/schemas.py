"""REST bodies of discount."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from billplane.chassis import ids
from billplane.chassis.fields import Flag, Instant
from billplane.chassis.rest import Body, Resource
from billplane.discount import domain
from billplane.money import MINOR_MAX, CurrencyCode

Text = Annotated[str, StringConstraints(max_length=255)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Percent = Annotated[str, StringConstraints(pattern=r"^(100|[1-9]?[0-9](\.[0-9]{1,6})?)$")]
Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
Positive = Annotated[int, Field(ge=1, le=MINOR_MAX, strict=True)]
Minor = Annotated[int, Field(ge=-MINOR_MAX, le=MINOR_MAX, strict=True)]
Priority = Annotated[int, Field(ge=-(2**31), le=2**31 - 1, strict=True)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Per = Literal["invoice", "period"]
Duration = Literal["once", "repeating", "forever"]
State = Literal["active", "exhausted", "expired", "archived"]


class CouponBody(Body):
    """A coupon to be; what is absent does not limit."""

    code: Code
    name: Text = ""
    percent: Percent | None = None
    amount_minor: Positive | None = None
    currency_code: Currency | None = None
    duration: Duration = "once"
    duration_periods: Annotated[int, Field(ge=1, le=1200, strict=True)] | None = None
    redemptions_max: Positive | None = None
    redemptions_per_customer_max: Positive | None = None
    priority: Priority = 0
    cap_minor: Positive | None = None
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    plans: list[Text] = Field(default_factory=list, max_length=100)
    charges: list[Text] = Field(default_factory=list, max_length=100)
    meters: list[Text] = Field(default_factory=list, max_length=100)
    stackable: Flag = True


class Coupon(Resource):
    """A coupon; `redemptions` counts the customers or subscriptions that hold it."""

    id: str
    code: str
    name: str
    percent: str | None
    amount_minor: int | None
    currency_code: str | None
    duration: Duration
    duration_periods: int | None
    redemptions_max: int | None
    redemptions_per_customer_max: int | None
    redemptions: int
    priority: int
    cap_minor: int | None
    valid_from: datetime | None
    valid_until: datetime | None
    plans: list[str]
    charges: list[str]
    meters: list[str]
    stackable: bool
    state: State
    created_at: datetime


class CouponList(Resource):
    """A page of coupons."""

    data: list[Coupon]
    next_cursor: str | None


class RuleBody(Body):
    """A discount that needs no code: for customers of some types, or from an amount on.

    `minimum_minor` counts the lines that the rule covers, before discounts: of the document, or of
    all of the customer's documents of the period.
    """

    kind: Literal["user_type", "threshold"]
    name: Text = ""
    user_types: Annotated[list[Word], Field(max_length=100)] = Field(default_factory=list)
    minimum_minor: Positive | None = None
    per: Per = "invoice"
    percent: Percent | None = None
    amount_minor: Positive | None = None
    currency_code: Currency | None = None
    cap_minor: Positive | None = None
    priority: Priority = 0
    stackable: Flag = True
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    plans: list[Text] = Field(default_factory=list, max_length=100)
    charges: list[Text] = Field(default_factory=list, max_length=100)
    meters: list[Text] = Field(default_factory=list, max_length=100)


class Rule(Resource):
    """A discount that needs no code."""

    id: str
    kind: str
    name: str
    user_types: list[str]
    minimum_minor: int | None
    per: str
    percent: str | None
    amount_minor: int | None
    currency_code: str | None
    cap_minor: int | None
    priority: int
    stackable: bool
    valid_from: datetime | None
    valid_until: datetime | None
    plans: list[str]
    charges: list[str]
    meters: list[str]
    state: str
    created_at: datetime


class RuleList(Resource):
    """A page of rules."""

    data: list[Rule]
    next_cursor: str | None


class LineBody(Body):
    """A net amount that may be lowered."""

    line_id: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    amount_minor: Minor
    charge: Text = ""
    plan_id: Text = ""
    plan_name: Text = ""
    meter: Text = ""


class CalculationBody(Body):
    """The lines of one document and the codes to try.

    Without `user_type` that of the customer counts. Thresholds by period count over the document's
    period, else over the calendar month of `at` (UTC).
    """

    customer_id: Text = ""
    subscription_id: Text = ""
    user_type: Text = ""
    coupon_codes: list[Text] = Field(default_factory=list, max_length=20)
    lines: list[LineBody] = Field(min_length=1, max_length=1000)
    currency_code: Currency
    at: Instant | None = None
    period_starts_at: Instant | None = None
    period_ends_at: Instant | None = None


class Share(Resource):
    """A discount's part on one line."""

    line_id: str
    amount_minor: int


class Discount(Resource):
    """What one coupon or rule would take off; the other id is null."""

    coupon_id: str | None
    rule_id: str | None
    code: str | None
    description: str
    amount_minor: int
    shares: list[Share]


class Refusal(Resource):
    """A code that does not apply, and why."""

    code: str
    reason: str


class Calculation(Resource):
    """What would apply."""

    applications: list[Discount]
    total_minor: int
    currency_code: str
    refused: list[Refusal]


class Application(Discount):
    """A coupon or rule on a document."""

    id: str
    customer_id: str
    subscription_id: str
    reference: str
    currency_code: str
    created_at: datetime
    reversed_at: datetime | None


class ApplicationList(Resource):
    """A page of the history."""

    data: list[Application]
    next_cursor: str | None


def rule_of(body: RuleBody, now: datetime, currency: CurrencyCode | str) -> domain.Rule:
    """Make a rule of what a caller says."""
    values = body.model_dump(exclude={"percent", "currency_code"})
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return domain.Rule(
        **values | lists,
        id=ids.new("dsr"),
        created_at=now,
        percent=Decimal(body.percent) if body.percent else None,
        currency=currency,
    )
