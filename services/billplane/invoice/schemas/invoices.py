"""Bodies of invoices."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from billplane.chassis.fields import CalendarDate, CountryOrEmpty, Flag
from billplane.chassis.rest import Body, Resource

Text = Annotated[str, StringConstraints(max_length=255)]
Long = Annotated[str, StringConstraints(max_length=1000)]
State = Literal["draft", "finalizing", "finalized", "paid", "past_due", "uncollectible", "voided"]
Currency = Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
Locale = Literal["en", "de", "fr", "ja"]
Syntax = Literal["cii", "ubl"]
_DECIMAL = r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$"


def _digits(value: Any) -> Any:
    """Accept a whole JSON number where a decimal string is expected."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Decimals = Annotated[
    str,
    StringConstraints(pattern=_DECIMAL),
    BeforeValidator(_digits),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": _DECIMAL}, {"type": "integer"}]}),
]


class AddressBody(Body):
    """A postal address."""

    line1: Text = ""
    line2: Text = ""
    city: Text = ""
    region: Text = ""
    postal_code: Text = ""
    country: CountryOrEmpty = ""


class LineBody(Body):
    """One thing to pay for: quantity times unit amount, rounded half up once."""

    description: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    quantity: Decimals = "1"
    unit_amount: Decimals
    unit: Text = ""
    product_category: Text = ""
    tax_code: Text = ""
    tax_inclusive: Flag = False


Codes = Annotated[list[Text], Field(max_length=20)]
Lines = Annotated[list[LineBody], Field(min_length=1, max_length=1000)]
Metadata = Annotated[dict[Text, Text], Field(max_length=50)]


class InvoiceBody(Body):
    """A one-off invoice to be."""

    customer_id: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    currency_code: Currency
    lines: Lines
    coupon_codes: Codes = Field(default_factory=list)
    due_on: CalendarDate | None = None
    metadata: Metadata = Field(default_factory=dict)


class ChangeBody(Body):
    """What changes in a draft; what is absent stays."""

    lines: Lines | None = None
    coupon_codes: Codes | None = None
    due_on: CalendarDate | None = None
    metadata: Metadata | None = None


class NoteBody(Body):
    """Why, in words for the history."""

    note: Long = ""


class SendBody(Body):
    """Whom to send it to, when not to the customer's address."""

    to: Annotated[str, StringConstraints(max_length=254, pattern=r"^(\S+@\S+)?$")] = ""


class Collected(Resource):
    """What collecting came to."""

    invoice_id: str
    state: str
    payment_intent_id: str | None
    left_minor: int


class Address(Resource):
    """A postal address."""

    line1: str
    line2: str
    city: str
    region: str
    postal_code: str
    country: str


class TaxId(Resource):
    """A tax identification number."""

    type: str
    value: str


class Customer(Resource):
    """The customer as it was when the document was made."""

    customer_id: str
    external_id: str
    name: str
    email: str
    address: Address
    tax_ids: list[TaxId]
    tax_type: str
    user_type: str
    locale: str
    payment_terms_days: int | None


class Line(Resource):
    """One line."""

    id: str
    charge: str
    kind: str
    description: str
    quantity: str
    unit: str
    unit_amount: str
    amount_minor: int
    discount_minor: int
    net_minor: int
    tax_minor: int
    tax_category: str
    tax_inclusive: bool
    tax_rate: str
    tax_on: date | None
    starts_at: datetime | None
    ends_at: datetime | None
    detail: Any


class Discount(Resource):
    """One discount; the application is empty until it was redeemed."""

    code: str
    description: str
    amount_minor: int
    application_id: str


class RefusedCoupon(Resource):
    """A code that does not apply, and why."""

    code: str
    reason: str


class Tax(Resource):
    """One group of tax."""

    label: str
    jurisdiction: str
    category: str
    rate: str
    treatment: str
    base_minor: int
    tax_minor: int


class Conversion(Resource):
    """The rate that turned the plan's currency into the document's."""

    base: str
    quote: str
    rate: str
    rate_id: str
    as_of: str
    source: str


class Invoice(Resource):
    """A document; number and dates come when it is finalized."""

    id: str | None
    number: str | None
    state: State
    livemode: bool
    customer_id: str
    customer: Customer
    subscription_id: str | None
    plan_id: str | None
    period_starts_at: datetime | None
    period_ends_at: datetime | None
    currency_code: str
    lines: list[Line]
    discounts: list[Discount]
    refused_coupons: list[RefusedCoupon]
    taxes: list[Tax]
    subtotal_minor: int
    discount_minor: int
    net_minor: int
    tax_minor: int
    total_minor: int
    paid_minor: int
    credited_minor: int
    returned_minor: int
    due_minor: int
    coupon_codes: list[str]
    issued_on: date | None
    due_on: date | None
    time_zone: str
    conversion: Conversion | None
    notes: list[str]
    metadata: dict[str, str]
    tax_calculation_id: str | None
    created_at: datetime
    finalized_at: datetime | None
    paid_at: datetime | None
    voided_at: datetime | None


class InvoiceList(Resource):
    """A page of documents."""

    data: list[Invoice]
    next_cursor: str | None


class Change(Resource):
    """One change of state or amount: when, from what to what, and what caused it."""

    id: str
    at: datetime
    from_state: str | None = Field(serialization_alias="from")
    to_state: str = Field(serialization_alias="to")
    total_minor: int
    cause: str
    note: str
    tax_calculation_id: str | None
    discount_application_ids: list[str]


class ChangeList(Resource):
    """A page of history."""

    data: list[Change]
    next_cursor: str | None
