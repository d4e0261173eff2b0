"""REST bodies of tax."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from billplane.chassis.fields import CalendarDate
from billplane.chassis.rest import Body, Resource

Country = Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")]
Rate = Annotated[str, StringConstraints(pattern=r"^(0|0\.[0-9]{1,8}|1(\.0{1,8})?)$")]
Text = Annotated[str, StringConstraints(max_length=255)]
Treatment = Literal["STANDARD", "REDUCED", "ZERO", "EXEMPT"]
Minor = Annotated[int, Field(ge=-(2**53) + 1, le=2**53 - 1, strict=True)]


class TaxIdBody(Body):
    """A tax identification number."""

    type: Text = "eu_vat"
    value: Text


class CustomerBody(Body):
    """Who buys, as far as tax asks."""

    customer_id: Text = ""
    country: Country | Literal[""] = ""
    region: Text = ""
    postal_code: Text = ""
    tax_type: Literal["consumer", "business"] = "consumer"
    tax_ids: list[TaxIdBody] = Field(default_factory=list, max_length=10)


class LineBody(Body):
    """One amount to tax."""

    line_id: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    amount_minor: Minor
    inclusive: bool = False
    category: Text = "Standard"
    tax_on: CalendarDate | None = None
    rule_id: Text = ""


class CalculationBody(Body):
    """Lines of one customer in one currency."""

    customer: CustomerBody
    currency_code: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")]
    lines: list[LineBody] = Field(min_length=1, max_length=1000)
    reference: Text = ""


class TaxedLine(Resource):
    """One line after tax."""

    line_id: str
    net_minor: int
    tax_minor: int
    group_keys: list[str]


class TaxGroup(Resource):
    """Everything taxed alike."""

    key: str
    jurisdiction: str
    category: str
    treatment: str
    rate: str
    base_minor: int
    tax_minor: int
    exact_tax: str
    rule_id: str
    label: str


class Calculation(Resource):
    """A recorded calculation."""

    id: str
    reference: str
    currency_code: str
    net_minor: int
    tax_minor: int
    total_minor: int
    lines: list[TaxedLine]
    groups: list[TaxGroup]
    notes: list[str]
    created_at: datetime


class CalculationList(Resource):
    """A page of calculations."""

    data: list[Calculation]
    next_cursor: str | None


class RuleBody(Body):
    """A rule of the tenant."""

    country: Country
    region: Text = ""
    postal_prefix: Text = ""
    category: Text = ""
    treatment: Treatment = "STANDARD"
    rate: Rate
    stacked: bool = False
    customer_id: Text = ""
    tax_type: Literal["", "consumer", "business"] = ""
    valid_from: CalendarDate
    valid_until: CalendarDate | None = None
    label: Text = ""


class Rule(Resource):
    """One dated rate."""

    id: str
    origin: str
    country: str
    region: str
    postal_prefix: str
    category: str
    treatment: str
    rate: str
    stacked: bool
    customer_id: str
    tax_type: str
    valid_from: date
    valid_until: date | None
    label: str
    source: str


class RuleList(Resource):
    """A page of rules."""

    data: list[Rule]
    next_cursor: str | None


class SettingsBody(Body):
    """Where the tenant is established."""

    country: Country


class TaxSettings(Resource):
    """Where the tenant is established; empty = not said."""

    country: str
