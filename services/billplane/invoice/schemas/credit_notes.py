"""Bodies of credit notes, and of what customers owe."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from billplane.chassis.fields import Integer
from billplane.chassis.rest import Body, Resource
from billplane.invoice.schemas.invoices import Long, Metadata, Tax, Text
from billplane.money import MINOR_MAX

Excess = Literal["credit", "refund", "by_hand"]
Minor = Annotated[Integer, Field(ge=-MINOR_MAX, le=MINOR_MAX)]


class CreditLineBody(Body):
    """What to give back of a line: an amount as its price has it, or all that is left."""

    line_id: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    amount_minor: Minor | None = None


class CreditNoteBody(Body):
    """A credit note to be: some lines, an amount with tax, or all that is left."""

    invoice_id: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    reason: Long = ""
    lines: Annotated[list[CreditLineBody], Field(max_length=1000)] = Field(default_factory=list)
    amount_minor: Annotated[Integer, Field(ge=1, le=MINOR_MAX)] | None = None
    excess: Excess = "credit"
    metadata: Metadata = Field(default_factory=dict)


class CreditLine(Resource):
    """What was given back of one line."""

    id: str
    invoice_line_id: str
    description: str
    net_minor: int
    tax_minor: int


class CreditNote(Resource):
    """What was given back of an invoice: issued once, and never changed."""

    id: str
    number: str
    livemode: bool
    invoice_id: str
    customer_id: str
    currency_code: str
    reason: str
    lines: list[CreditLine]
    taxes: list[Tax]
    net_minor: int
    tax_minor: int
    total_minor: int
    applied_minor: int
    excess_minor: int
    excess: Excess
    issued_on: date
    metadata: dict[str, str]
    created_at: datetime


class CreditNoteList(Resource):
    """A page of credit notes."""

    data: list[CreditNote]
    next_cursor: str | None


class Receivable(Resource):
    """What a customer owes in a currency, by how long it is past due."""

    customer_id: str
    customer_name: Text
    currency_code: str
    invoices: int
    current_minor: int
    days_1_to_30_minor: int
    days_31_to_60_minor: int
    days_61_to_90_minor: int
    days_over_90_minor: int
    total_minor: int


class Owed(Resource):
    """What all customers owe in a currency."""

    currency_code: str
    invoices: int
    current_minor: int
    days_1_to_30_minor: int
    days_31_to_60_minor: int
    days_61_to_90_minor: int
    days_over_90_minor: int
    total_minor: int


class ReceivableList(Resource):
    """A page of what customers owed at the end of a day, and the sums of all of them."""

    as_of: date
    data: list[Receivable]
    totals: list[Owed]
    next_cursor: str | None
