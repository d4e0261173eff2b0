"""The airport example's month of events, and the manifests it is applied with."""

import csv
import io
import tomllib
import zipfile
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from billplane.resources import validate_spec
from stdnum.eu import vat

from tests.fixtures.airport import EXAMPLE, AirportSource

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture(scope="module")
def january(airport_source: AirportSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("airport")
    printed = airport_source.prepare("2013-01", folder)
    assert printed.strip().endswith("27,004 events, 521 of them cancelled")
    return folder


@pytest.fixture(scope="module")
def events(january: Path) -> list[dict[str, str]]:
    with (january / "flights-2013-01.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def customers() -> dict[str, dict]:
    document = tomllib.loads((EXAMPLE / "customers.toml").read_text(encoding="utf-8"))
    return {customer["external_id"]: customer for customer in document["customers"]}


def test_january_has_27004_events_of_which_521_are_cancelled(events) -> None:
    assert Counter(event["cancelled"] for event in events) == {"false": 26483, "true": 521}


def test_every_event_has_an_id_of_its_own(events) -> None:
    assert len({event["id"] for event in events}) == len(events)
    assert events[0]["id"] == "UA-1545-EWR-20130101"


def test_events_are_those_of_new_yorks_january_not_of_utcs(events) -> None:
    times = [datetime.fromisoformat(event["time"]) for event in events]
    assert all(time.tzinfo is not None for time in times)
    assert {time.astimezone(NEW_YORK).month for time in times} == {1}
    assert {time.astimezone(UTC).month for time in times} == {1, 2}


def test_sixteen_airlines_fly_from_three_airports(events, customers) -> None:
    assert {event["subject"] for event in events} == set(customers)
    assert len(customers) == 16
    assert {event["origin"] for event in events} == {"EWR", "JFK", "LGA"}
    assert {event["type"] for event in events} == {"flight.scheduled"}


def test_values_are_whole_miles(events) -> None:
    assert all(event["distance"].isdecimal() for event in events)


@pytest.mark.parametrize("month", ["2013-1", "2013-13", "2012-01", "January"])
def test_a_month_that_the_data_does_not_have_is_refused(airport_source, tmp_path, month) -> None:
    with pytest.raises(RuntimeError, match="is not a month of 2013"):
        airport_source.prepare(month, tmp_path)


def test_the_manifests_are_valid_and_their_names_meet() -> None:
    documents = [
        document
        for path in sorted(EXAMPLE.glob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    kinds = {(document["kind"], document["metadata"]["name"]) for document in documents}
    assert kinds == {
        ("Meter", "flights"),
        ("Meter", "flight-miles"),
        ("BillingPlan", "departures"),
        ("ExchangeRateFeed", "ecb-2013"),
    }
    for document in documents:
        assert document["apiVersion"] == "billplane.io/v1alpha1"
        validate_spec(document["kind"], document["spec"])
    specs = {document["metadata"]["name"]: document["spec"] for document in documents}
    plan = specs["departures"]
    used = {charge["usage"]["meter"] for charge in plan["charges"] if "usage" in charge}
    assert used == {"flights", "flight-miles"}
    assert plan["alsoPricedIn"] == [{"currency": "USD", "rateFeed": "ecb-2013"}]


def test_rates_are_those_of_the_central_bank(airport_source) -> None:
    document = yaml.safe_load((EXAMPLE / "exchange_rate_feed.yaml").read_text(encoding="utf-8"))
    stated = {rate["asOf"]: rate["rate"] for rate in document["spec"]["source"]["static"]["rates"]}
    with zipfile.ZipFile(airport_source.rates) as archive:
        lines = io.TextIOWrapper(archive.open("eurofxref-hist.csv"), encoding="utf-8")
        published = {row["Date"]: row["USD"] for row in csv.DictReader(lines)}
    days = {day for day in published if "2012-12-28" <= day <= "2013-12-31"}
    assert stated == {day: published[day] for day in days}


def test_peak_hours_are_longer_in_summer() -> None:
    [plan] = yaml.safe_load_all((EXAMPLE / "billing_plan.yaml").read_text(encoding="utf-8"))
    model = plan["spec"]["charges"][4]["usage"]["model"]["timeOfUse"]
    hours = [{hour for hour, period in enumerate(row) if period == 1} for row in model["weekday"]]
    winter, summer = {6, 7, 8, 15, 16, 17, 18}, {6, 7, 8, 15, 16, 17, 18, 19}
    assert hours == [summer if month in {6, 7, 8} else winter for month in range(1, 13)]
    assert {period for row in model["weekend"] for period in row} == {0}
    assert all(date.fromisoformat(day).year == 2013 for day in model["holidays"])


def test_tax_numbers_are_valid_and_belong_to_the_address(customers) -> None:
    numbers = {
        code: customer["tax_ids"][0]["value"]
        for code, customer in customers.items()
        if "tax_ids" in customer
    }
    assert set(numbers) == {"DL", "EV", "F9", "FL"}
    for code, number in numbers.items():
        assert vat.is_valid(number)
        assert number[:2] == customers[code]["address"]["country"]


def test_customers_are_billed_in_four_members_and_in_america(customers) -> None:
    assert {customer["address"]["country"] for customer in customers.values()} == {
        *("AT", "DE", "NL", "SE", "US")
    }
    assert {customer["currency_code"] for customer in customers.values()} == {"EUR", "USD"}
    assert {customer["locale"] for customer in customers.values()} == {"de", "en"}
