"""A utility's billing engine in plain loops, and the same tariffs as plans.

It shares no code with the platform. It walks over a year of meter readings one at a time, looks at
the wall clock of each, and keeps ratios; nothing is rounded.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

# Tiers as (end in kWh or None, price of a kWh).
Tiers = Sequence[tuple[str | None, str]]
Grid = list[list[int]]
NEVER: Grid = [[0] * 24 for _ in range(12)]


def hours(*spans: tuple[int, int, int], months: range = range(1, 13), base: Grid = NEVER) -> Grid:
    """Draw a grid of 12 months of 24 hours: spans of (first hour, last hour, period)."""
    grid = [list(row) for row in base]
    for month in months:
        for first, last, period in spans:
            for hour in range(first, last + 1):
                grid[month - 1][hour] = period
    return grid


@dataclass(frozen=True)
class Reading:
    """The energy of one interval, in watt-hours, with the wall clock at its start."""

    starts_at: datetime
    clock: datetime
    seconds: int
    energy: int


@dataclass(frozen=True)
class Tariff:
    """A tariff as a utility publishes it; prices in the currency's own unit."""

    energy: Sequence[Tiers] = ()
    weekday: Grid = field(default_factory=lambda: NEVER)
    weekend: Grid = field(default_factory=lambda: NEVER)
    holidays: Sequence[str] = ()
    scope: str = "PerPeriod"
    demand: Sequence[str] = ()
    demand_weekday: Grid = field(default_factory=lambda: NEVER)
    demand_weekend: Grid = field(default_factory=lambda: NEVER)
    demand_minutes: int = 15
    fixed: str = "0"
    minimum: str = "0"


def readings(zone: str, year: int, minutes: int, seed: int = 7) -> Iterator[Reading]:
    """Make a year of readings between two local New Years: a house with evenings and seasons."""
    local = ZoneInfo(zone)
    dice = random.Random(seed)
    at = datetime(year, 1, 1, tzinfo=local).astimezone(UTC)
    end = datetime(year + 1, 1, 1, tzinfo=local).astimezone(UTC)
    while at < end:
        clock = at.astimezone(local)
        evening = 900 if 17 <= clock.hour < 22 else 0
        season = 60 * abs(7 - clock.month)
        watts = 250 + evening + season + dice.randrange(0, 1500)
        if dice.random() < 0.002:
            watts += dice.randrange(2000, 9000)
        yield Reading(at, clock, minutes * 60, watts * minutes // 60)
        at += timedelta(minutes=minutes)


def monthly(tariff: Tariff, year: Sequence[Reading]) -> dict[int, dict[str, Fraction]]:
    """Bill each month: what fixed, energy and demand come to, and what the minimum adds."""
    months: dict[int, list[Reading]] = defaultdict(list)
    for reading in year:
        months[reading.clock.month].append(reading)
    bills = {}
    for month, taken in months.items():
        bill = {"fixed": Fraction(tariff.fixed)}
        if tariff.energy:
            bill["energy"] = _energy(tariff, taken)
        if tariff.demand:
            bill["demand"] = _demand(tariff, taken)
        bill["minimum"] = max(Fraction(tariff.minimum) - sum(bill.values()), Fraction(0))
        bills[month] = bill
    return bills


def _slot(clock: datetime, weekday: Grid, weekend: Grid, holidays: set[date]) -> int:
    off = clock.isoweekday() in {6, 7} or clock.date() in holidays
    return (weekend if off else weekday)[clock.month - 1][clock.hour]


def _energy(tariff: Tariff, taken: Sequence[Reading]) -> Fraction:
    holidays = {date.fromisoformat(text) for text in tariff.holidays}
    used: dict[int, int] = defaultdict(int)
    # How many watt-hours each tier of each period got.
    filled: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    so_far = 0
    for reading in taken:
        slot = _slot(reading.clock, tariff.weekday, tariff.weekend, holidays)
        used[slot] += reading.energy
        if tariff.scope == "Chronological":
            for tier, part in _fall(tariff.energy[slot], so_far, so_far + reading.energy):
                filled[slot, tier] += part
        so_far += reading.energy
    for slot, energy in used.items():
        if tariff.scope == "PerPeriod":
            for tier, part in _fall(tariff.energy[slot], 0, energy):
                filled[slot, tier] += part
        elif tariff.scope == "MonthProRata":
            for tier, part in _fall(tariff.energy[slot], 0, so_far):
                filled[slot, tier] += part * Fraction(energy, so_far)
    return sum(
        (
            part / 1000 * Fraction(tariff.energy[slot][tier][1])
            for (slot, tier), part in filled.items()
        ),
        Fraction(0),
    )


def _fall(tiers: Tiers, low: int, high: int) -> Iterator[tuple[int, Fraction]]:
    """Tell which tiers the watt-hours from low to high fall into."""
    start = Fraction(0)
    for tier, (end, _price) in enumerate(tiers):
        stop = Fraction(high) if end is None else Fraction(end) * 1000
        part = min(stop, Fraction(high)) - max(start, Fraction(low))
        if part > 0:
            yield tier, part
        start = stop


def _demand(tariff: Tariff, taken: Sequence[Reading]) -> Fraction:
    """Price the highest average of a window of the wall clock, in kilowatts."""
    holidays = {date.fromisoformat(text) for text in tariff.holidays}
    windows: dict[tuple[Any, ...], int] = defaultdict(int)
    for reading in taken:
        clock = reading.clock
        slot = _slot(clock, tariff.demand_weekday, tariff.demand_weekend, holidays)
        part = clock.minute // tariff.demand_minutes
        windows[slot, clock.date(), clock.hour, part, clock.utcoffset()] += reading.energy
    peaks: dict[int, int] = defaultdict(int)
    for (slot, *_), energy in windows.items():
        peaks[slot] = max(peaks[slot], energy)
    return sum(
        (
            Fraction(energy * 60, tariff.demand_minutes * 1000) * Fraction(tariff.demand[slot])
            for slot, energy in peaks.items()
        ),
        Fraction(0),
    )


def as_plan(tariff: Tariff, zone: str, meter: str = "energy", currency: str = "USD") -> Any:
    """Write a tariff as the spec of a plan by calendar months of its zone."""
    charges: list[dict[str, Any]] = []
    if Fraction(tariff.fixed):
        fixed = {"amount": tariff.fixed, "billed": "InArrears"}
        charges.append({"name": "fixed", "recurring": fixed})
    if tariff.energy:
        charges.append({"name": "energy", "usage": {"meter": meter, "model": _model(tariff, zone)}})
    if tariff.demand:
        demand = {
            "timeZone": zone,
            "window": f"{tariff.demand_minutes}m",
            "periods": [
                {"name": f"p{slot}", "unitAmount": price}
                for slot, price in enumerate(tariff.demand)
            ],
            "weekday": tariff.demand_weekday,
            "weekend": tariff.demand_weekend,
            "holidays": list(tariff.holidays),
        }
        charges.append({"name": "demand", "usage": {"meter": meter, "model": {"demand": demand}}})
    spec = {
        "currency": currency,
        "interval": {"unit": "Month", "anchor": "Calendar", "timeZone": zone},
        "charges": charges,
    }
    return spec | ({"minimumCommitment": tariff.minimum} if Fraction(tariff.minimum) else {})


def _model(tariff: Tariff, zone: str) -> dict[str, Any]:
    written = [
        [
            {"unitAmount": price, **({} if end is None else {"upTo": end})}
            for end, price in tiers
        ]
        for tiers in tariff.energy
    ]  # fmt: skip
    if len(written) == 1:
        return {"graduated": {"tiers": written[0]}}
    return {
        "timeOfUse": {
            "timeZone": zone,
            "periods": [{"name": f"p{slot}", "tiers": tiers} for slot, tiers in enumerate(written)],
            "weekday": tariff.weekday,
            "weekend": tariff.weekend,
            "holidays": list(tariff.holidays),
            "tierScope": tariff.scope,
        }
    }


SUMMER = range(6, 10)
PEAK = hours((7, 15, 1), (16, 20, 2), (21, 22, 1), months=SUMMER, base=hours((16, 20, 1)))
WEEKEND = hours((16, 20, 1), months=SUMMER)
HOLIDAYS = ("2025-01-01", "2025-05-26", "2025-07-04", "2025-09-01", "2025-11-27", "2025-12-25")
FLAT_TIERS: Sequence[Tiers] = (
    ((None, "0.0911"),),
    ((None, "0.17245"),),
    ((None, "0.38017"),),
)
TIERED: Sequence[Tiers] = (
    (("300", "0.0911"), ("700", "0.1105"), (None, "0.1399")),
    (("300", "0.1725"), ("700", "0.2105"), (None, "0.2599")),
    (("300", "0.3802"), ("700", "0.4105"), (None, "0.4599")),
)

TARIFFS = {
    "residential tiered": Tariff(
        energy=((("350", "0.08431"), ("900.5", "0.10277"), (None, "0.13119")),), fixed="11.45"
    ),
    "residential time of use": Tariff(
        energy=FLAT_TIERS, weekday=PEAK, weekend=WEEKEND, holidays=HOLIDAYS, fixed="9.99"
    ),
    "tiers by period": Tariff(
        energy=TIERED, weekday=PEAK, weekend=WEEKEND, holidays=HOLIDAYS, scope="PerPeriod"
    ),
    "tiers by share of the month": Tariff(
        energy=TIERED, weekday=PEAK, weekend=WEEKEND, holidays=HOLIDAYS, scope="MonthProRata"
    ),
    "tiers as usage happens": Tariff(
        energy=TIERED, weekday=PEAK, weekend=WEEKEND, holidays=HOLIDAYS, scope="Chronological"
    ),
    "commercial with demand": Tariff(
        energy=FLAT_TIERS,
        weekday=PEAK,
        weekend=WEEKEND,
        demand=("4.25", "9.755", "21.3375"),
        demand_weekday=PEAK,
        demand_weekend=WEEKEND,
        holidays=HOLIDAYS,
        fixed="143.27",
    ),
    "half-hour demand and a minimum": Tariff(
        energy=((("400", "0.05"), (None, "0.0375")),),
        demand=("3.1",),
        demand_minutes=30,
        fixed="25",
        minimum="83",
    ),
    "hourly demand": Tariff(
        demand=("2.5", "7.77"),
        demand_weekday=hours((9, 19, 1)),
        demand_minutes=60,
        minimum="40",
    ),
}  # fmt: skip
