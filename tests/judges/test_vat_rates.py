"""Our VAT table against two independent ones. Needs only pytest and the two packages."""

import csv
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "services" / "billplane" / "tax" / "data" / "eu_vat.csv"

MEMBERS = frozenset(
    {"AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES"}
    | {"FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU"}
    | {"LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"}
)
CATEGORIES = frozenset({"Standard", "Intermediate", "Reduced", "SuperReduced"})
FAR = date(9999, 1, 1)

Row = tuple[Decimal, date, date]


@pytest.fixture(scope="module")
def table() -> dict[tuple[str, str], list[Row]]:
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    with DATA.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            ends = date.fromisoformat(row["valid_until"]) if row["valid_until"] else FAR
            rows[row["country"], row["category"]].append(
                (Decimal(row["rate"]), date.fromisoformat(row["valid_from"]), ends)
            )
    return rows


def rate_on(rows: list[Row], day: date) -> Decimal:
    [rate] = [rate for rate, starts, ends in rows if starts <= day < ends]
    return rate


def test_every_member_has_standard_rates_and_nobody_else(table) -> None:
    assert {country for country, _ in table} == MEMBERS
    assert {category for _, category in table} == CATEGORIES
    assert {country for country, category in table if category == "Standard"} == MEMBERS


def test_rows_follow_each_other_without_overlap_or_gap(table) -> None:
    for rows in table.values():
        assert all(starts < ends for _, starts, ends in rows)
        assert all(before[2] == after[1] for before, after in pairwise(rows))
        assert all(before[0] != after[0] for before, after in pairwise(rows))
        assert rows[-1][2] == FAR


def test_standard_rates_reach_back_to_the_beginning_of_2012(table) -> None:
    for country in MEMBERS - {"HR"}:
        assert table[country, "Standard"][0][1] <= date(2012, 1, 1)
    assert table["HR", "Standard"][0][1] == date(2012, 3, 1)


def test_rates_lie_where_the_vat_directive_allows(table) -> None:
    for (_, category), rows in table.items():
        for rate, _, _ in rows:
            if category == "Standard":
                assert 15 <= rate <= 27
            elif category == "SuperReduced":
                assert 0 < rate < 5
            else:
                assert 5 <= rate < 20


def test_the_higher_of_two_reduced_rates_is_the_intermediate_one(table) -> None:
    for country, category in table:
        if category == "Intermediate":
            assert table[country, "Intermediate"][-1][0] > table[country, "Reduced"][-1][0]


@pytest.mark.parametrize(
    ("country", "day", "expected"),
    [
        ("AT", date(2013, 6, 1), "20"),
        ("DE", date(2013, 6, 1), "19"),
        ("NL", date(2013, 6, 1), "21"),
        ("SE", date(2013, 6, 1), "25"),
        ("FR", date(2013, 12, 31), "19.6"),
        ("FR", date(2014, 1, 1), "20"),
        ("FI", date(2012, 12, 31), "23"),
        ("FI", date(2013, 1, 1), "24"),
        ("NL", date(2012, 9, 30), "19"),
        ("IT", date(2013, 9, 30), "21"),
        ("IT", date(2013, 10, 1), "22"),
        ("CY", date(2013, 1, 13), "17"),
        ("CY", date(2013, 1, 14), "18"),
    ],
)
def test_standard_rates_around_2013_are_those_that_the_commission_published(
    table, country, day, expected
) -> None:
    assert rate_on(table[country, "Standard"], day) == Decimal(expected)


def test_every_day_since_2016_has_the_standard_rate_of_duty27(table) -> None:
    judge = import_module("duty27_eu_vat")
    for country in MEMBERS:
        rows = table[country, "Standard"]
        changes = {window.effective_from for window in judge.get_rate_history(country)}
        changes |= {starts for _, starts, _ in rows if starts > judge.DATA_FIRST_DATE}
        # Rates are constant between changes: the day of each and the day before decide all.
        days = changes | {day - timedelta(days=1) for day in changes} | {judge.DATA_AS_OF}
        for day in days:
            if day >= judge.DATA_FIRST_DATE:
                assert rate_on(rows, day) == judge.get_standard_rate(country, day), (country, day)


def test_todays_standard_rates_are_those_of_eu_vat_rates_data(table) -> None:
    judge = import_module("eu_vat_rates_data")
    checked = date.fromisoformat(judge.data_version)
    members = {
        code: Decimal(str(rates["standard"]))
        for code, rates in judge.get_all_rates().items()
        if rates["eu_member"]
    }
    assert set(members) == MEMBERS
    ours = {country: rate_on(table[country, "Standard"], checked) for country in MEMBERS}
    assert ours == members


def test_todays_reduced_rates_are_among_those_of_eu_vat_rates_data(table) -> None:
    judge = import_module("eu_vat_rates_data")
    checked = date.fromisoformat(judge.data_version)
    for (country, category), rows in table.items():
        if category == "Standard":
            continue
        listed = judge.get_rate(country)
        theirs = {*listed["reduced"], listed["super_reduced"]} - {None}
        ours = rate_on(rows, checked)
        assert ours in {Decimal(str(rate)) for rate in theirs}, (country, category)
