"""Usage that somebody only asks about, in the shape in which rating reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from billplane.pricing.domain.columns import columns_from_lists
from billplane.pricing.domain.periods import Period
from billplane.pricing.domain.usage import (
    STEP_SECONDS,
    UsageColumns,
    UsageLists,
    seconds_since_epoch,
    to_micro,
)
from billplane.pricing.errors import ChargeModelNotRated, MeterNotPriced, UsageQuantityInvalid
from billplane.resources import BillingPlanSpec, UsageQuery, Window, usage_queries


@dataclass(frozen=True, slots=True)
class Item:
    """Some quantity of a meter, with what else an event of it would say."""

    meter: str
    quantity: str
    dimensions: Mapping[str, str]


def quoted_usage(
    spec: BillingPlanSpec, items: Sequence[Item], period: Period, at: datetime
) -> dict[str, UsageColumns]:
    """Return the usage of each charge as if the items were used in the period, at an instant.

    A charge takes the items of its meter that pass its filter; a dimension that an item leaves
    out is empty. Where a model prices single events, each item is one.

    Shape: by charge name; charges without usage are absent.
    Raises: MeterNotPriced, UsageQuantityInvalid, ChargeModelNotRated.
    """
    queries = usage_queries(spec, starts_at=period.starts_at, ends_at=period.ends_at)
    meters = {query.meter for query in queries}
    for index, item in enumerate(items):
        _check(item, index, meters)
    usage: dict[str, UsageColumns] = {}
    for query in queries:
        taken = [item for item in items if _takes(query, item)]
        if taken:
            usage[query.charge] = columns_from_lists(_lists(query, taken, period, at))
    return usage


def _check(item: Item, index: int, meters: set[str]) -> None:
    if item.meter not in meters:
        raise MeterNotPriced(
            f"the plan has no charge for the meter {item.meter}",
            field=f"/items/{index}/meter",
            metadata={"meter": item.meter},
        )
    try:
        to_micro(item.quantity)
    except UsageQuantityInvalid as error:
        error.field = f"/items/{index}/quantity"
        raise


def _takes(query: UsageQuery, item: Item) -> bool:
    return item.meter == query.meter and all(
        item.dimensions.get(name, "") in values for name, values in query.filter
    )


def _lists(query: UsageQuery, items: Sequence[Item], period: Period, at: datetime) -> UsageLists:
    starts_at, seconds = _span(query.window, period, at)
    return UsageLists(
        starts_at=[starts_at] * len(items),
        seconds=[seconds] * len(items),
        quantity=[item.quantity for item in items],
        event_count=[1] * len(items),
        dimensions=[[item.dimensions.get(name, "") for item in items] for name in query.group_by],
        properties=[
            [_property(query, item, path) for item in items] for path in query.event_properties
        ],
    )


def _span(window: Window, period: Period, at: datetime) -> tuple[int, int]:
    first = seconds_since_epoch(period.starts_at)
    if window is Window.PERIOD:
        return first, seconds_since_epoch(period.ends_at) - first
    step = seconds_since_epoch(at) // STEP_SECONDS * STEP_SECONDS
    return (step, 0) if window is Window.EVENT else (step, STEP_SECONDS)


def _property(query: UsageQuery, item: Item, path: str) -> str:
    value = item.dimensions.get(path, item.dimensions.get(path.removeprefix("$.")))
    if value is None:
        raise ChargeModelNotRated(
            f"charge {query.charge} takes its price from the event: give {path} as a dimension",
            metadata={"charge": query.charge, "property": path},
        )
    return value
