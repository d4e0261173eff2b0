"""How much is used on a day: season, temperature, weekday and chance, in whole thousandths.

Units: quantities are thousandths of the account's unit (watt-hours, litres, megabytes), factors are
thousandths too, temperatures tenths of a degree Celsius.
"""

from datetime import date, timedelta
from functools import lru_cache
from typing import Final

from billplane.provider_simulator.domain.draws import between

# Mean temperature of the middle of each month, of a temperate place.
_MONTH_MEANS: Final = (5, 15, 50, 95, 140, 170, 190, 185, 150, 100, 50, 20)
_HEATED_BELOW, _COOLED_ABOVE = 155, 220
# Usage of a day without weather, and what a degree of cold and of heat adds, by category.
_DAILY: Final = {
    "Electricity": (7_500, 25, 120),
    "Gas": (2_500, 650, 0),
    "Water": (320, 0, 12),
    "Heat": (1_500, 550, 0),
    "Internet": (9_000, 0, 0),
    "Telecom": (400, 0, 0),
    "Waste": (1_200, 0, 0),
    "Other": (1_000, 0, 0),
}
# Factors of Monday to Sunday.
_WEEKDAYS: Final = (980, 960, 970, 980, 1_000, 1_060, 1_050)


@lru_cache(maxsize=4096)
def temperature(seed: int, day: date) -> int:
    """Return the mean temperature of a day, the same for every customer of a utility."""
    # Months are joined by straight lines from middle to middle.
    month, into = day.month - 1, day.day - 15
    other = (month + (1 if into >= 0 else -1)) % 12
    share = abs(into)
    mean = (_MONTH_MEANS[month] * (30 - share) + _MONTH_MEANS[other] * share) // 30
    return mean + between(-45, 45, seed, "temperature", day)


def daily_usage(seed: int, category: str, account_id: str, day: date) -> int:
    """Return what an account uses on a day."""
    base, cold, heat = _DAILY[category]
    degrees = temperature(seed, day)
    usage = base
    usage += cold * max(0, _HEATED_BELOW - degrees) // 10
    usage += heat * max(0, degrees - _COOLED_ABOVE) // 10
    size = between(450, 1_900, seed, "size", account_id)
    chance = between(800, 1_200, seed, "chance", account_id, day)
    return usage * size * _WEEKDAYS[day.weekday()] * chance // 10**9


def usage_between(seed: int, category: str, account_id: str, starts_on: date, ends_on: date) -> int:
    """Return what an account uses from a day up to, and without, another."""
    return sum(daily_usage(seed, category, account_id, day) for day in days(starts_on, ends_on))


def peak_between(seed: int, category: str, account_id: str, starts_on: date, ends_on: date) -> int:
    """Return the highest quarter-hour's power within a period, in thousandths."""
    highest = 0
    for day in days(starts_on, ends_on):
        # A day's mean power, and how far its highest quarter of an hour stands out.
        above = between(1_800, 3_200, seed, "peak", account_id, day)
        usage = daily_usage(seed, category, account_id, day)
        highest = max(highest, usage * above // 24_000)
    return highest


def days(starts_on: date, ends_on: date) -> list[date]:
    """Return the days from one up to, and without, another."""
    return [starts_on + timedelta(days=count) for count in range((ends_on - starts_on).days)]
