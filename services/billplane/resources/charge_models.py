"""The charge models of a BillingPlan: how a quantity of usage becomes an amount."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import Field

from billplane.resources.common import (
    CalendarDate,
    Dimension,
    DisplayName,
    Duration,
    Flag,
    Name,
    PropertyPath,
    ResourceModel,
    SecretRef,
    Text255,
    TimeZone,
    Url,
    exactly_one,
    unique,
)
from billplane.resources.decimal_string import DecimalString
from billplane.resources.errors import Violation

TIERS_MAX: Final = 100
PERIODS_MAX: Final = 16
CELLS_MAX: Final = 500
HOLIDAYS_MAX: Final = 366

# One row per month, one column per hour of the local day; each entry is an index into `periods`.
Hour = Annotated[int, Field(strict=True, ge=0, le=PERIODS_MAX - 1)]
Month = Annotated[tuple[Hour, ...], Field(min_length=24, max_length=24)]
Grid = Annotated[tuple[Month, ...], Field(min_length=12, max_length=12)]


class Tier(ResourceModel):
    """A price up to and including a quantity; the last tier has no end.

    Units: `unit_amount` per unit of the meter within the tier, `flat_amount` once when the tier is
    reached; a price that is absent is zero.
    """

    up_to: DecimalString | None = None
    unit_amount: DecimalString | None = None
    flat_amount: DecimalString | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation if the tier has no price."""
        if self.unit_amount is None and self.flat_amount is None:
            yield Violation(path, "REQUIRED", "must have unitAmount, flatAmount or both")


class PercentageTier(ResourceModel):
    """A share of the amount up to and including an amount; the last tier has no end.

    Units: `up_to` in the plan's currency, `rate` as a fraction: "0.029" is 2.9 %.
    """

    up_to: DecimalString | None = None
    rate: DecimalString | None = None
    flat_amount: DecimalString | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation if the tier has no price."""
        if self.rate is None and self.flat_amount is None:
            yield Violation(path, "REQUIRED", "must have rate, flatAmount or both")


Tiers = Annotated[tuple[Tier, ...], Field(min_length=1, max_length=TIERS_MAX)]


def tiers_ascend(path: str, ends: Sequence[Decimal | None]) -> Iterator[Violation]:
    """Yield where the ends of tiers do not rise strictly to one open end."""
    previous = Decimal(0)
    last = len(ends) - 1
    for index, end in enumerate(ends):
        field = f"{path}[{index}].upTo"
        if end is None:
            if index != last:
                yield Violation(field, "REQUIRED", "is required on every tier but the last")
        elif index == last:
            yield Violation(field, "LAST_TIER_NOT_OPEN", "must be absent: the last tier is open")
        elif end <= previous:
            yield Violation(
                field, "TIERS_NOT_ASCENDING", f"must be above {previous:f}, the end before it"
            )
        else:
            previous = end


class Flat(ResourceModel):
    """An amount once in a period that has usage."""

    amount: DecimalString


class PerUnit(ResourceModel):
    """An amount for each unit."""

    unit_amount: DecimalString


class Dynamic(ResourceModel):
    """The amount that each event carries itself."""

    amount_property: PropertyPath


class Graduated(ResourceModel):
    """Each tier prices the part of the quantity that falls into it."""

    tiers: Tiers

    def check(self, path: str) -> Iterator[Violation]:
        """Yield where the tiers do not ascend."""
        yield from tiers_ascend(f"{path}.tiers", [tier.up_to for tier in self.tiers])


class Volume(ResourceModel):
    """The tier that the whole quantity reaches prices all of it."""

    tiers: Tiers

    def check(self, path: str) -> Iterator[Violation]:
        """Yield where the tiers do not ascend."""
        yield from tiers_ascend(f"{path}.tiers", [tier.up_to for tier in self.tiers])


class GraduatedPercentage(ResourceModel):
    """Each tier takes its share of the part of the amount that falls into it."""

    tiers: Annotated[tuple[PercentageTier, ...], Field(min_length=1, max_length=TIERS_MAX)]

    def check(self, path: str) -> Iterator[Violation]:
        """Yield where the tiers do not ascend."""
        yield from tiers_ascend(f"{path}.tiers", [tier.up_to for tier in self.tiers])


class Package(ResourceModel):
    """An amount for each started package of units, after the free units."""

    size: DecimalString
    amount: DecimalString
    free_units: DecimalString = Field(default=Decimal(0))

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation for packages that hold nothing."""
        if self.size == 0:
            yield Violation(f"{path}.size", "OUT_OF_RANGE", "must be above zero")


class Overage(ResourceModel):
    """An amount for each unit beyond what is included."""

    unit_amount: DecimalString


class Capacity(ResourceModel):
    """An amount for a reserved quantity, and a price for each unit beyond it."""

    included: DecimalString
    amount: DecimalString
    overage: Overage


class Seats(ResourceModel):
    """An amount for each seat, by default only for the part of the period it existed."""

    unit_amount: DecimalString
    prorate: Flag = True


class Percentage(ResourceModel):
    """A share of the amount of each event, plus a fixed amount, within bounds.

    Units: `rate` as a fraction; the others in the plan's currency, per event.
    """

    rate: DecimalString
    fixed_amount: DecimalString | None = None
    free_events: Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)] = 0
    minimum: DecimalString | None = None
    maximum: DecimalString | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation if the bounds exclude each other."""
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            yield Violation(f"{path}.minimum", "MINIMUM_ABOVE_MAXIMUM", "must not be above maximum")


class Cell(ResourceModel):
    """A price for one combination of dimension values; `*` stands for any value."""

    values: Annotated[tuple[Text255, ...], Field(min_length=1, max_length=2)]
    unit_amount: DecimalString


class CellDefault(ResourceModel):
    """The price where no cell matches."""

    unit_amount: DecimalString


class Matrix(ResourceModel):
    """A price by the values of one or two dimensions."""

    dimensions: Annotated[tuple[Dimension, ...], Field(min_length=1, max_length=2)]
    cells: Annotated[tuple[Cell, ...], Field(min_length=1, max_length=CELLS_MAX)]
    default: CellDefault

    def check(self, path: str) -> Iterator[Violation]:
        """Yield repeated dimensions and cells, and cells of another shape."""
        yield from unique(f"{path}.dimensions", "", self.dimensions)
        yield from unique(f"{path}.cells", "values", [cell.values for cell in self.cells])
        for index, cell in enumerate(self.cells):
            if len(cell.values) != len(self.dimensions):
                yield Violation(
                    f"{path}.cells[{index}].values",
                    "WRONG_LENGTH",
                    f"must have one value for each of {len(self.dimensions)} dimensions",
                )


class TimeOfUsePeriod(ResourceModel):
    """The price of usage in the hours that a grid gives to this period."""

    name: Name
    display_name: DisplayName | None = None
    unit_amount: DecimalString | None = None
    tiers: Tiers | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation unless there is one price or one ascending list of tiers."""
        yield from exactly_one(path, {"unitAmount": self.unit_amount, "tiers": self.tiers})
        if self.tiers is not None:
            yield from tiers_ascend(f"{path}.tiers", [tier.up_to for tier in self.tiers])


def grid_in_periods(path: str, grid: Sequence[Sequence[int]], periods: int) -> Iterator[Violation]:
    """Yield the hours of a grid that name no period."""
    for month, hours in enumerate(grid):
        for hour, period in enumerate(hours):
            if period >= periods:
                yield Violation(
                    f"{path}[{month}][{hour}]",
                    "PERIOD_UNKNOWN",
                    f"must be an index into the {periods} periods, counted from 0",
                )


class TimeOfUse(ResourceModel):
    """A price by the local hour in which usage fell; holidays follow the weekend grid.

    Shape: `weekday` and `weekend` are 12 months of 24 hours, each an index into `periods`.
    """

    time_zone: TimeZone
    periods: Annotated[tuple[TimeOfUsePeriod, ...], Field(min_length=1, max_length=PERIODS_MAX)]
    weekday: Grid
    weekend: Grid
    holidays: Annotated[tuple[CalendarDate, ...], Field(max_length=HOLIDAYS_MAX)] = ()
    tier_scope: Literal["PerPeriod", "MonthProRata", "Chronological"] | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield repeated names and dates, grid entries without a period, tiers without a scope."""
        yield from unique(f"{path}.periods", "name", [period.name for period in self.periods])
        yield from unique(f"{path}.holidays", "", self.holidays)
        yield from grid_in_periods(f"{path}.weekday", self.weekday, len(self.periods))
        yield from grid_in_periods(f"{path}.weekend", self.weekend, len(self.periods))
        if self.tier_scope is None and any(period.tiers for period in self.periods):
            yield Violation(
                f"{path}.tierScope",
                "REQUIRED",
                "is required where a period has tiers: the readings differ in what they charge",
            )


class DemandPeriod(ResourceModel):
    """The price of each unit of the highest demand in the hours given to this period."""

    name: Name
    display_name: DisplayName | None = None
    unit_amount: DecimalString


class Demand(ResourceModel):
    """A price for the highest average over a window within the billing period, by period.

    Windows are those of the wall clock in `time_zone`: an hour's begins on the local hour.

    Shape: grids as in TimeOfUse.
    """

    time_zone: TimeZone
    window: Literal["15m", "30m", "60m"] = "15m"
    periods: Annotated[tuple[DemandPeriod, ...], Field(min_length=1, max_length=PERIODS_MAX)]
    weekday: Grid
    weekend: Grid
    holidays: Annotated[tuple[CalendarDate, ...], Field(max_length=HOLIDAYS_MAX)] = ()

    def check(self, path: str) -> Iterator[Violation]:
        """Yield repeated names and dates, and grid entries without a period."""
        yield from unique(f"{path}.periods", "name", [period.name for period in self.periods])
        yield from unique(f"{path}.holidays", "", self.holidays)
        yield from grid_in_periods(f"{path}.weekday", self.weekday, len(self.periods))
        yield from grid_in_periods(f"{path}.weekend", self.weekend, len(self.periods))


class RequestField(ResourceModel):
    """One field of the request to an external price source, and what it carries."""

    name: Dimension
    value: Literal["Meter", "Quantity", "Dimensions", "Customer", "At"]


class ExternalRequest(ResourceModel):
    """The fields of the request, where the source expects other names than ours."""

    fields_sent: Annotated[tuple[RequestField, ...], Field(min_length=1, max_length=5)] = Field(
        alias="fields"
    )

    def check(self, path: str) -> Iterator[Violation]:
        """Yield repeated names."""
        yield from unique(f"{path}.fields", "name", [field.name for field in self.fields_sent])


class ExternalResponse(ResourceModel):
    """Where the answer holds the price: for all units or for each, and in which currency."""

    amount: PropertyPath | None = None
    unit_amount: PropertyPath | None = None
    currency: PropertyPath | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation unless there is one price."""
        yield from exactly_one(path, {"amount": self.amount, "unitAmount": self.unit_amount})


class External(ResourceModel):
    """A price that an HTTP JSON source answers, kept for a while."""

    url: Url
    method: Literal["GET", "POST"] = "POST"
    secret_ref: SecretRef | None = None
    request: ExternalRequest | None = None
    response: ExternalResponse
    timeout: Duration = "2s"
    cache_ttl: Duration = Field(default="5m", alias="cacheTTL")
    on_failure: Literal["LastGood", "Refuse"] = "Refuse"
    max_age: Duration | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation for a last good price that would never expire."""
        if self.on_failure == "LastGood" and self.max_age is None:
            yield Violation(f"{path}.maxAge", "REQUIRED", "is required where onFailure is LastGood")


class ChargeModel(ResourceModel):
    """Exactly one way to price a quantity."""

    flat: Flat | None = None
    per_unit: PerUnit | None = None
    dynamic: Dynamic | None = None
    graduated: Graduated | None = None
    volume: Volume | None = None
    graduated_percentage: GraduatedPercentage | None = None
    package: Package | None = None
    capacity: Capacity | None = None
    seats: Seats | None = None
    percentage: Percentage | None = None
    matrix: Matrix | None = None
    time_of_use: TimeOfUse | None = None
    demand: Demand | None = None
    external: External | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation unless there is exactly one model."""
        fields = type(self).model_fields
        yield from exactly_one(
            path, {field.alias or name: getattr(self, name) for name, field in fields.items()}
        )

    @property
    def chosen(self) -> ResourceModel:
        """The one model that is there, to tell by its class."""
        given: list[ResourceModel] = [
            model for name in type(self).model_fields if (model := getattr(self, name)) is not None
        ]
        return given[0]
