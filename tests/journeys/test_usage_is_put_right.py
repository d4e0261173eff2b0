"""What was billed and is wrong is put right on the next invoice, once, and never below zero."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest

from tests.journeys.test_metered_usage_becomes_an_invoice import billed

METER = {"eventType": "api.request", "aggregation": "Sum", "valueProperty": "$.units"}
MODEL = {"perUnit": {"unitAmount": "1"}}
PLAN = {
    "currency": "EUR",
    "interval": {"unit": "Month", "anchor": "Calendar"},
    "charges": [{"name": "calls", "usage": {"meter": "calls", "model": MODEL}}],
}


class Subscriber:
    """A customer on a plan of its tenant, by a test clock that stands at January."""

    def __init__(self, platform, tenant):
        self.platform = platform
        self.tenant = tenant

    async def request(self, method, path, expect, **options):
        headers = self.platform.headers(self.tenant)
        return await self.platform.request(method, path, headers=headers, expect=expect, **options)

    async def post(self, path, body, expect=201):
        return await self.request("POST", path, expect, json=body)

    async def begin(self, meter=METER, plan=PLAN, now="2026-01-01T00:00:00Z"):
        await self.post("/v1/meters", {"name": "calls", "spec": meter})
        await self.post("/v1/plans", {"name": "pro", "spec": plan})
        clock = await self.post("/v1/test_clocks", {"now": now})
        self.clock = clock["id"]
        body = {"name": "Ada", "external_id": "ada", "test_clock_id": self.clock}
        await self.post("/v1/customers", body)
        await self.post("/v1/subscriptions", {"customer_id": "ada", "plan": "pro"})

    async def use(self, name, day, units, at="12:00:00"):
        event = {
            "type": "api.request",
            "source": "tests",
            "id": name,
            "subject": "ada",
            "time": f"2026-{day}T{at}Z",
            "data": {"units": units},
        }
        await self.post("/v1/usage_events", event, 202)

    async def adjust(self, verb, name, **body):
        body = {"source": "tests", "id": name, **body}
        return await self.post(f"/v1/usage_events:{verb}", body, 200)

    async def advance(self, to):
        """Go to an instant, and bill what is due then."""
        await self.post(f"/v1/test_clocks/{self.clock}:advance", {"to": to}, 200)
        assert (await billed(self.platform, self.tenant))["errors"] == []

    async def bill(self, month):
        """Go to the first of a month; return amounts by the first day of what they are for."""
        await self.advance(f"2026-{month:02}-01T00:00:00Z")
        (invoice, *_) = (await self.request("GET", "/v1/invoices", 200))["data"]
        assert invoice["state"] in ("finalized", "paid")
        return invoice["subtotal_minor"], sorted(
            (line["starts_at"][5:7], line["amount_minor"]) for line in invoice["lines"]
        )


@pytest.fixture
def ada(platform, request):
    """Give a subscriber of a tenant of the test's own."""
    return Subscriber(platform, f"ten_{request.node.name}"[:200])


async def test_voids_corrections_and_late_usage_of_any_billed_month_come_once(ada):
    await ada.begin()
    await ada.use("e1", "01-10", 10)
    await ada.use("e2", "01-11", 5)
    assert await ada.bill(2) == (15_00, [("01", 15_00)])
    await ada.use("e3", "02-10", 20)
    assert await ada.bill(3) == (20_00, [("02", 20_00)])
    await ada.adjust("void", "e1")
    await ada.adjust("correct", "e2", quantity="7.5")
    await ada.use("late", "02-28", 3)
    await ada.use("e4", "03-10", 30)
    # January was billed two months ago: 10 too much, 2.50 too little.
    assert await ada.bill(4) == (25_50, [("01", -7_50), ("02", 3_00), ("03", 30_00)])
    await ada.use("e5", "04-10", 4)
    assert await ada.bill(5) == (4_00, [("04", 4_00)])


async def test_an_open_months_void_is_in_the_estimate_at_once_and_on_no_invoice(ada):
    await ada.begin()
    await ada.use("e1", "01-10", 10)
    await ada.use("e2", "01-11", 5)
    found = await ada.request("GET", "/api/v1/billing/ada", 200)
    assert found["subtotal_minor"] == 15_00
    await ada.adjust("void", "e1")
    found = await ada.request("GET", "/api/v1/billing/ada", 200)
    assert found["subtotal_minor"] == 5_00
    assert await ada.bill(2) == (5_00, [("01", 5_00)])


async def test_what_an_invoice_has_no_room_for_is_given_back_by_the_next(ada):
    await ada.begin()
    await ada.use("e1", "01-10", 30)
    assert await ada.bill(2) == (30_00, [("01", 30_00)])
    await ada.adjust("void", "e1")
    await ada.use("e2", "02-10", 5)
    assert await ada.bill(3) == (0, [("01", -5_00), ("02", 5_00)])
    await ada.use("e3", "03-10", 40)
    assert await ada.bill(4) == (15_00, [("01", -25_00), ("03", 40_00)])
    await ada.use("e4", "04-10", 1)
    assert await ada.bill(5) == (1_00, [("04", 1_00)])


# Quantities of January, February and March. Of the weighted sum: 7 for 4 days, 1 for 10, 4 for 10
# of 31 days; then 4 for 14 and 8 for 14 of 28; then 8, which nothing has changed since.
QUANTITIES = {
    "Sum": (12, 8, 0),
    "Count": (3, 1, 0),
    "Max": (7, 8, 0),
    "Min": (1, 8, 0),
    "Latest": (4, 8, 0),
    "UniqueCount": (3, 1, 0),
    "Average": (4, 8, 0),
    "WeightedSum": ("2.516129", 6, 8),
}


async def test_every_aggregation_is_billed_as_it_is_counted(ada):
    charges = []
    for aggregation in QUANTITIES:
        spec = {"eventType": "api.request", "aggregation": aggregation}
        if aggregation != "Count":
            spec["valueProperty"] = "$.units"
        name = aggregation.lower()
        await ada.post("/v1/meters", {"name": name, "spec": spec})
        charges.append({"name": name, "usage": {"meter": name, "model": MODEL}})
    # The first usage charge is the one that the invoice's chart shows, by day.
    await ada.begin(plan={**PLAN, "charges": charges[::-1]})
    for number, (day, units) in enumerate([("08", 7), ("12", 1), ("22", 4)]):
        await ada.use(f"e{number}", f"01-{day}", units, at="00:00:00")
    await ada.use("e9", "02-15", 8, at="00:00:00")
    for month, quantities in enumerate(zip(*QUANTITIES.values(), strict=True), start=2):
        (_, lines) = await ada.bill(month)
        cents = [Decimal(quantity) * 100 for quantity in quantities if quantity]
        expected = sorted(int(exact.quantize(Decimal(1), ROUND_HALF_UP)) for exact in cents)
        assert sorted(amount for _, amount in lines) == expected


async def test_a_clock_that_crosses_the_end_of_summer_time_bills_no_hour_twice(ada):
    grid = [[0] * 8 + [1] * 16] * 12
    prices = [{"name": "night", "unitAmount": "1"}, {"name": "day", "unitAmount": "2"}]
    model = {"timeZone": "Europe/Berlin", "periods": prices, "weekday": grid, "weekend": grid}
    usage = {"meter": "calls", "model": {"timeOfUse": model}}
    interval = {"unit": "Day", "anchor": "Calendar", "timeZone": "Europe/Berlin"}
    plan = {**PLAN, "interval": interval, "charges": [{"name": "calls", "usage": usage}]}
    await ada.begin(plan=plan, now="2026-10-24T00:00:00+02:00")
    start = datetime(2026, 10, 23, 22, tzinfo=UTC)
    hours = [start + timedelta(hours=number) for number in range(24 + 25 + 24)]
    for number, at in enumerate(hours):
        event = {
            "type": "api.request", "source": "tests", "id": f"h{number}", "subject": "ada",
            "time": at.isoformat(), "data": {"units": 1},
        }  # fmt: skip
        await ada.post("/v1/usage_events", event, 202)
    # Before, within and after the hour that comes twice, and a day later.
    for to in ("24T23:30:00", "25T00:30:00", "25T01:30:00", "25T23:00:00", "26T23:00:00"):
        await ada.advance(f"2026-10-{to}Z")
    listed = (await ada.request("GET", "/v1/invoices?order=asc", 200))["data"]
    billed_hours = [sum(Decimal(line["quantity"]) for line in each["lines"]) for each in listed]
    assert billed_hours == [24, 25, 24]
    assert [each["subtotal_minor"] for each in listed] == [40_00, 41_00, 40_00]
