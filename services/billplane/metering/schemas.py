"""REST bodies of metering."""

from datetime import datetime
from typing import Any, Literal

from billplane.chassis.applied.bodies import SpecBody, SpecPatch
from billplane.chassis.rest import Body, Resource


class MeterBody(SpecBody):
    """A meter by the API; `spec` as in the resource."""


class MeterPatch(SpecPatch):
    """A merge patch of a meter's spec (RFC 7396)."""


class Meter(Resource):
    """What is counted and how."""

    id: str
    name: str
    origin: str
    version: int
    spec_hash: str
    spec: dict[str, Any]
    created_at: datetime


class MeterList(Resource):
    """A page of meters."""

    data: list[Meter]
    next_cursor: str | None


class Usage(Resource):
    """One quantity; `seconds` is the length of its window.

    A single event (window `event`) has its source and id, and no length.
    """

    dimensions: dict[str, str]
    starts_at: datetime
    seconds: int
    quantity: str
    event_count: int
    source: str | None = None
    id: str | None = None


class UsageList(Resource):
    """A page of usage by start, then dimensions."""

    meter: str
    aggregation: str
    data: list[Usage]
    next_cursor: str | None


class Conflict(Resource):
    """An event whose id had been used for other content; the first one stands."""

    source: str
    id: str
    type: str
    subject: str
    time: datetime
    data: dict[str, Any]
    quantity: str | None
    received_at: datetime


class ConflictList(Resource):
    """A page of conflicts."""

    data: list[Conflict]
    next_cursor: str | None


class VoidBody(Body):
    """Names the event that was sent in error."""

    source: str
    id: str
    reason: str = ""


class CorrectionBody(Body):
    """Names an event and says what counts instead: a quantity, data, or both.

    `quantity` is a number or a decimal string and stands for every meter that counts the event.
    """

    source: str
    id: str
    quantity: int | float | str | None = None
    data: dict[str, Any] | None = None
    reason: str = ""


class Adjustment(Resource):
    """A void or a correction of a stored event.

    `data_before` and `quantity_before` are what the event said until then, `data` and `quantity`
    what a correction put in their place; a quantity is there where one came beside the data.
    """

    id: str
    kind: Literal["void", "correction"]
    source: str
    event_id: str
    type: str
    subject: str
    time: datetime
    data_before: dict[str, Any]
    quantity_before: str | None
    data: dict[str, Any] | None
    quantity: str | None
    reason: str
    actor: str
    created_at: datetime


class AdjustmentList(Resource):
    """A page of adjustments."""

    data: list[Adjustment]
    next_cursor: str | None


class Unattributed(Resource):
    """A subject of usage that is no customer's name."""

    subject: str
    event_count: int
    first_at: datetime
    last_at: datetime


class UnattributedList(Resource):
    """A page of subjects without a customer, by when they were first seen."""

    data: list[Unattributed]
    next_cursor: str | None


class Period(Resource):
    """A half-open period."""

    starts_at: datetime
    ends_at: datetime


class PlanReference(Resource):
    """A version of a plan."""

    id: str
    version: int


class EstimateLine(Resource):
    """One charge so far."""

    resource_type: str
    quantity: str
    description: str
    amount_minor: int


class Estimate(Resource):
    """The open period so far."""

    customer_id: str
    currency_code: str
    period: Period
    plan: PlanReference
    lines: list[EstimateLine]
    subtotal_minor: int
    discount_minor: int
    tax_minor: int
    total_minor: int
    estimated: bool
    calculated_at: datetime
