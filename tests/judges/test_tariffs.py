"""Invoices of a year of hourly readings against NREL's utility rate engine, within a cent a month.

The engine counts a year of 8,760 hours from a Monday on and knows no summer time: so did Phoenix
in 2018. Its net metering shares a month's tiers among the periods of the tariff by their part of
the usage, its net billing lets usage fill the tiers as it happens.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.judges.conftest import Judged
from tests.pricing import tariffs

Utilityrate5: Any = pytest.importorskip("PySAM.Utilityrate5")

ZONE = "America/Phoenix"
YEAR = 2018
ALWAYS = 1e38
NET_METERING, NET_BILLING = 0, 2
BUSINESS = tariffs.Tariff(
    demand=("4.25", "9.755", "21.3375"),
    demand_weekday=tariffs.PEAK,
    demand_weekend=tariffs.WEEKEND,
    demand_minutes=60,
    fixed="43.27",
)


def by_tiers(scope: str) -> tariffs.Tariff:
    """Give a tariff of three periods with three tiers each."""
    return tariffs.Tariff(
        energy=tariffs.TIERED, weekday=tariffs.PEAK, weekend=tariffs.WEEKEND, scope=scope
    )


CHARGES = {
    "tiered": (tariffs.Tariff(energy=tariffs.TARIFFS["residential tiered"].energy), NET_METERING),
    "shared": (by_tiers("MonthProRata"), NET_METERING),
    "in-time": (by_tiers("Chronological"), NET_BILLING),
    "demand": (BUSINESS, NET_METERING),
}


def test_twelve_invoices_of_a_business_are_those_of_the_judge(shop: Judged) -> None:
    readings = list(tariffs.readings(ZONE, YEAR, 60))
    invoices = billed(shop, readings)
    expected = {
        name: judged(tariff, option, readings) for name, (tariff, option) in CHARGES.items()
    }

    assert len(invoices) == 12
    for month, invoice in enumerate(invoices):
        found = {line["charge"]: Decimal(line["amount_minor"]) / 100 for line in invoice["lines"]}
        found["demand"] += found.pop("fixed")
        for name, months in expected.items():
            assert abs(float(found[name]) - months[month]) <= 0.01, (month + 1, name)


def billed(shop: Judged, readings: Sequence[tariffs.Reading]) -> list[dict[str, Any]]:
    """Let the platform bill the year, from readings to invoices."""
    meter = {"eventType": "meter.read", "aggregation": "Sum", "valueProperty": "$.kwh"}
    shop.call("POST", "/v1/meters", {"name": "energy", "spec": meter})
    spec = tariffs.as_plan(BUSINESS, ZONE)
    for name, (tariff, _) in CHARGES.items():
        for charge in tariffs.as_plan(tariff, ZONE)["charges"]:
            if charge["name"] == "energy":
                spec["charges"].append(charge | {"name": name})
    shop.call("POST", "/v1/plans", {"name": "judged-tariff", "spec": spec})
    clock = shop.call("POST", "/v1/test_clocks", {"now": new_year(YEAR)})["id"]
    customer = {"name": "Bakery", "external_id": "bakery", "currency_code": "USD"}
    made = shop.call("POST", "/v1/customers", {**customer, "test_clock_id": clock})
    shop.call("POST", "/v1/subscriptions", {"customer_id": "bakery", "plan": "judged-tariff"})
    for start in range(0, len(readings), 1000):
        events = [event(reading) for reading in readings[start : start + 1000]]
        shop.call("POST", "/v1/usage_events", events)
    shop.call("POST", f"/v1/test_clocks/{clock}:advance", {"to": new_year(YEAR + 1)})
    run = shop.call("POST", "/v1/billing_runs", {})
    deadline = time.monotonic() + 300
    while run["state"] == "running":
        assert time.monotonic() < deadline, "the year is not billed after five minutes"
        time.sleep(0.2)
        run = shop.call("GET", f"/v1/billing_runs/{run['id']}")
    path = f"/v1/invoices?limit=200&order=asc&customer_id={made['id']}"
    found: list[dict[str, Any]] = shop.call("GET", path)["data"]
    return found


def event(reading: tariffs.Reading) -> dict[str, Any]:
    """Write a reading as a CloudEvent."""
    at = reading.starts_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    kilowatt_hours = f"{reading.energy // 1000}.{reading.energy % 1000:03}"
    return {
        "specversion": "1.0",
        "type": "meter.read",
        "source": "judge",
        "id": at,
        "subject": "bakery",
        "time": at,
        "data": {"kwh": kilowatt_hours},
    }


def new_year(year: int) -> str:
    """Give the instant at which a year begins in Phoenix."""
    return datetime(year, 1, 1, tzinfo=ZoneInfo(ZONE)).astimezone(UTC).isoformat()


def judged(
    tariff: tariffs.Tariff, option: int, readings: Sequence[tariffs.Reading]
) -> Sequence[float]:
    """Give the engine's bill of each month."""
    engine = Utilityrate5.new()
    engine.Load.load = [reading.energy / 1000 for reading in readings]
    engine.SystemOutput.gen = [0.0] * len(readings)
    engine.SystemOutput.degradation = [0]
    engine.Lifetime.assign(
        {"analysis_period": 1, "system_use_lifetime_output": 0, "inflation_rate": 0}
    )
    rates = engine.ElectricityRates
    rates.assign(
        {
            "en_electricity_rates": 1,
            "rate_escalation": [0],
            "ur_metering_option": option,
            "ur_monthly_fixed_charge": float(tariff.fixed),
            "ur_monthly_min_charge": 0,
            "ur_annual_min_charge": 0,
            "ur_nm_yearend_sell_rate": 0,
            "ur_nm_credit_month": 0,
            "ur_nm_credit_rollover": 0,
            "ur_nb_credit_expire": 0,
            "ur_nb_apply_credit_current_month": 0,
            "ur_sell_eq_buy": 0,
            "ur_en_ts_sell_rate": 0,
            "ur_en_ts_buy_rate": 0,
            "ur_enable_billing_demand": 0,
            "TOU_demand_single_peak": 0,
            "ur_ec_tou_mat": [
                [period, tier, ALWAYS if end is None else float(end), 0, float(price), 0]
                for period, tiers in enumerate(tariff.energy or ([(None, "0")],), 1)
                for tier, (end, price) in enumerate(tiers, 1)
            ],
            "ur_ec_sched_weekday": from_one(tariff.weekday),
            "ur_ec_sched_weekend": from_one(tariff.weekend),
            "ur_dc_enable": int(bool(tariff.demand)),
            "ur_dc_flat_mat": [[month, 1, ALWAYS, 0] for month in range(12)],
            "ur_dc_tou_mat": [
                [period, 1, ALWAYS, float(price)]
                for period, price in enumerate(tariff.demand or ("0",), 1)
            ],
            "ur_dc_sched_weekday": from_one(tariff.demand_weekday),
            "ur_dc_sched_weekend": from_one(tariff.demand_weekend),
        }
    )
    engine.execute()
    months: Sequence[float] = engine.Outputs.year1_monthly_utility_bill_wo_sys
    return months


def from_one(grid: tariffs.Grid) -> list[list[int]]:
    """Count periods from one, as the engine does."""
    return [[period + 1 for period in row] for row in grid]
