"""The usage chart: bars, ticks and labels, in whole ten-thousandths of the plot's height."""

from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from billplane.invoice.render.document import Locale, UsageChart, UsagePoint
from billplane.invoice.render.wording import (
    WORDS,
    axis_number,
    number,
    plain,
    short_day,
    short_month,
)

# The drawing's own unit: integers cross into the template, never binary fractions.
FULL: Final = 10_000
_LABELS_MAX: Final = 8
_STEPS: Final = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


def chart_view(chart: UsageChart, locale: Locale) -> dict[str, Any] | None:
    """Lay out the chart; None where there is nothing to draw."""
    quantities = [Decimal(point.quantity) for point in chart.points]
    if not any(quantities):
        return None
    ticks = _ticks(min(*quantities, Decimal(0)), max(*quantities, Decimal(0)))
    low, high = ticks[0], ticks[-1]
    labels = _labels(chart.points, locale)
    highest = max(range(len(quantities)), key=lambda index: quantities[index])
    unit = f" {plain(chart.unit)}" if chart.unit else ""
    peak = WORDS[locale]["peak"].format(
        quantity=number(quantities[highest], locale) + unit, at=labels[highest]
    )
    every = -(-len(labels) // _LABELS_MAX)
    return {
        "title": plain(chart.title),
        "peak": peak,
        "zero": _share(Decimal(0), low, high),
        "ticks": [
            {"at": _share(tick, low, high), "label": axis_number(tick, locale)} for tick in ticks
        ],
        "bars": [_share(quantity, low, high) for quantity in quantities],
        "labels": [
            {"bar": index, "label": label}
            for index, label in enumerate(labels)
            if index % every == 0
        ],
    }


def _share(value: Decimal, low: Decimal, high: Decimal) -> int:
    return int(((value - low) * FULL / (high - low)).to_integral_value(ROUND_HALF_EVEN))


def _ticks(low: Decimal, high: Decimal) -> list[Decimal]:
    """Choose round ticks that enclose both ends and zero; three to six of them."""
    raw = (high - low) / 3
    scale = Decimal(10) ** raw.adjusted()
    step = next(factor * scale for factor in _STEPS if factor * scale >= raw)
    first = int((low / step).to_integral_value(ROUND_FLOOR))
    last = int((high / step).to_integral_value(ROUND_CEILING))
    return [step * index for index in range(first, last + 1)]


def _labels(points: tuple[UsagePoint, ...], locale: Locale) -> list[str]:
    dates = [point.at for point in points if isinstance(point.at, date)]
    monthly = len(dates) > 1 and all(at.day == 1 for at in dates)
    years = {at.year for at in dates}
    labels = []
    for point in points:
        if isinstance(point.at, str):
            labels.append(plain(point.at))
        elif monthly:
            labels.append(short_month(point.at, locale, with_year=len(years) > 1))
        else:
            labels.append(short_day(point.at, locale))
    return labels
