"""A business's tariff from readings of its meter to invoices, over the change to summer time."""

from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from tests.pricing import tariffs
from tests.pricing.oracle import half_up
from tests.subscription.billing import Seller

ZONE = "America/New_York"
MONTHS = (2, 3)
METER = {"eventType": "meter.read", "aggregation": "Sum", "valueProperty": "$.kwh"}


def instant(month):
    return datetime(2025, month, 1, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


def event(reading, subject):
    at = reading.starts_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "specversion": "1.0",
        "type": "meter.read",
        "source": subject,
        "id": at,
        "subject": subject,
        "time": at,
        "data": {"kwh": f"{reading.energy // 1000}.{reading.energy % 1000:03}"},
    }


async def test_quarter_hours_become_the_invoices_that_plain_loops_expect(platform):
    seller = Seller(platform, "ten_utility")
    tariff = tariffs.Tariff(
        energy=tariffs.TIERED,
        weekday=tariffs.PEAK,
        weekend=tariffs.WEEKEND,
        scope="Chronological",
        demand=("4.25", "9.755", "21.3375"),
        demand_weekday=tariffs.PEAK,
        demand_weekend=tariffs.WEEKEND,
        holidays=("2025-02-17",),
        fixed="43.27",
        minimum="20",
    )
    readings = [
        reading
        for reading in tariffs.readings(ZONE, 2025, 15, seed=11)
        if reading.clock.month in MONTHS
    ]
    assert len(readings) == (28 + 31) * 96 - 4
    await seller.call("POST", "/v1/meters", {"name": "energy", "spec": METER}, 201)
    spec = tariffs.as_plan(tariff, ZONE)
    await seller.sells(spec, name="business", now=instant(2).isoformat())
    await seller.customer("bakery", currency_code="USD")
    body = {"customer_id": "bakery", "plan": "business"}
    await seller.call("POST", "/v1/subscriptions", body, 201)
    for start in range(0, len(readings), 1000):
        events = [event(reading, "bakery") for reading in readings[start : start + 1000]]
        assert (await seller.call("POST", "/v1/usage_events", events, 202))["accepted"]
    await seller.until(instant(4).isoformat())
    await seller.bills()

    invoices = await seller.invoices()

    expected = tariffs.monthly(tariff, readings)
    found = [
        {line["charge"]: line["amount_minor"] for line in invoice["lines"]} for invoice in invoices
    ]
    assert found == [
        {charge: half_up(Fraction(amount)) for charge, amount in expected[month].items() if amount}
        for month in MONTHS
    ]
