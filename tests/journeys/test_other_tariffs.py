"""January's flights on tariffs that the example does not use, each against a few lines of sums."""

import asyncio
import csv
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from tests.subscription.billing import Seller

NEW_YORK = ZoneInfo("America/New_York")
AIRLINES = ("AA", "US", "HA")
METERS = {
    "flights": {"aggregation": "Count"},
    "miles": {"aggregation": "Sum", "valueProperty": "$.distance"},
    "destinations": {"aggregation": "UniqueCount", "valueProperty": "$.dest"},
    "longest": {"aggregation": "Max", "valueProperty": "$.distance"},
}
DIMENSIONS = [{"name": name, "property": f"$.{name}"} for name in ("origin", "cancelled")]
PEAK = [1 if 7 <= hour < 19 else 0 for hour in range(24)]
GRIDS = {"weekday": [PEAK] * 12, "weekend": [[0] * 24] * 12}
HOLIDAY = "2013-01-21"


@dataclass(frozen=True)
class Flight:
    """One departure as the sums below see it."""

    at: datetime
    origin: str
    dest: str
    cancelled: str
    miles: int

    @property
    def slot(self):
        """0 off peak, 1 on peak."""
        return PEAK[self.at.hour] if self.at.weekday() < 5 else 0


def usage(meter, model, name=None, **fields):
    """Give a plan's charge for usage."""
    [kind] = model
    return {"name": name or kind.lower(), "usage": {"meter": meter, "model": model, **fields}}


def plan(*charges, unit="Month", **fields):
    interval = {"unit": unit, "anchor": "Calendar", "timeZone": "America/New_York"}
    return {"currency": "USD", "interval": interval, "charges": list(charges), **fields}


def cents(amount):
    """Round an exact amount half up."""
    return int((Fraction(amount) * 100 + Fraction(1, 2)) // 1)


def money(text):
    return Fraction(text)


def miles_of(flights):
    return sum(flight.miles for flight in flights)


def graduated(tiers, quantity):
    """Sum what falls into each tier: (end, price, flat amount)."""
    total, start = Fraction(0), 0
    for end, price, flat in tiers:
        if quantity > start:
            part = (quantity if end is None else min(quantity, end)) - start
            total += part * money(price) + money(flat)
        start = end
        if end is None or quantity <= end:
            break
    return total


def as_tiers(tiers):
    """Write tiers as a plan has them."""
    return [
        {"unitAmount": price, "flatAmount": flat, **({} if end is None else {"upTo": str(end)})}
        for end, price, flat in tiers
    ]


def found(invoice):
    """Return the amount of each line by charge and group."""
    amounts = {}
    for line in invoice["lines"]:
        group = line["description"].partition(": ")[2]
        key = (line["charge"], group) if group else line["charge"]
        assert key not in amounts
        amounts[key] = line["amount_minor"]
    return amounts


@pytest.fixture(scope="module")
def flights(airport_source, tmp_path_factory):
    """Give January's departures of some airlines as rows."""
    folder = tmp_path_factory.mktemp("tariffs")
    airport_source.prepare("2013-01", folder)
    with (folder / "flights-2013-01.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["subject"] in AIRLINES]


def of(rows, airline, since=None, until=None):
    """Give an airline's departures between two New York days."""
    made = []
    for row in rows:
        at = datetime.fromisoformat(row["time"]).astimezone(NEW_YORK)
        if row["subject"] == airline and (since or "") <= at.date().isoformat() < (until or "9"):
            made.append(
                Flight(at, row["origin"], row["dest"], row["cancelled"], int(row["distance"]))
            )
    return sorted(made, key=lambda flight: flight.at)


@pytest.fixture(scope="module")
async def seller(platform, flights):
    """Give a tenant whose meters have counted January."""
    made = Seller(platform, "ten_other_tariffs")
    for name, fields in METERS.items():
        spec = {"eventType": "flight.scheduled", "groupBy": DIMENSIONS, **fields}
        await made.call("POST", "/v1/meters", {"name": name, "spec": spec}, 201)
    for start in range(0, len(flights), 1000):
        events = [
            {
                "specversion": "1.0",
                **{name: row[name] for name in ("id", "source", "type", "subject", "time")},
                "data": {name: row[name] for name in ("distance", "origin", "dest", "cancelled")},
            }
            for row in flights[start : start + 1000]
        ]
        await made.call("POST", "/v1/usage_events", events, 202)
    return made


async def billed_until(seller, airline, spec, until, count, **subscription):
    """Subscribe an airline, let time pass and return its invoices from the first on."""
    clock = await seller.call("POST", "/v1/test_clocks", {"now": "2013-01-01T05:00:00Z"}, 201)
    seller.clock = clock["id"]
    name = f"plan-{airline.lower()}"
    await seller.call("POST", "/v1/plans", {"name": name, "spec": spec}, 201)
    customer = await seller.customer(airline, currency_code="USD")
    body = {"customer_id": airline, "plan": name, **subscription}
    await seller.call("POST", "/v1/subscriptions", body, 201)
    await seller.until(until)
    run = await seller.bills()
    assert run["errors"] == []
    path = f"/v1/invoices?limit=200&order=asc&customer_id={customer['id']}"
    for _ in range(600):
        invoices = (await seller.call("GET", path))["data"]
        if len(invoices) == count and all(item["number"] for item in invoices):
            return invoices
        await asyncio.sleep(0.1)
    raise AssertionError(f"{len(invoices)} invoices instead of {count}")


async def test_volume_flat_groups_packages_unique_and_highest(seller, flights):
    steps = [(1000, "0.009", "5"), (500_000, "0.0071", "12.5"), (None, "0.0033", "100")]
    volume = [(1000, "3", "0"), (2500, "2.25", "10"), (None, "2.125", "33.335")]
    spec = plan(
        usage("flights", {"volume": {"tiers": as_tiers(volume)}}),
        usage(
            "flights",
            {"flat": {"amount": "99.995"}},
            filter=[{"property": "cancelled", "in": ["true"]}],
        ),
        usage("miles", {"perUnit": {"unitAmount": "0.00317"}}, groupBy=["origin"]),
        usage("miles", {"graduated": {"tiers": as_tiers(steps)}}),
        usage("flights", {"package": {"size": "100", "amount": "7.77", "freeUnits": "250"}}),
        usage("destinations", {"perUnit": {"unitAmount": "12.345"}}, name="destinations"),
        usage("longest", {"perUnit": {"unitAmount": "0.0125"}}, name="longest"),
        maximumCharge="20000",
    )
    (invoice,) = await billed_until(seller, "AA", spec, "2013-02-01T05:00:00Z", 1)
    flown = of(flights, "AA")
    number, miles = len(flown), miles_of(flown)
    assert number > 2500
    expected = {
        "volume": cents(number * money("2.125") + money("33.335")),
        "flat": cents("99.995"),
        "graduated": cents(graduated(steps, miles)),
        "package": cents(-((250 - number) // 100) * money("7.77")),
        "destinations": cents(len({flight.dest for flight in flown}) * money("12.345")),
        "longest": cents(max(flight.miles for flight in flown) * money("0.0125")),
    }
    by_origin = defaultdict(int)
    for flight in flown:
        by_origin[flight.origin] += flight.miles
    for origin, sum_of_miles in by_origin.items():
        expected["perunit", origin] = cents(sum_of_miles * money("0.00317"))
    total = sum(expected.values())
    assert total > 20_000_00
    expected["maximumCharge"] = 20_000_00 - total
    assert found(invoice) == expected
    assert invoice["net_minor"] == 20_000_00


async def test_percentages_a_matrix_and_fees_from_mid_month_on(seller, flights):
    flown = of(flights, "US", since="2013-01-11")
    # Whole days are free, so that it does not matter which of two at one time came first.
    free = len(of(flights, "US", since="2013-01-11", until="2013-01-13"))
    cells = {("JFK", "false"): "1.5", ("LGA", "*"): "1.1", ("*", "true"): "0.4"}
    spec = plan(
        {"name": "ahead", "recurring": {"amount": "310.01", "billed": "InAdvance"}},
        {"name": "behind", "recurring": {"amount": "100", "billed": "InArrears"}},
        usage(
            "miles",
            {
                "percentage": {
                    "rate": "0.029",
                    "fixedAmount": "0.30",
                    "freeEvents": free,
                    "minimum": "8",
                    "maximum": "20",
                }
            },
        ),
        usage(
            "flights",
            {
                "matrix": {
                    "dimensions": ["origin", "cancelled"],
                    "cells": [
                        {"values": list(values), "unitAmount": price}
                        for values, price in cells.items()
                    ],
                    "default": {"unitAmount": "0.77"},
                }
            },
        ),
    )
    first, second = await billed_until(
        seller, "US", spec, "2013-02-01T05:00:00Z", 2, starts_at="2013-01-11T05:00:00Z"
    )
    share = Fraction(21, 31)
    assert found(first) == {"ahead": cents(share * money("310.01"))}
    percentage = sum(
        min(max(flight.miles * money("0.029") + money("0.3"), money("8")), money("20"))
        for flight in flown[free:]
    )
    matrix = Fraction(0)
    for flight in flown:
        origin, cancelled = flight.origin, flight.cancelled
        wanted = [(origin, cancelled), (origin, "*"), ("*", cancelled)]
        matrix += money(next((cells[cell] for cell in wanted if cell in cells), "0.77"))
    assert found(second) == {
        "ahead": cents("310.01"),
        "behind": cents(share * 100),
        "percentage": cents(percentage),
        "matrix": cents(matrix),
    }


async def test_weeks_by_time_of_use_and_demand(seller, flights):
    tiers = {
        0: [(3000, "0.010", "0"), (None, "0.005", "0")],
        1: [(8000, "0.033", "0"), (None, "0.020", "0")],
    }
    periods = [
        {"name": name, "tiers": [{k: v for k, v in tier.items() if k != "flatAmount"}
                                 for tier in as_tiers(tiers[slot])]}
        for slot, name in enumerate(("off", "on"))
    ]  # fmt: skip
    zone = {"timeZone": "America/New_York", **GRIDS}
    scopes = ("PerPeriod", "MonthProRata", "Chronological")
    spec = plan(
        *(
            usage(
                "miles",
                {
                    "timeOfUse": {
                        **zone, "periods": periods, "tierScope": scope, "holidays": [HOLIDAY],
                    }
                },
                name=scope.lower(),
            )
            for scope in scopes
        ),
        usage(
            "miles",
            {
                "demand": {
                    **zone,
                    "window": "60m",
                    "periods": [
                        {"name": "off", "unitAmount": "0.011"},
                        {"name": "on", "unitAmount": "0.017"},
                    ],
                }
            },
        ),
        unit="Week",
    )  # fmt: skip
    invoices = await billed_until(seller, "HA", spec, "2013-01-28T05:00:00Z", 4)
    weeks = ["2013-01-01", "2013-01-07", "2013-01-14", "2013-01-21", "2013-01-28"]
    for invoice, since, until in zip(invoices, weeks, weeks[1:], strict=False):
        starts = datetime.fromisoformat(invoice["period_starts_at"]).astimezone(NEW_YORK)
        assert starts.date().isoformat() == since
        flown = of(flights, "HA", since, until)
        assert found(invoice) == expected_week(flown, tiers), since


def expected_week(flown, tiers):
    """Compute a week's lines."""

    def slot_of(flight):
        return 0 if flight.at.date().isoformat() == HOLIDAY else flight.slot

    used, hours, whole = defaultdict(int), defaultdict(int), miles_of(flown)
    chronological, reached = Fraction(0), 0
    for flight in flown:
        slot = slot_of(flight)
        used[slot] += flight.miles
        hours[flight.at.astimezone(UTC), flight.slot] += flight.miles
        before, reached = reached, reached + flight.miles
        chronological += graduated(tiers[slot], reached) - graduated(tiers[slot], before)
    peaks = defaultdict(int)
    for (_, slot), miles in hours.items():
        peaks[slot] = max(peaks[slot], miles)
    pro_rata = sum(graduated(tiers[slot], whole) * part / whole for slot, part in used.items())
    return {
        "perperiod": cents(sum(graduated(tiers[slot], part) for slot, part in used.items())),
        "monthprorata": cents(pro_rata),
        "chronological": cents(chronological),
        "demand": cents(peaks[0] * money("0.011") + peaks[1] * money("0.017")),
    }


def test_the_airlines_fly_on_and_off_peak(flights):
    """Hold the data to what the tests above need of it."""
    week = of(flights, "HA", "2013-01-07", "2013-01-14")
    assert {flight.slot for flight in week} == {0, 1}
    assert miles_of(week) > 11_000
    assert {flight.cancelled for flight in of(flights, "US", "2013-01-11")} == {"true", "false"}
    assert of(flights, "AA")[-1].at - of(flights, "AA")[0].at > timedelta(days=30)
