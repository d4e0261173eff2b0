"""BillingPlan: what a subscription costs, as a list of charges.

The services read these models; a published version of a plan never changes.
"""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field

from billplane.resources.charge_models import ChargeModel
from billplane.resources.common import (
    Currency,
    DeletionPolicy,
    Dimension,
    DisplayName,
    Duration,
    Flag,
    Instant,
    Name,
    ResourceModel,
    Spec,
    TaxCategory,
    Text255,
    TimeZone,
    exactly_one,
    unique,
)
from billplane.resources.decimal_string import DecimalString
from billplane.resources.errors import Violation

CHARGES_MAX: Final = 100
FILTERS_MAX: Final = 10


class Interval(ResourceModel):
    """How long a billing period is, and where the calendar is cut into periods.

    Calendar cuts at the first day of a week, month or year in `time_zone`; Anniversary at the day
    on which the subscription began.
    """

    unit: Literal["Day", "Week", "Month", "Year"] = "Month"
    count: Annotated[int, Field(strict=True, ge=1, le=366)] = 1
    anchor: Literal["Calendar", "Anniversary"] = "Anniversary"
    time_zone: TimeZone = "Etc/UTC"


class Recurring(ResourceModel):
    """A fee for each period, whether there is usage or not."""

    amount: DecimalString
    billed: Literal["InAdvance", "InArrears"] = "InAdvance"
    prorate: Flag = True


class UsageFilter(ResourceModel):
    """Only usage whose dimension has one of these values."""

    property: Dimension
    values: Annotated[tuple[Text255, ...], Field(min_length=1, max_length=100)] = Field(alias="in")

    def check(self, path: str) -> Iterator[Violation]:
        """Yield repeated values."""
        yield from unique(f"{path}.in", "", self.values)


class Usage(ResourceModel):
    """A price for what a meter counted in the period.

    `filter` and `group_by` name dimensions of the meter; grouped usage is priced group by group.
    """

    meter: Name
    filter: Annotated[tuple[UsageFilter, ...], Field(max_length=FILTERS_MAX)] = ()
    group_by: Annotated[tuple[Dimension, ...], Field(max_length=FILTERS_MAX)] = ()
    model: ChargeModel

    def check(self, path: str) -> Iterator[Violation]:
        """Yield repeated filters and dimensions."""
        yield from unique(f"{path}.filter", "property", [item.property for item in self.filter])
        yield from unique(f"{path}.groupBy", "", self.group_by)


class Charge(ResourceModel):
    """One line or group of lines on the invoice: a fee or priced usage."""

    name: Name
    display_name: DisplayName | None = None
    tax_category: TaxCategory | None = None
    recurring: Recurring | None = None
    usage: Usage | None = None

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation unless the charge is one of the two."""
        yield from exactly_one(path, {"recurring": self.recurring, "usage": self.usage})


class AlsoPricedIn(ResourceModel):
    """A further currency that customers may pay in, and the feed whose rates convert to it."""

    currency: Currency
    rate_feed: Name


class Selector(ResourceModel):
    """The customers to whom a new version applies."""

    customers: Annotated[tuple[Text255, ...], Field(min_length=1, max_length=1000)]

    def check(self, path: str) -> Iterator[Violation]:
        """Yield repeated customers."""
        yield from unique(f"{path}.customers", "", self.customers)


class Rollout(ResourceModel):
    """To whom and from when a new version applies."""

    effective_from: Instant | None = None
    apply_to: Literal["New", "All", "Selector"] = "New"
    selector: Selector | None = None
    require_approval: Flag = False

    def check(self, path: str) -> Iterator[Violation]:
        """Yield a violation unless the selector is there exactly where it is used."""
        if self.apply_to == "Selector" and self.selector is None:
            yield Violation(f"{path}.selector", "REQUIRED", "is required where applyTo is Selector")
        if self.apply_to != "Selector" and self.selector is not None:
            yield Violation(
                f"{path}.selector", "NOT_ALLOWED", "is read only where applyTo is Selector"
            )


class BillingPlanSpec(Spec):
    """The prices of a plan in one currency.

    Units: amounts in the currency's own unit ("49.00" EUR), exact until a line is rounded.
    """

    display_name: DisplayName | None = None
    currency: Currency
    interval: Interval = Field(default_factory=Interval)
    trial: Duration | None = None
    default: Flag = False
    charges: Annotated[tuple[Charge, ...], Field(min_length=1, max_length=CHARGES_MAX)]
    minimum_commitment: DecimalString | None = None
    maximum_charge: DecimalString | None = None
    tax_category: TaxCategory | None = None
    also_priced_in: Annotated[tuple[AlsoPricedIn, ...], Field(max_length=50)] = ()
    rollout: Rollout = Field(default_factory=Rollout)
    deletion_policy: DeletionPolicy = "Retain"

    def check(self, path: str) -> Iterator[Violation]:
        """Yield repeated names and currencies, and bounds that exclude each other."""
        yield from unique(f"{path}.charges", "name", [charge.name for charge in self.charges])
        currencies = [other.currency for other in self.also_priced_in]
        yield from unique(f"{path}.alsoPricedIn", "currency", currencies)
        for index, currency in enumerate(currencies):
            if currency == self.currency:
                yield Violation(
                    f"{path}.alsoPricedIn[{index}].currency",
                    "NOT_ALLOWED",
                    "is the plan's own currency",
                )
        commitment, maximum = self.minimum_commitment, self.maximum_charge
        if commitment is not None and maximum is not None and commitment > maximum:
            yield Violation(
                f"{path}.minimumCommitment",
                "MINIMUM_ABOVE_MAXIMUM",
                "must not be above maximumCharge",
            )
