"""Rating done slowly and plainly, row by row, to judge the fast one.

It shares no code with `billplane.pricing`: it reads the spec's JSON, walks over rows one at a time
and keeps ratios. Answers are exact amounts in the plan's currency by group.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Row:
    """One usage row, its dimensions by name."""

    dimensions: dict[str, str]
    starts_at: datetime
    seconds: int
    quantity: Decimal
    events: int = 1
    amount: Decimal | None = None


def amounts(usage: dict[str, Any], rows: Sequence[Row]) -> dict[tuple[str, ...], Fraction]:
    """Price a charge's usage; groups that used nothing are absent."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row.dimensions[name] for name in usage.get("groupBy", []))].append(row)
    ((name, model),) = usage["model"].items()
    priced = {group: _MODELS[name](model, members) for group, members in groups.items()}
    return {group: amount for group, amount in priced.items() if amount is not None}


def half_up(exact: Fraction, digits: int = 2) -> int:
    """Round to minor units, ties away from zero."""
    with localcontext(prec=200):
        value = Decimal(exact.numerator) / Decimal(exact.denominator)
        return int(value.scaleb(digits).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _fraction(text: str | None) -> Fraction:
    return Fraction(0) if text is None else Fraction(text)


def _quantity(rows: Sequence[Row]) -> Fraction:
    return sum((Fraction(row.quantity) for row in rows), Fraction(0))


def _flat(model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    if not _quantity(rows) and not sum(row.events for row in rows):
        return None
    return _fraction(model["amount"])


def _per_unit(model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    return _quantity(rows) * _fraction(model["unitAmount"]) if _quantity(rows) else None


def _walk(tiers: list[dict[str, Any]], quantity: Fraction, price: str = "unitAmount") -> Fraction:
    if quantity <= 0:
        return quantity * _fraction(tiers[0].get(price))
    amount = Fraction(0)
    reached = Fraction(0)
    for tier in tiers:
        if reached >= quantity:
            break
        end = quantity if "upTo" not in tier else min(quantity, _fraction(tier["upTo"]))
        amount += (end - reached) * _fraction(tier.get(price)) + _fraction(tier.get("flatAmount"))
        reached = end
    return amount


def _graduated(model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    return _walk(model["tiers"], _quantity(rows)) if _quantity(rows) else None


def _graduated_percentage(model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    return _walk(model["tiers"], _quantity(rows), "rate") if _quantity(rows) else None


def _volume(model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    quantity = _quantity(rows)
    if not quantity:
        return None
    for tier in model["tiers"]:
        if "upTo" not in tier or quantity <= _fraction(tier["upTo"]):
            flat = _fraction(tier.get("flatAmount")) if quantity > 0 else Fraction(0)
            return quantity * _fraction(tier.get("unitAmount")) + flat
    raise AssertionError("the last tier is open")


def _package(model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    quantity = _quantity(rows)
    if not quantity:
        return None
    whole, rest = divmod(quantity - _fraction(model.get("freeUnits")), _fraction(model["size"]))
    packages = whole + (1 if rest else 0)
    return max(packages, 0) * _fraction(model["amount"])


def _capacity(model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    over = _quantity(rows) - _fraction(model["included"])
    extra = over * _fraction(model["overage"]["unitAmount"]) if over > 0 else 0
    return _fraction(model["amount"]) + extra


def _matrix(model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    amount = Fraction(0)
    used: dict[Any, Fraction] = defaultdict(Fraction)
    for row in rows:
        values = [row.dimensions[name] for name in model["dimensions"]]
        best: tuple[Any, ...] = ((-1,), None, model["default"]["unitAmount"])
        for cell in model["cells"]:
            pairs = list(zip(cell["values"], values, strict=True))
            if all(wanted in {"*", value} for wanted, value in pairs):
                exact = [wanted != "*" for wanted, _ in pairs]
                rank = (sum(exact), *exact)
                best = max(best, (rank, tuple(cell["values"]), cell["unitAmount"]))
        amount += Fraction(row.quantity) * _fraction(best[2])
        used[best[1]] += Fraction(row.quantity)
    return amount if any(used.values()) else None


def _percentage(model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    amount = Fraction(0)
    in_time = sorted(rows, key=lambda row: row.starts_at)
    for row in in_time[model.get("freeEvents", 0) :]:
        price = Fraction(row.quantity) * _fraction(model["rate"]) + _fraction(
            model.get("fixedAmount")
        )
        if "maximum" in model:
            price = min(price, _fraction(model["maximum"]))
        if "minimum" in model:
            price = max(price, _fraction(model["minimum"]))
        amount += price
    return amount


def _dynamic(_model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    return sum((Fraction(row.amount or 0) for row in rows), Fraction(0))


def tariff_period(model: dict[str, Any], at: datetime) -> int:
    """Return the index of the tariff's period at an instant, by a wall clock in its zone."""
    clock = at.astimezone(ZoneInfo(model["timeZone"]))
    holidays = {date.fromisoformat(text) for text in model.get("holidays", [])}
    off = clock.strftime("%a") in {"Sat", "Sun"} or clock.date() in holidays
    index: int = model["weekend" if off else "weekday"][clock.month - 1][clock.hour]
    return index


def _time_of_use(model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    periods = [
        period.get("tiers", [{"unitAmount": period.get("unitAmount")}])
        for period in model["periods"]
    ]
    used: dict[int, Fraction] = defaultdict(Fraction)
    for row in rows:
        used[tariff_period(model, row.starts_at)] += Fraction(row.quantity)
    if not any(used.values()):
        return None
    scope = model.get("tierScope")
    if scope == "Chronological":
        return _in_time(model, periods, rows)
    if scope == "MonthProRata":
        return _shared(periods, used)
    return sum((_walk(periods[index], used[index]) for index in used), Fraction(0))


def _shared(periods: list[list[dict[str, Any]]], used: dict[int, Fraction]) -> Fraction:
    whole = sum(used.values(), Fraction(0))
    amount = Fraction(0)
    for index, quantity in used.items():
        if whole <= 0:
            flat = _fraction(periods[index][0].get("flatAmount")) if quantity > 0 else 0
            amount += quantity * _fraction(periods[index][0].get("unitAmount")) + flat
            continue
        lower = Fraction(0)
        for tier in periods[index]:
            upper = whole if "upTo" not in tier else min(whole, _fraction(tier["upTo"]))
            if upper > lower and quantity:
                share = (upper - lower) * quantity / whole
                amount += share * _fraction(tier.get("unitAmount"))
                amount += _fraction(tier.get("flatAmount")) if share > 0 else 0
            lower = max(lower, upper)
    return amount


def _in_time(
    model: dict[str, Any], periods: list[list[dict[str, Any]]], rows: Sequence[Row]
) -> Fraction:
    """Let usage fill the tiers as it happens; what is taken back leaves them the same way."""
    parts: dict[tuple[int, int], Fraction] = defaultdict(Fraction)
    reached = Fraction(0)
    for row in sorted(rows, key=lambda row: row.starts_at):
        index = tariff_period(model, row.starts_at)
        after = reached + Fraction(row.quantity)
        lower: Fraction | None = None
        for number, tier in enumerate(periods[index]):
            upper = _fraction(tier["upTo"]) if "upTo" in tier else None
            parts[index, number] += _clip(after, lower, upper) - _clip(reached, lower, upper)
            lower = upper
        reached = after
    amount = Fraction(0)
    for (index, number), quantity in parts.items():
        tier = periods[index][number]
        amount += quantity * _fraction(tier.get("unitAmount"))
        amount += _fraction(tier.get("flatAmount")) if quantity > 0 else 0
    return amount


def _clip(value: Fraction, lower: Fraction | None, upper: Fraction | None) -> Fraction:
    if lower is not None and value < lower:
        return lower
    return upper if upper is not None and value > upper else value


def _demand(model: dict[str, Any], rows: Sequence[Row]) -> Fraction | None:
    width = timedelta(minutes=int(model.get("window", "15m").removesuffix("m")))
    zone = ZoneInfo(model["timeZone"])
    windows: dict[datetime, Fraction] = defaultdict(Fraction)
    for row in rows:
        into = timedelta(minutes=row.starts_at.astimezone(zone).minute) % width
        windows[row.starts_at - into] += Fraction(row.quantity)
    peaks: dict[int, Fraction] = defaultdict(Fraction)
    for start, quantity in windows.items():
        index = tariff_period(model, start)
        peaks[index] = max(peaks[index], quantity * (timedelta(hours=1) // width))
    if not any(peaks.values()):
        return None
    prices = [_fraction(period["unitAmount"]) for period in model["periods"]]
    return sum((peak * prices[index] for index, peak in peaks.items()), Fraction(0))


_MODELS = {
    "flat": _flat,
    "perUnit": _per_unit,
    "graduated": _graduated,
    "graduatedPercentage": _graduated_percentage,
    "volume": _volume,
    "package": _package,
    "capacity": _capacity,
    "matrix": _matrix,
    "percentage": _percentage,
    "dynamic": _dynamic,
    "timeOfUse": _time_of_use,
    "demand": _demand,
}
