"""What follows from a seed: bills that add up, periods without gaps, late and corrected ones."""

import itertools
from datetime import date, timedelta
from decimal import Decimal
from typing import get_args

import pytest
from billplane.money import CurrencyCode, Money, minor_units
from billplane.provider_simulator import settings
from billplane.provider_simulator.domain.bills import bill_of, issues_of
from billplane.provider_simulator.domain.customers import Utility, accounts_of, customer_of
from billplane.provider_simulator.domain.load import daily_usage, temperature, usage_between
from billplane.provider_simulator.domain.tariffs import UNITS, Tariff, prices_of
from billplane.resources.utility_provider import Category
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

TODAY = date(2026, 7, 1)
CATEGORIES = get_args(Category)


def utility(seed=7, category="Electricity", country="DE", currency="EUR"):
    return Utility(seed, 200, category, country, currency)


def test_the_categories_are_those_of_the_resource():
    assert get_args(settings.Category) == CATEGORIES
    assert tuple(UNITS) == CATEGORIES


@budget(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    number=st.integers(1, 200),
    category=st.sampled_from(CATEGORIES),
    country=st.sampled_from(["DE", "GB", "US", "BR"]),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
    back=st.integers(1, 12),
)
def test_lines_sum_to_the_total_and_quantities_to_the_usage(
    seed, number, category, country, currency, back
):
    found = utility(seed, category, country, currency)
    account = accounts_of(found, number)[0]
    issue = issues_of(found, account, TODAY)[-back]
    bill = bill_of(found, account, issue)
    zero = Money.zero(CurrencyCode(currency))
    assert sum((line.amount for line in bill.lines), zero) == bill.total
    used = [line.quantity for line in bill.lines if line.kind == "energy"]
    assert sum(used) == (bill.usage if used else 0)
    assert (
        sum(line.quantity for line in bill.lines if line.kind == "fixed")
        == (issue.ends_on - issue.starts_on).days
    )
    for line in bill.lines:
        assert -line.amount.exact.as_tuple().exponent == minor_units(CurrencyCode(currency))
    assert ("tax" in {line.kind for line in bill.lines}) == (country != "US")
    assert bill.due_on > issue.statement_on >= issue.ends_on


def test_periods_follow_each_other_without_gap_or_overlap():
    found = utility()
    for number in range(1, 60):
        for account in accounts_of(found, number):
            first = [issue for issue in issues_of(found, account, TODAY) if not issue.corrects]
            periods = sorted((issue.starts_on, issue.ends_on) for issue in first)
            assert periods[0][0] == account.opened_on
            assert all(a[1] == b[0] for a, b in itertools.pairwise(periods))
            lengths = [(ends_on - starts_on).days for starts_on, ends_on in periods]
            assert all(28 <= days <= 31 for days in lengths[1:])
            assert 10 <= lengths[0] <= 41


def test_some_bills_are_late_and_some_are_corrected_by_a_later_one():
    found = utility()
    late = corrected = whole = 0
    for number in range(1, 60):
        account = accounts_of(found, number)[0]
        sent = {issue.id: issue for issue in issues_of(found, account, TODAY)}
        for issue in sent.values():
            whole += 1
            late += issue.statement_on - issue.ends_on > timedelta(days=20) and not issue.corrects
            if issue.corrects:
                corrected += 1
                earlier = sent[issue.corrects]
                assert earlier.statement_on < issue.statement_on
                assert (earlier.starts_on, earlier.ends_on) == (issue.starts_on, issue.ends_on)
    assert whole * 3 // 100 < late < whole * 9 // 100
    assert whole * 4 // 100 < corrected < whole * 10 // 100


def test_a_correction_bills_what_was_really_used():
    found = utility()
    account = accounts_of(found, 3)[0]
    issues = issues_of(found, account, TODAY)
    correction = next(issue for issue in issues if issue.corrects)
    estimate = next(issue for issue in issues if issue.id == correction.corrects)
    used = usage_between(7, "Electricity", account.id, correction.starts_on, correction.ends_on)
    assert bill_of(found, account, correction).usage == Decimal(used).scaleb(-3)
    assert bill_of(found, account, estimate).usage != Decimal(used).scaleb(-3)


def test_what_was_sent_stays_as_it_was_when_time_goes_on():
    found = utility()
    account = accounts_of(found, 2)[0]
    early = issues_of(found, account, date(2025, 3, 1))
    assert issues_of(found, account, TODAY)[: len(early)] == early


def test_a_seed_gives_the_same_bill_for_ever():
    found = utility()
    account = accounts_of(found, 2)[0]
    bill = bill_of(found, account, issues_of(found, account, TODAY)[0])
    assert account.tariff is Tariff.BUSINESS
    assert [(line.kind, str(line.quantity), str(line.amount)) for line in bill.lines] == [
        ("fixed", "32", "12.48 EUR"),
        ("energy", "332.158", "103.63 EUR"),
        ("demand", "1.415", "13.02 EUR"),
        ("tax", "None", "24.53 EUR"),
    ]
    other = utility(seed=8)
    assert bill_of(other, account, issues_of(other, account, TODAY)[0]).total != bill.total


def test_load_follows_season_weekday_and_temperature():
    def month(category, number):
        return sum(
            daily_usage(7, category, f"acc-{customer}-1", date(2025, number, day))
            for customer in range(1, 20)
            for day in range(1, 29)
        )

    assert month("Gas", 1) > 3 * month("Gas", 7)
    assert month("Electricity", 1) > month("Electricity", 5)
    assert month("Water", 7) > month("Water", 2)
    sundays, mondays = (
        sum(
            daily_usage(7, "Internet", f"acc-{customer}-1", date(2025, 6, day) + timedelta(weeks=w))
            for customer in range(1, 40)
            for w in range(8)
        )
        for day in (1, 2)
    )
    assert sundays > mondays
    assert temperature(7, date(2025, 7, 20)) > temperature(7, date(2025, 1, 20)) + 80


def test_prices_move_on_the_first_of_january_and_part_the_bill():
    assert prices_of("Gas", 7, 2024) != prices_of("Gas", 7, 2025)
    found = utility()
    account = accounts_of(found, 1)[0]
    issue = next(
        issue
        for issue in issues_of(found, account, TODAY)
        if issue.starts_on.year == 2024 and issue.ends_on.year == 2025
    )
    fixed = [line for line in bill_of(found, account, issue).lines if line.kind == "fixed"]
    assert [line.description.rpartition(" ")[2] for line in fixed] == [
        "2024-12-31",
        f"{issue.ends_on - timedelta(days=1)}",
    ]


@pytest.mark.parametrize(
    "username", ["", "customer-1", "customer-0@x", "customer-201@x", "customer-١@x", "eve@x"]
)
def test_nobody_else_is_a_customer(username):
    assert customer_of(utility(), username) is None
