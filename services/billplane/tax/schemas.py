"""REST bodies of tax."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from billplane.chassis.fields import CalendarDate, Flag
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
    county: Text = ""
    city: Text = ""
    postal_code: Text = ""
    tax_type: Literal["consumer", "business"] = "consumer"
    tax_ids: list[TaxIdBody] = Field(default_factory=list, max_length=10)


class LineBody(Body):
    """One amount to tax."""

    line_id: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    amount_minor: Minor
    inclusive: Flag = False
    category: Text = "Standard"
    tax_on: CalendarDate | None = None
    rule_id: Text = Field(default="", description="this rule and no other")
    plan_id: Text = ""
    plan_name: Text = ""


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
    tax_on: str


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
    rule_version: int
    label: str


class TaxIdCheck(Resource):
    """What was found of a tax id; `valid` is null for a type that cannot be checked."""

    type: str
    value: str
    valid: bool | None
    country: str
    reason: str


class Calculation(Resource):
    """A recorded calculation."""

    id: str
    reference: str
    customer_id: str
    country: str
    region: str
    tax_type: str
    tax_ids: list[TaxIdCheck]
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
    """A rule of the tenant; what is empty matches everything.

    Stacked rules add up: one of each level, or of each place where no level is said.
    """

    country: Country
    region: Text = ""
    county: Text = ""
    city: Text = ""
    postal_prefix: Text = ""
    level: Literal["", "country", "state", "county", "city", "district"] = ""
    category: Text = ""
    plan: Text = Field(default="", description="id or name of a plan")
    treatment: Treatment = "STANDARD"
    rate: Rate
    stacked: Flag = False
    customer_id: Text = ""
    tax_type: Literal["", "consumer", "business"] = ""
    valid_from: CalendarDate
    valid_until: CalendarDate | None = None
    label: Text = ""


class RuleVersionBody(Body):
    """The next version of a rule."""

    valid_from: CalendarDate
    rate: Rate
    treatment: Treatment | None = None
    label: Text | None = None


class TaxIdBodyToCheck(Body):
    """A tax id: `eu_vat`, or <country>_<number> such as `gb_vat`, `us_ein`, `au_abn`."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=63)]
    value: Annotated[str, StringConstraints(min_length=1, max_length=63)]


class Rule(Resource):
    """One dated rate; `series` is the id of its first version."""

    id: str
    series: str
    version: int
    origin: str
    country: str
    region: str
    county: str
    city: str
    postal_prefix: str
    level: str
    category: str
    plan: str
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
