"""Models that price usage by when it happened: time of use, demand and seats."""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from billplane.pricing.domain import tiers
from billplane.pricing.domain.periods import Period, share_of
from billplane.pricing.domain.priced import (
    Priced,
    UsageToPrice,
    Values,
    by_group,
    ratio,
    text,
    units,
)
from billplane.pricing.domain.quantity_models import read_tiers, tier_details
from billplane.pricing.domain.schedule import Schedule
from billplane.pricing.domain.tiers import Tier
from billplane.pricing.domain.usage import (
    MICRO,
    STEP_SECONDS,
    SpanTotal,
    StepTotal,
    instant_of,
)
from billplane.pricing.errors import UsageWindowMismatch
from billplane.resources import charge_models as models

Slots = Mapping[int, Fraction]
Parts = Mapping[int, Sequence[Fraction]]
_WINDOW_STEPS = {"15m": 1, "30m": 2, "60m": 4}
_HOUR = 3_600


def price_time_of_use(model: models.TimeOfUse, to_price: UsageToPrice) -> Iterator[Priced]:
    """Price usage by the local hour in which it fell.

    Tiers count over the rated period, in one of three ways: by PerPeriod each period of the
    tariff has its own tiers and its own count; by MonthProRata the whole quantity fills the tiers
    and every period has its share of each; by Chronological usage fills the tiers as it happens.
    """
    schedule = Schedule(
        model.time_zone, weekday=model.weekday, weekend=model.weekend, holidays=model.holidays
    )
    steps = [_tiers_of(period) for period in model.periods]
    totals = to_price.columns.slot_totals(schedule.slot_of)
    in_time: dict[Values, list[StepTotal]] = {}
    if model.tier_scope == "Chronological":
        in_time = dict(by_group(to_price, to_price.columns.step_totals()))
    for group, members in by_group(to_price, totals):
        slots = {member.slot: units(member.micro) for member in members}
        if model.tier_scope == "Chronological":
            parts = _chronological(steps, in_time[group], schedule)
        elif model.tier_scope == "MonthProRata":
            parts = _pro_rata(steps, slots)
        else:
            parts = {slot: tiers.split(steps[slot], used) for slot, used in slots.items()}
        yield _priced(model, group, slots, steps, parts)


def price_demand(model: models.Demand, to_price: UsageToPrice) -> Iterator[Priced]:
    """Price the highest average over a window in each period of the tariff.

    The meter counts work (kWh), so a window's average (kW) is its sum by the hour.
    """
    schedule = Schedule(
        model.time_zone, weekday=model.weekday, weekend=model.weekend, holidays=model.holidays
    )
    width = _WINDOW_STEPS[model.window]
    window_of = partial(schedule.window_of, width=width)
    if not to_price.columns.fits_windows(window_of):
        raise UsageWindowMismatch(
            f"demand over windows of {model.window} cannot be priced from wider usage rows"
        )
    for group, members in by_group(to_price, to_price.columns.step_totals()):
        windows: defaultdict[int, int] = defaultdict(int)
        for member in members:
            windows[window_of(member.step)] += member.micro
        peaks: dict[int, Fraction] = {}
        for window, micro in windows.items():
            slot = schedule.slot_of(window)
            average = units(micro) * Fraction(_HOUR, width * STEP_SECONDS)
            peaks[slot] = max(average, peaks.get(slot, Fraction(0)))
        if any(peaks.values()):
            yield _priced_demand(model, group, peaks)


def price_seats(model: models.Seats, to_price: UsageToPrice) -> Iterator[Priced]:
    """Price seats, each by the days of the whole period that its row spans where so wished.

    Without proration the most seats of any span count. A row of no length spans the period.
    """
    unit_amount = ratio(model.unit_amount)
    for group, members in by_group(to_price, to_price.columns.span_totals()):
        most = max(units(member.micro) for member in members)
        if not model.prorate:
            yield Priced(group, most, unit_amount, most * unit_amount, {})
            continue
        zone = ZoneInfo(to_price.time_zone)
        shares = [(member, _share(member, to_price, zone)) for member in members]
        spans = [
            {"starts_at": member.starts_at, "seats": text(units(member.micro)), "share": text(part)}
            for member, part in shares
        ]
        seats = sum((units(member.micro) * part for member, part in shares), Fraction(0))
        yield Priced(group, most, unit_amount, seats * unit_amount, {"spans": spans})


def _share(member: SpanTotal, to_price: UsageToPrice, zone: ZoneInfo) -> Fraction:
    if not member.seconds:
        return share_of(to_price.period, to_price.whole, zone)
    starts_at = instant_of(member.starts_at)
    span = Period(starts_at, starts_at + timedelta(seconds=member.seconds))
    return share_of(span, to_price.whole, zone)


def _tiers_of(period: models.TimeOfUsePeriod) -> list[Tier]:
    if period.tiers is None:
        return [Tier(None, ratio(period.unit_amount))]
    return read_tiers(period.tiers)


def _pro_rata(steps: Sequence[Sequence[Tier]], slots: Slots) -> Parts:
    """Fill the tiers with the whole quantity and give each slot its share of each tier."""
    whole = sum(slots.values(), Fraction(0))
    if whole <= 0:
        return {
            slot: [used, *[Fraction(0)] * (len(steps[slot]) - 1)] for slot, used in slots.items()
        }
    return {
        slot: [part * used / whole for part in tiers.split(steps[slot], whole)]
        for slot, used in slots.items()
    }


def _chronological(
    steps: Sequence[Sequence[Tier]], in_time: Sequence[StepTotal], schedule: Schedule
) -> Parts:
    """Fill the tiers as usage happens; each step's usage falls into the tiers of its own slot."""
    ends = [[tier.up_to * MICRO for tier in slot if tier.up_to is not None] for slot in steps]
    # Ends of tiers may be finer than a millionth: count in units that make all of them whole.
    scale = math.lcm(*(end.denominator for slot in ends for end in slot))
    bounds = [[int(end * scale) for end in slot] for slot in ends]
    parts: dict[int, list[int]] = {}
    reached = 0
    for step in in_time:
        slot = schedule.slot_of(step.step)
        used = parts.setdefault(slot, [0] * len(steps[slot]))
        after = reached + step.micro * scale
        low, high = sorted((reached, after))
        sign = 1 if after >= reached else -1
        for tier, amount in _between(bounds[slot], low, high):
            used[tier] += sign * amount
        reached = after
    return {
        slot: [Fraction(amount, scale * MICRO) for amount in used] for slot, used in parts.items()
    }


def _between(bounds: Sequence[int], low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield the tiers that lie between two counts, with how much of the way each has."""
    first, last = bisect_right(bounds, low), bisect_left(bounds, high)
    marks = [low, *bounds[first:last], high]
    for offset, (start, end) in enumerate(pairwise(marks)):
        yield first + offset, end - start


def _priced(
    model: models.TimeOfUse,
    group: Values,
    slots: Slots,
    steps: Sequence[Sequence[Tier]],
    parts: Parts,
) -> Priced:
    amount = Fraction(0)
    details: list[dict[str, Any]] = []
    for slot in sorted(parts):
        priced = tiers.price_parts(steps[slot], parts[slot])
        if not priced:
            continue
        of_slot = sum((part.amount for part in priced), Fraction(0))
        amount += of_slot
        detail: dict[str, Any] = {
            "name": model.periods[slot].name,
            "quantity": text(slots.get(slot, Fraction(0))),
            "amount": text(of_slot),
        }
        if model.periods[slot].tiers is None:
            detail["unit_amount"] = text(steps[slot][0].unit_amount)
        else:
            detail["tiers"] = tier_details(steps[slot], priced)
        details.append(detail)
    quantity = sum(slots.values(), Fraction(0))
    scope = {"tier_scope": model.tier_scope} if model.tier_scope else {}
    return Priced(group, quantity, None, amount, {"periods": details, **scope})


def _priced_demand(model: models.Demand, group: Values, peaks: Slots) -> Priced:
    amount = Fraction(0)
    details = []
    for slot in sorted(peaks):
        unit_amount = ratio(model.periods[slot].unit_amount)
        amount += peaks[slot] * unit_amount
        details.append(
            {
                "name": model.periods[slot].name,
                "demand": text(peaks[slot]),
                "unit_amount": text(unit_amount),
                "amount": text(peaks[slot] * unit_amount),
            }
        )
    unit_price = ratio(model.periods[0].unit_amount) if len(model.periods) == 1 else None
    detail = {"window": model.window, "periods": details}
    return Priced(group, max(peaks.values()), unit_price, amount, detail)
