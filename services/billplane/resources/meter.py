"""Meter: which usage events count, and how they add up to a quantity."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from billplane.resources.common import (
    DeletionPolicy,
    Dimension,
    DisplayName,
    Flag,
    Name,
    PropertyPath,
    ResourceModel,
    Spec,
    Text255,
    unique,
)
from billplane.resources.decimal_string import DecimalString
from billplane.resources.errors import Violation

Aggregation = Literal[
    "Sum", "Count", "Max", "Min", "Latest", "UniqueCount", "WeightedSum", "Average"
]


class GroupBy(ResourceModel):
    """A dimension of the meter and the property of an event that holds its value."""

    name: Dimension
    property: PropertyPath


class MeterFilter(ResourceModel):
    """Only events whose property has one of these values."""

    property: PropertyPath
    values: Annotated[tuple[Text255, ...], Field(min_length=1, max_length=100)] = Field(alias="in")

    def check(self, path: str) -> Iterator[Violation]:
        """Yield repeated values."""
        yield from unique(f"{path}.in", "", self.values)


class Threshold(ResourceModel):
    """A quantity within a billing period or a day whose crossing is announced."""

    name: Name
    quantity: DecimalString
    per: Literal["Period", "Day"] = "Period"


class MeterSpec(Spec):
    """What a meter counts.

    Units: quantities in `unit`; `value_property` is where an event's `data` holds the value.
    """

    display_name: DisplayName | None = None
    event_type: Text255
    aggregation: Aggregation
    value_property: PropertyPath | None = None
    group_by: Annotated[tuple[GroupBy, ...], Field(max_length=10)] = ()
    unit: Annotated[Text255, Field(max_length=63)] | None = None
    allow_negative: Flag = False
    filter: Annotated[tuple[MeterFilter, ...], Field(max_length=10)] = ()
    thresholds: Annotated[tuple[Threshold, ...], Field(max_length=20)] = ()
    deletion_policy: DeletionPolicy = "Retain"

    def check(self, path: str) -> Iterator[Violation]:
        """Yield repeated names, and a value property that is missing or never read."""
        yield from unique(f"{path}.groupBy", "name", [item.name for item in self.group_by])
        yield from unique(f"{path}.filter", "property", [item.property for item in self.filter])
        yield from unique(f"{path}.thresholds", "name", [item.name for item in self.thresholds])
        if self.aggregation == "Count" and self.value_property is not None:
            yield Violation(
                f"{path}.valueProperty", "NOT_ALLOWED", "is not read by Count: events count alike"
            )
        if self.aggregation != "Count" and self.value_property is None:
            yield Violation(
                f"{path}.valueProperty", "REQUIRED", f"is required by {self.aggregation}"
            )
