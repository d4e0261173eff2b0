"""Fees, proration, bounds, currencies and refusals of a rated period."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from billplane.pricing.domain import Period, rate_period
from billplane.pricing.errors import (
    ChargeModelNotRated,
    CurrencyNotPriced,
    PeriodInvalid,
    RateRequired,
    UsageChargeUnknown,
    UsageShapeMismatch,
)
from billplane.resources import usage_queries
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pricing.oracle import half_up
from tests.pricing.plans import (
    FEBRUARY,
    JANUARY,
    at,
    columns,
    exact,
    fee,
    plan,
    priced,
    rate_usage,
    row,
)

DAY = timedelta(days=1)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
ARREARS = {"billed": "InArrears"}


def rate(spec, starts_at=JANUARY, ends_at=FEBRUARY, usage=None, **fields):
    return rate_period(spec, starts_at=starts_at, ends_at=ends_at, usage=usage or {}, **fields)


def amounts(lines):
    return [(line.charge, line.amount_minor) for line in lines]


def calls(quantity):
    return {"calls": columns([row(quantity)])}


PER_CALL = priced({"perUnit": {"unitAmount": "1"}})


def test_a_fee_that_is_not_prorated_is_owed_in_full():
    whole = fee("10.00", prorate=False, **ARREARS)

    assert amounts(rate(plan(whole), at("2026-01-31T00Z"))) == [("platform", 1000)]


def test_a_fee_of_no_day_has_no_line():
    lines = rate(plan(fee("10.00", **ARREARS)), at("2026-01-15T10Z"), at("2026-01-15T18Z"))

    assert lines == []


def test_fees_in_advance_are_billed_for_the_period_that_begins():
    spec = plan(fee("49.00"), fee("10.00", "support", **ARREARS), PER_CALL)

    lines = rate(spec, usage=calls("3"), advance=Period(FEBRUARY, MARCH))

    assert [(line.charge, line.amount_minor, line.starts_at) for line in lines] == [
        ("platform", 4900, FEBRUARY),
        ("support", 1000, JANUARY),
        ("calls", 300, JANUARY),
    ]
    assert amounts(rate(spec, usage=calls("3"))) == [("support", 1000), ("calls", 300)]


def test_the_first_invoice_has_only_the_prorated_fees_in_advance():
    spec = plan(fee("31.00"), fee("10.00", "support", **ARREARS), minimumCommitment="500")
    begun = Period(at("2026-01-15T09:30Z"), FEBRUARY)

    lines = rate(spec, begun.starts_at, begun.ends_at, advance=begun, advance_only=True)

    assert amounts(lines) == [("platform", 1700)]


@pytest.mark.parametrize(
    ("quantity", "lines"),
    [
        ("30", [("calls", 3000), ("minimumCommitment", 2100)]),
        ("50.996", [("calls", 5100)]),
        ("51", [("calls", 5100)]),
        ("70", [("calls", 7000)]),
        ("200", [("calls", 20000), ("maximumCharge", -4900)]),
    ],
)
def test_the_total_of_a_period_is_lifted_to_the_commitment_and_cut_at_the_maximum(quantity, lines):
    spec = plan(fee("49.00"), PER_CALL, minimumCommitment="100", maximumCharge="200")

    # The fee of 49.00 was billed when the period began, and counts.
    assert amounts(rate(spec, usage=calls(quantity))) == lines


def test_a_commitment_is_prorated_like_a_fee_and_a_maximum_is_not():
    spec = plan(PER_CALL, minimumCommitment="62", maximumCharge="62")

    (line,) = rate(spec, at("2026-01-17T00Z"))
    over = rate(spec, at("2026-01-17T00Z"), usage=calls("63"))

    assert (line.kind, line.amount_minor) == ("commitment", 3000)
    assert line.description == "Minimum commitment (15 of 31 days)"
    assert amounts(over) == [("calls", 6300), ("maximumCharge", -100)]


MONEY = st.decimals("0", "9999", places=4)


@given(
    prices=st.lists(MONEY, min_size=1, max_size=5),
    quantity=st.decimals("0", "9999", places=6),
    rate_value=st.decimals("0.000001", "2000", places=6),
    bounds=st.tuples(MONEY, MONEY),
    currency=st.sampled_from([("USD", 2), ("JPY", 0), ("KWD", 3)]),
)
@settings(max_examples=150, deadline=None)
def test_lines_are_converted_exactly_rounded_once_and_kept_within_bounds(
    prices, quantity, rate_value, bounds, currency
):
    code, digits = currency
    charges = [
        priced({"perUnit": {"unitAmount": format(price, "f")}}, f"c{index}")
        for index, price in enumerate(prices)
    ]
    low, high = sorted(bounds)
    spec = plan(
        *charges,
        minimumCommitment=format(low, "f"),
        maximumCharge=format(high, "f"),
        alsoPricedIn=[{"currency": code, "rateFeed": "ecb"}],
    )
    usage = {charge["name"]: columns([row(quantity)]) for charge in charges}

    lines = rate(spec, usage=usage, target_currency=code, rate=rate_value, rate_id="rate_1")

    expected = [Fraction(price) * Fraction(quantity) * Fraction(rate_value) for price in prices]
    if not quantity:
        expected = []
    rounded = [half_up(amount, digits) for amount in expected]
    of_usage = [line for line in lines if line.kind == "usage"]
    assert [line.amount_minor for line in of_usage] == rounded
    assert [line.exact_amount for line in of_usage] == list(map(exact, expected))
    converted = [Fraction(bound) * Fraction(rate_value) for bound in (low, high)]
    floor, ceiling = (half_up(bound, digits) for bound in converted)
    assert sum(line.amount_minor for line in lines) == min(max(sum(rounded), floor), ceiling)
    assert len(lines) - len(of_usage) == (not floor <= sum(rounded) <= ceiling)


def test_a_converted_line_names_its_rate_and_what_it_was():
    spec = plan(PER_CALL, alsoPricedIn=[{"currency": "USD", "rateFeed": "ecb"}])

    (line,) = rate(
        spec, usage=calls("3"), target_currency="USD", rate=Decimal("1.0835"), rate_id="rate_7"
    )

    assert (line.exact_amount, line.amount_minor) == (Decimal("3.2505"), 325)
    assert line.unit_amount == Decimal("1.0835")
    assert line.detail["conversion"] == {
        "from": "EUR",
        "amount": "3",
        "rate": "1.0835",
        "rate_id": "rate_7",
    }


def test_a_currency_that_the_plan_is_not_priced_in_is_refused():
    with pytest.raises(CurrencyNotPriced):
        rate(plan(PER_CALL), target_currency="USD", rate=Decimal(1))


@pytest.mark.parametrize("value", [None, Decimal(0), Decimal(-1), Decimal("NaN"), Decimal("1e99")])
def test_another_currency_needs_a_rate_above_zero(value):
    spec = plan(PER_CALL, alsoPricedIn=[{"currency": "USD", "rateFeed": "ecb"}])

    with pytest.raises(RateRequired):
        rate(spec, target_currency="USD", rate=value)


def test_usage_of_a_charge_that_is_not_there_is_refused():
    with pytest.raises(UsageChargeUnknown):
        rate(plan(fee("1")), usage=calls("1"))
    with pytest.raises(UsageChargeUnknown):
        rate(plan(fee("1", "calls")), usage=calls("1"))


def test_usage_without_the_dimensions_of_its_charge_is_refused():
    grouped = priced({"perUnit": {"unitAmount": "1"}}, groupBy=["region"])

    with pytest.raises(UsageShapeMismatch):
        rate(plan(grouped), usage=calls("1"))


def test_an_external_price_that_nobody_fetched_is_refused():
    external = priced({"external": {"url": "https://example.com", "response": {"amount": "$.a"}}})

    with pytest.raises(ChargeModelNotRated, match="external source"):
        rate(plan(external), usage=calls("1"))


@pytest.mark.parametrize(
    ("starts_at", "ends_at"),
    [
        (FEBRUARY, JANUARY),
        (JANUARY, JANUARY),
        (JANUARY.replace(tzinfo=None), FEBRUARY.replace(tzinfo=None)),
        (JANUARY, MARCH),
    ],
)
def test_a_period_that_is_empty_backwards_naive_or_too_long_is_refused(starts_at, ends_at):
    with pytest.raises(PeriodInvalid):
        rate(plan(fee("1", **ARREARS)), starts_at, ends_at)


def test_grouped_usage_has_a_line_a_group_with_tiers_of_its_own():
    tiers = [{"upTo": "10", "unitAmount": "1"}, {"unitAmount": "0.5"}]
    charge = priced(
        {"graduated": {"tiers": tiers}}, groupBy=["region"], filter=[{"property": "a", "in": ["b"]}]
    )
    rows = [row("12", dimensions={"region": name}) for name in ("eu", "us", "us")]

    lines = rate_usage(charge, rows, dimensions=["region"])

    assert [(line.description, line.amount_minor) for line in lines] == [
        ("calls: eu", 1100),
        ("calls: us", 1700),
    ]
    assert lines[0].detail == {
        "dimensions": {"region": "eu"},
        "tiers": [
            {
                "tier": 0,
                "up_to": "10",
                "quantity": "10",
                "unit_amount": "1",
                "flat_amount": "0",
                "amount": "10",
            },
            {
                "tier": 1,
                "up_to": None,
                "quantity": "2",
                "unit_amount": "0.5",
                "flat_amount": "0",
                "amount": "1",
            },
        ],
    }


def test_seats_pay_for_the_days_they_existed():
    charge = priced({"seats": {"unitAmount": "31"}})
    whole_month = row("10", JANUARY, seconds=31 * 86400)
    added = row("2", at("2026-01-22T00Z"), seconds=10 * 86400)

    (line,) = rate_usage(charge, [whole_month, added])

    assert (line.quantity, line.exact_amount) == (10, 10 * 31 + 2 * 10)
    (flat,) = rate_usage(priced({"seats": {"unitAmount": "31", "prorate": False}}), [added])
    assert flat.exact_amount == 62


def test_a_charge_says_which_usage_it_is_rated_from():
    matrix = {
        "dimensions": ["origin", "carrier"],
        "cells": [{"values": ["JFK", "*"], "unitAmount": "1"}],
        "default": {"unitAmount": "2"},
    }
    spec = plan(
        fee("1"),
        priced({"matrix": matrix}, groupBy=["carrier"], filter=[{"property": "a", "in": ["b"]}]),
        priced({"dynamic": {"amountProperty": "$.amount"}}, "spot"),
    )

    by_matrix, dynamic = usage_queries(spec, starts_at=JANUARY, ends_at=FEBRUARY)

    assert (by_matrix.group_by, by_matrix.window) == (("carrier", "origin"), "PERIOD")
    assert by_matrix.filter == (("a", ("b",)),)
    assert (dynamic.event_properties, dynamic.window) == (("$.amount",), "EVENT")
