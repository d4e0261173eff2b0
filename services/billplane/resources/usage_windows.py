"""The usage that each charge of a plan is rated from: how finely cut, by what, and where.

Pricing, metering and subscription read it alike, so that the one asks for what the other expects.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from billplane.resources import charge_models as models
from billplane.resources.billing_plan import BillingPlanSpec, Usage

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class Window(StrEnum):
    """How finely usage is cut."""

    PERIOD = "PERIOD"
    HOUR = "HOUR"
    QUARTER_HOUR = "QUARTER_HOUR"
    EVENT = "EVENT"


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """The usage that one charge is rated from.

    Shape: rows have one dimension value per entry of `group_by`, in its order, and one property
        per entry of `event_properties`.
    """

    charge: str
    meter: str
    window: Window
    time_zone: str
    group_by: tuple[str, ...]
    filter: tuple[tuple[str, tuple[str, ...]], ...]
    event_properties: tuple[str, ...]


def usage_queries(
    spec: BillingPlanSpec, *, starts_at: datetime, ends_at: datetime
) -> list[UsageQuery]:
    """Return the usage that a plan's charges are rated from in a period.

    Shape: one per usage charge, in the plan's order.
    """
    return [
        UsageQuery(
            charge=charge.name,
            meter=charge.usage.meter,
            window=_window(charge.usage.model.chosen, starts_at, ends_at),
            time_zone=getattr(charge.usage.model.chosen, "time_zone", spec.interval.time_zone),
            group_by=dimensions_of(charge.usage),
            filter=tuple((item.property, item.values) for item in charge.usage.filter),
            event_properties=properties_of(charge.usage),
        )
        for charge in spec.charges
        if charge.usage is not None
    ]


def dimensions_of(usage: Usage) -> tuple[str, ...]:
    """Return the dimensions that a charge's usage rows have: those of its lines, then of prices."""
    matrix = usage.model.matrix
    by_price = () if matrix is None else matrix.dimensions
    return (*usage.group_by, *(name for name in by_price if name not in usage.group_by))


def properties_of(usage: Usage) -> tuple[str, ...]:
    """Return the event properties that a charge's usage rows carry."""
    dynamic = usage.model.dynamic
    return () if dynamic is None else (dynamic.amount_property,)


def _window(model: object, starts_at: datetime, ends_at: datetime) -> Window:
    match model:
        case models.TimeOfUse():
            whole = _has_whole_hours(ZoneInfo(model.time_zone), starts_at, ends_at)
            return Window.HOUR if whole else Window.QUARTER_HOUR
        case models.Demand():
            return Window.QUARTER_HOUR
        case models.Percentage() | models.GraduatedPercentage() | models.Dynamic():
            return Window.EVENT
        case _:
            return Window.PERIOD


def _has_whole_hours(zone: ZoneInfo, starts_at: datetime, ends_at: datetime) -> bool:
    """Tell whether local hours begin with UTC hours on every day of the period."""
    at = starts_at
    while at < ends_at + _DAY:
        offset = at.astimezone(zone).utcoffset()
        if offset is None or offset % _HOUR:
            return False
        at += _DAY
    return True
