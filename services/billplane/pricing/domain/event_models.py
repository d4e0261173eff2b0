"""Models that price single events."""

import math
from collections.abc import Iterator
from fractions import Fraction

from billplane.pricing.domain.priced import Priced, UsageToPrice, ratio, text, units
from billplane.pricing.domain.usage import MICRO, Bands
from billplane.resources import charge_models as models


def price_percentage(model: models.Percentage, to_price: UsageToPrice) -> Iterator[Priced]:
    """Take a share of each event's amount plus a fixed amount, within bounds, after free events.

    An event costs rate times quantity plus the fixed amount, at least the minimum and at most the
    maximum. Free events are the first ones of each group in time, whatever their amount.
    """
    rate, fixed = ratio(model.rate), ratio(model.fixed_amount)
    minimum = None if model.minimum is None else ratio(model.minimum)
    maximum = None if model.maximum is None else ratio(model.maximum)
    low = high = None
    if rate:
        # An amount is a whole number of millionths, so the bounds on it may be too.
        low = None if minimum is None else math.ceil((minimum - fixed) / rate * MICRO)
        high = None if maximum is None else math.floor((maximum - fixed) / rate * MICRO)
    else:
        fixed = _bounded(fixed, minimum, maximum)
    for bands in to_price.columns.event_bands(model.free_events, low, high):
        amount = (
            bands.below * (minimum or Fraction(0))
            + bands.above * (maximum or Fraction(0))
            + bands.between * fixed
            + units(bands.between_micro) * rate
        )
        yield Priced(bands.values, units(bands.micro), None, amount, _detail(bands, rate, fixed))


def price_dynamic(_model: models.Dynamic, to_price: UsageToPrice) -> Iterator[Priced]:
    """Add up the amounts that the events carry themselves."""
    for group, micro, events, amount in to_price.columns.amount_totals(0):
        if micro or events or amount:
            yield Priced(group, units(micro), None, amount, {"events": events})


def _bounded(amount: Fraction, minimum: Fraction | None, maximum: Fraction | None) -> Fraction:
    if minimum is not None and amount < minimum:
        return minimum
    return amount if maximum is None else min(amount, maximum)


def _detail(bands: Bands, rate: Fraction, fixed: Fraction) -> dict[str, object]:
    return {
        "rate": text(rate),
        "fixed_amount": text(fixed),
        "events": bands.events,
        "free_events": bands.free,
        "at_minimum": bands.below,
        "at_maximum": bands.above,
    }
