"""Prices: which tariff an account has, and what it costs in each year."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from billplane.provider_simulator.domain.draws import between, one_in

FIRST_YEAR: Final = 2023
UNITS: Final = {
    "Electricity": "kWh",
    "Gas": "kWh",
    "Water": "m³",
    "Heat": "kWh",
    "Internet": "GB",
    "Telecom": "min",
    "Waste": "kg",
    "Other": "unit",
}
# Ten-thousandths of the currency's unit in the first year: for a day, for a unit.
_PRICES: Final = {
    "Electricity": (3_900, 3_120),
    "Gas": (3_300, 1_090),
    "Water": (2_100, 20_500),
    "Heat": (5_200, 1_240),
    "Internet": (11_500, 0),
    "Telecom": (4_900, 900),
    "Waste": (4_500, 2_300),
    "Other": (1_000, 10_000),
}
_DEMAND_PRICE = 92_000
# Percent on the net amount. Source: Directive 2006/112/EC, Annex III left aside; GB: VATA 1994
# Schedule 7A Group 1 (domestic fuel and power).
_TAX_PERCENT: Final = {
    "AT": 20, "BE": 21, "DE": 19, "DK": 25, "ES": 21, "FR": 20, "GB": 5, "IE": 23, "IT": 22,
    "NL": 21, "PL": 23, "PT": 23, "SE": 25, "US": 0,
}  # fmt: skip
_TAX_PERCENT_ELSEWHERE = 10


class Tariff(StrEnum):
    """What a bill's lines are made by."""

    BASIC = "Basic"
    DAY_AND_NIGHT = "Day and Night"
    BUSINESS = "Business"


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of one year, in the currency's unit."""

    day: Decimal
    unit: Decimal
    night_unit: Decimal
    demand: Decimal


def tariff_of(category: str, seed: int, account_id: str) -> Tariff:
    """Return the tariff of an account; only electricity has more than one."""
    if category != "Electricity":
        return Tariff.BASIC
    if one_in(8, seed, "business", account_id):
        return Tariff.BUSINESS
    return Tariff.DAY_AND_NIGHT if one_in(4, seed, "night", account_id) else Tariff.BASIC


def prices_of(category: str, seed: int, year: int) -> Prices:
    """Return the prices of a year: they move on each first of January."""
    day, unit = _PRICES[category]
    demand = _DEMAND_PRICE
    for later in range(FIRST_YEAR + 1, year + 1):
        percent = 100 + between(-4, 9, seed, "prices", category, later)
        day, unit, demand = day * percent // 100, unit * percent // 100, demand * percent // 100
    return Prices(*(Decimal(value).scaleb(-4) for value in (day, unit, unit * 3 // 4, demand)))


def tax_percent(country: str) -> int:
    """Return the tax on a bill of a country, in percent."""
    return _TAX_PERCENT.get(country, _TAX_PERCENT_ELSEWHERE)
