"""REST bodies of subscription."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from billplane.chassis.fields import CountryOrEmpty, Flag, Instant, Integer
from billplane.chassis.rest import Body, Resource
from billplane.money import MINOR_MAX, CurrencyCode
from billplane.resources.common import Currency, TimeZone

Text = Annotated[str, StringConstraints(max_length=255)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Metadata = Annotated[dict[Text, Text], Field(max_length=50)]
Code = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def _printable(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("must not contain control characters")
    return text


Identifier = Annotated[
    str, StringConstraints(min_length=1, max_length=255), AfterValidator(_printable)
]
Days = Annotated[Integer, Field(ge=0, le=365)]


class Address(Body):
    """A postal address."""

    line1: Text = ""
    line2: Text = ""
    city: Text = ""
    region: Text = ""
    postal_code: Text = ""
    country: CountryOrEmpty = ""


class TaxId(Body):
    """A tax identification number."""

    type: Text = "eu_vat"
    value: Text


class CustomerBody(Body):
    """A customer to be."""

    name: Name
    external_id: Identifier | None = None
    email: Text = ""
    address: Address = Field(default_factory=Address)
    tax_ids: list[TaxId] = Field(default_factory=list, max_length=10)
    tax_type: Literal["consumer", "business"] = "consumer"
    user_type: Text = ""
    currency_code: Currency = CurrencyCode("EUR")
    locale: Literal["en", "de", "fr", "ja"] = "en"
    payment_terms_days: Days = 14
    time_zone: TimeZone = "Etc/UTC"
    test_clock_id: Text | None = None
    metadata: Metadata = Field(default_factory=dict)


class CustomerPatch(Body):
    """Fields to change; what is absent stays."""

    name: Name | None = None
    external_id: Identifier | None = None
    email: Text | None = None
    address: Address | None = None
    tax_ids: Annotated[list[TaxId], Field(max_length=10)] | None = None
    tax_type: Literal["consumer", "business"] | None = None
    user_type: Text | None = None
    currency_code: Currency | None = None
    locale: Literal["en", "de", "fr", "ja"] | None = None
    payment_terms_days: Days | None = None
    time_zone: TimeZone | None = None
    metadata: Metadata | None = None


class Customer(Resource):
    """Who is billed."""

    id: str
    external_id: str | None
    livemode: bool
    name: str
    email: str
    address: dict[str, Any]
    tax_ids: list[Any]
    tax_type: str
    user_type: str
    currency_code: str
    locale: str
    payment_terms_days: int
    time_zone: str
    test_clock_id: str | None
    metadata: dict[str, Any]
    created_at: datetime


class CustomerList(Resource):
    """A page of customers."""

    data: list[Customer]
    next_cursor: str | None


class SubscriptionBody(Body):
    """A subscription to be; `plan` by id or name, `customer_id` by id or external_id."""

    customer_id: Identifier
    plan: Identifier
    starts_at: Instant | None = None
    coupon_codes: list[Code] = Field(default_factory=list, max_length=10)
    metadata: Metadata = Field(default_factory=dict)


class CancelBody(Body):
    """How to end a subscription."""

    at_period_end: Flag = True
    proration: Literal["create", "none"] = "none"


class PendingPlan(Resource):
    """A version of a plan that a subscription moves to."""

    plan_id: str
    plan_name: str
    plan_version: int


class DatedVersion(Resource):
    """A version of its plan that a subscription takes with its first period from an instant on."""

    version: int
    effective_at: datetime


class Subscription(Resource):
    """A customer on a plan."""

    id: str
    livemode: bool
    customer_id: str
    plan_id: str
    plan_name: str
    plan_version: int
    state: str
    starts_at: datetime
    trial_ends_at: datetime | None
    current_period_starts_at: datetime
    current_period_ends_at: datetime
    next_plan: PendingPlan | None
    next_plan_version: int | None
    dated_versions: list[DatedVersion]
    paused_at: datetime | None
    cancel_at: datetime | None
    ended_at: datetime | None
    coupon_codes: list[str]
    metadata: dict[str, Any]
    created_at: datetime


class SubscriptionList(Resource):
    """A page of subscriptions."""

    data: list[Subscription]
    next_cursor: str | None


class RunBody(Body):
    """What to bill; periods that ended by `at`, by default by each customer's now."""

    at: Instant | None = None
    customer_ids: list[Identifier] = Field(default_factory=list, max_length=10_000)
    finalize: Flag = True


class RunError(Resource):
    """A period that could not be billed; it stays due."""

    subscription_id: str
    reason: str
    detail: str


class BillingRun(Resource):
    """One sweep over ended periods."""

    id: str
    livemode: bool
    state: str
    at: datetime | None
    finalize: bool
    automatic: bool
    periods: int
    invoiced: int
    failed: int
    errors: list[RunError]
    created_at: datetime
    finished_at: datetime | None


class BillingRunList(Resource):
    """A page of billing runs."""

    data: list[BillingRun]
    next_cursor: str | None


class ClockBody(Body):
    """A test clock to be."""

    name: Text = ""
    now: Instant


class ClockAdvance(Body):
    """Where a test clock moves to."""

    to: Instant


class TestClock(Resource):
    """Time that moves when it is told to."""

    id: str
    name: str
    now: datetime
    created_at: datetime


class TestClockList(Resource):
    """A page of test clocks."""

    data: list[TestClock]
    next_cursor: str | None


class ChangeBody(Body):
    """Another plan, by id or name; its newest version is taken."""

    plan: Identifier
    at: Literal["now", "period_end"] = "now"
    proration: Literal["create", "none", "always_invoice"] = "create"


class ChangeItem(Resource):
    """What a change credits or charges."""

    kind: str
    charge: str
    description: str
    amount_minor: int
    tax_category: str
    starts_at: datetime
    ends_at: datetime


class ChangePreview(Resource):
    """What a change comes to, before discounts and tax; nothing is stored."""

    plan: PendingPlan
    at: str
    proration: str
    effective_at: datetime
    currency_code: str
    items: list[ChangeItem]
    credit_minor: int
    charge_minor: int
    total_minor: int
    billed: Literal["now", "next_invoice", "never"]
    period_starts_at: datetime
    period_ends_at: datetime


class PauseBody(Body):
    """How to stop a subscription."""

    proration: Literal["create", "none"] = "create"


class InvoiceItemBody(Body):
    """An amount for a customer's next invoice; below zero it is a credit."""

    customer_id: Identifier | None = None
    subscription_id: Identifier | None = None
    description: Name
    amount_minor: Annotated[Integer, Field(ge=-MINOR_MAX, le=MINOR_MAX)]
    currency_code: Currency | None = None
    quantity: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$")] = "1"
    tax_category: Text = ""
    metadata: Metadata = Field(default_factory=dict)


class InvoiceItem(Resource):
    """An amount before discounts and tax that is on an invoice or waits for one."""

    id: str
    livemode: bool
    customer_id: str
    subscription_id: str | None
    kind: str
    charge: str
    description: str
    quantity: str
    amount_minor: int
    currency_code: str
    tax_category: str
    starts_at: datetime
    ends_at: datetime
    invoice_id: str | None
    metadata: dict[str, Any]
    created_at: datetime


class InvoiceItemList(Resource):
    """A page of items."""

    data: list[InvoiceItem]
    next_cursor: str | None


class PlanChangeBody(Body):
    """A spec, as in the resource, to compare with what a plan's subscribers pay now."""

    plan: Identifier
    spec: dict[str, Any]
    periods: Annotated[Integer, Field(ge=1, le=24)] = 1


class CustomerDifference(Resource):
    """What changes for one customer."""

    customer_id: str
    external_id: str | None
    name: str
    old_minor: int
    new_minor: int


class PlanChangePreview(Resource):
    """Sums over the same billed usage, in the plan's currency, before discounts and tax."""

    plan_id: str
    plan_version: int
    spec_hash: str
    currency_code: str
    periods: int
    active_subscriptions: int
    customers: int
    up: int
    down: int
    same: int
    old_total_minor: int
    new_total_minor: int
    partial: bool
    examples: list[CustomerDifference]
