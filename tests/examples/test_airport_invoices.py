"""The expected airport invoices, against arithmetic by hand and against the platform's own cores.

`expected.py` knows nothing of the platform; here the platform rates the same departures from the
manifests, and both must agree on every line to the cent.
"""

import csv
import io
import tomllib
import zipfile
from collections import Counter, defaultdict
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import yaml
from billplane.money import CurrencyCode
from billplane.pricing.domain import UsageRow, columns_from_rows, rate_period
from billplane.resources import BillingPlanSpec, Window, usage_queries, validate_spec
from billplane.tax import domain as tax

from tests.fixtures.airport import EXAMPLE, AirportSource

NEW_YORK = ZoneInfo("America/New_York")
METERS = {"flights": lambda row: Decimal(1), "flight-miles": lambda row: Decimal(row["distance"])}


@pytest.fixture(scope="module")
def plan() -> BillingPlanSpec:
    document = yaml.safe_load((EXAMPLE / "billing_plan.yaml").read_text(encoding="utf-8"))
    spec = validate_spec("BillingPlan", document["spec"])
    assert isinstance(spec, BillingPlanSpec)
    return spec


@pytest.fixture(scope="module")
def customers() -> dict[str, dict]:
    document = tomllib.loads((EXAMPLE / "customers.toml").read_text(encoding="utf-8"))
    return {customer["external_id"]: customer for customer in document["customers"]}


@pytest.fixture(scope="module")
def departures(airport_source: AirportSource) -> dict[tuple[str, str], list[dict[str, str]]]:
    """Every departure of the rated months, by airline and New York month."""
    found = defaultdict(list)
    with zipfile.ZipFile(airport_source.flights) as archive:
        text = io.TextIOWrapper(archive.open("flights.csv"), encoding="utf-8")
        for row in csv.DictReader(text):
            if row["month"] not in {"1", "7"}:
                continue
            row["cancelled"] = "true" if row["dep_time"] == "NA" else "false"
            found[row["carrier"], f"2013-{int(row['month']):02d}"].append(row)
    return found


@pytest.mark.parametrize(
    ("airline", "currency", "lines"),
    [
        # One departure from LGA on a Wednesday at 11, 733 miles: far below the minimum.
        # 490.00, 46.50, 0 packages, 9.15, 0.35; 4,454.00 are missing to 5,000.00.
        ("OO", "EUR", [49000, 4650, 0, 915, 35, 445400]),
        # The same at 1.355: 663.95, 63.0075, 0, 12.39825, 0.47425; the minimum is 6,775.00.
        ("OO", "USD", [66395, 6301, 0, 1240, 47, 603517]),
        # 59 departures from LGA, 44 of them at peak; 95,580 miles start 10 packages.
        # 59 at 46.50, 10 at 118.40, 59 at 9.15, 44 at 4.155 and 15 at 0.35: above the minimum.
        ("F9", "EUR", [49000, 274350, 118400, 53985, 18807]),
    ],
)
def test_small_airlines_pay_what_arithmetic_by_hand_says(
    airport_source, airline, currency, lines
) -> None:
    invoice = airport_source.expected("2013-01", currency)[airline]
    assert [line["amount_minor"] for line in invoice["lines"]] == lines
    assert invoice["subtotal_minor"] == sum(lines)


def test_the_totals_in_the_readme_are_the_expected_ones(airport_source) -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    for airline, invoice in airport_source.expected("2013-01").items():
        whole, cents = divmod(invoice["total_minor"], 100)
        row = next(line for line in readme.splitlines() if line.startswith(f"| {airline} |"))
        assert row.rstrip(" |").endswith(f"{whole:,}.{cents:02d}")
        assert f"| {invoice['currency']} |" in row


@pytest.mark.parametrize("currency", ["EUR", "USD"])
def test_every_invoice_adds_up(airport_source, currency) -> None:
    for invoice in airport_source.expected("2013-01", currency).values():
        lines = invoice["lines"]
        assert invoice["subtotal_minor"] == sum(line["amount_minor"] for line in lines)
        assert invoice["discount_minor"] == sum(line["discount_minor"] for line in lines)
        assert invoice["tax_minor"] == sum(line["tax_minor"] for line in lines)
        assert invoice["net_minor"] == invoice["subtotal_minor"] - invoice["discount_minor"]
        assert invoice["total_minor"] == invoice["net_minor"] + invoice["tax_minor"]


def test_a_month_that_ends_on_a_sunday_takes_fridays_rate(airport_source) -> None:
    invoice = airport_source.expected("2013-06", "USD")["UA"]
    assert invoice["rate_as_of"] == "2013-06-28"
    assert invoice["rate"] == "1.308"


def test_the_coupon_ends_after_three_months(airport_source) -> None:
    march, april = (airport_source.expected(month)["B6"] for month in ("2013-03", "2013-04"))
    assert march["discount_minor"] > 0
    assert april["discount_minor"] == 0


@pytest.mark.parametrize("currency", ["EUR", "USD"])
@pytest.mark.parametrize("month", ["2013-01", "2013-07"])
def test_the_platform_rates_every_line_as_expected(
    airport_source, plan, departures, month, currency
) -> None:
    for airline, invoice in airport_source.expected(month, currency).items():
        rated = _rate(plan, departures.get((airline, month), []), month, invoice)
        expected = [(line["charge"], line["amount_minor"]) for line in invoice["lines"]]
        assert [(line.charge, line.amount_minor) for line in rated] == expected, airline
        quantities = [Decimal(line["quantity"]) for line in invoice["lines"]]
        assert [line.quantity for line in rated] == quantities, airline


def _rate(plan, rows, month, invoice):
    first = date.fromisoformat(f"{month}-01")
    following = (first + timedelta(days=31)).replace(day=1)
    starts_at, ends_at = (
        datetime(day.year, day.month, 1, tzinfo=NEW_YORK).astimezone(UTC)
        for day in (first, following)
    )
    usage = {
        query.charge: columns_from_rows(_usage_rows(query, rows, starts_at, ends_at))
        for query in usage_queries(plan, starts_at=starts_at, ends_at=ends_at)
    }
    return rate_period(
        plan,
        starts_at=starts_at,
        ends_at=ends_at,
        usage=usage,
        target_currency=CurrencyCode(invoice["currency"]),
        rate=Decimal(invoice["rate"]),
        rate_id="rat_1",
    )


def _usage_rows(query, rows, starts_at, ends_at):
    """Aggregate departures as metering would answer a query of pricing's."""
    totals: Counter = Counter()
    counts: Counter = Counter()
    for row in rows:
        if query.meter == "flight-miles" and row["cancelled"] == "true":
            continue
        if any(row[name] not in values for name, values in query.filter):
            continue
        at = datetime.fromisoformat(row["time_hour"])
        key = (
            tuple(row[name] for name in query.group_by),
            at if query.window is Window.HOUR else starts_at,
        )
        totals[key] += METERS[query.meter](row)
        counts[key] += 1
    whole = int((ends_at - starts_at).total_seconds())
    seconds = 3600 if query.window is Window.HOUR else whole
    return [
        UsageRow(dimensions, at, seconds, totals[dimensions, at], counts[dimensions, at])
        for dimensions, at in sorted(totals)
    ]


def test_the_platform_taxes_every_invoice_as_expected(airport_source, customers) -> None:
    for airline, invoice in airport_source.expected("2013-01").items():
        customer = customers[airline]
        assert customer["currency_code"] == invoice["currency"]
        buyer = tax.Buyer(
            country=customer["address"]["country"],
            tax_type=customer["tax_type"],
            tax_ids=tuple((item["type"], item["value"]) for item in customer.get("tax_ids", ())),
        )
        lines = [
            tax.Line(
                str(index),
                line["amount_minor"] - line["discount_minor"],
                date(2013, 1, 31),
                category="Standard",
            )
            for index, line in enumerate(invoice["lines"])
        ]
        calculation = tax.calculate(
            buyer, lines, CurrencyCode(invoice["currency"]), seller_country="AT"
        )
        [group] = calculation.groups
        assert (group.treatment, group.rate) == (
            invoice["treatment"],
            Decimal(invoice["tax_rate"]),
        ), airline
        assert calculation.tax_minor == invoice["tax_minor"], asdict(calculation)
        assert [line.tax_minor for line in calculation.lines] == [
            line["tax_minor"] for line in invoice["lines"]
        ]
