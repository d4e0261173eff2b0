"""Rules of invoices that need no store."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from billplane.discount import domain as discount
from billplane.invoice import domain
from billplane.money import CurrencyCode
from billplane.tax import domain as tax
from hypothesis import given, settings
from hypothesis import strategies as st

EUR = CurrencyCode("EUR")
NOW = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)


def draft(*lines, **values):
    return domain.Draft(domain.Customer("cus_1"), EUR, lines, NOW, **values)


@pytest.mark.parametrize(
    ("quantity", "unit_amount", "currency", "minor"),
    [
        ("2.5", "99.99", "EUR", 24_998),
        ("3", "0.005", "EUR", 2),
        ("-3", "0.005", "EUR", -2),
        ("1.5", "1", "JPY", 2),
        ("0.0005", "1", "KWD", 1),
        ("999999999999999", "0.000000000000001", "EUR", 100),
    ],
)
def test_quantity_times_price_is_rounded_half_up_once(quantity, unit_amount, currency, minor):
    assert domain.amount_of(quantity, unit_amount, CurrencyCode(currency)) == minor


@pytest.mark.parametrize(
    ("day", "zone", "end"),
    [
        (date(2026, 3, 10), "Etc/UTC", datetime(2026, 3, 11, tzinfo=UTC)),
        (date(2026, 3, 7), "America/New_York", datetime(2026, 3, 8, 5, tzinfo=UTC)),
        (date(2026, 3, 8), "America/New_York", datetime(2026, 3, 9, 4, tzinfo=UTC)),
        (date(2026, 12, 31), "Asia/Kolkata", datetime(2026, 12, 31, 18, 30, tzinfo=UTC)),
    ],
)
def test_a_day_ends_when_it_ends_in_its_time_zone(day, zone, end):
    assert domain.end_of(day, zone) == end


def test_the_tax_date_is_the_lines_own_then_its_last_local_day_then_the_issue_date():
    ends_at = datetime(2026, 1, 31, 23, tzinfo=UTC)
    own = domain.Line("1", "x", 1, tax_on=date(2020, 1, 1), ends_at=ends_at)
    period = domain.Line("2", "x", 1, ends_at=ends_at)
    none = domain.Line("3", "x", 1)
    document = draft(own, period, none, time_zone="Europe/Vienna")
    assert [document.tax_on(line) for line in document.lines] == [
        date(2020, 1, 1),
        date(2026, 1, 31),
        date(2026, 2, 1),
    ]


def test_nothing_is_due_before_it_is_issued():
    assert domain.due_date(draft(due_on=date(2026, 1, 1)), date(2026, 2, 1), 14) == date(2026, 2, 1)


def test_numbers_are_written_with_prefix_year_and_six_digits():
    live = domain.series_of("INV-", date(2026, 1, 1), livemode=True)
    test = domain.series_of("", date(2026, 1, 1), livemode=False)
    assert domain.number_of(live, 42) == "INV-2026-000042"
    assert domain.number_of(test, 1_234_567) == "TEST-2026-1234567"


LINES = st.lists(
    st.tuples(
        st.integers(0, 1_000_000),
        st.booleans(),
        st.sampled_from(["Standard", "Books", "Food"]),
    ),
    min_size=1,
    max_size=8,
)
COUPONS = st.lists(st.integers(1, 10_000).map(lambda cents: Decimal(cents).scaleb(-2)), max_size=3)


@settings(max_examples=150, deadline=None)
@given(LINES, COUPONS, st.sampled_from(["AT", "DE", "FR", "US"]))
def test_totals_add_up_for_any_lines_coupons_and_taxes(lines, percents, country):
    document = draft(
        *(
            domain.Line(str(index), "x", minor, tax_inclusive=inclusive, tax_category=category)
            for index, (minor, inclusive, category) in enumerate(lines)
        )
    )
    coupons = [
        discount.Coupon(id=f"c{index}", code=f"C{index}", created_at=NOW, percent=percent)
        for index, percent in enumerate(percents)
    ]
    outcome = discount.decide(
        [coupon.code for coupon in coupons],
        coupons,
        {},
        discount.Basket(
            [discount.Line(line.id, line.amount_minor) for line in document.lines], EUR
        ),
        NOW,
    )
    discounts = domain.Discounts(
        tuple(
            domain.Discount(item.code, item.code, item.amount_minor, dict(item.shares))
            for item in outcome.applications
        )
    )
    calculation = tax.calculate(
        tax.Buyer(country=country),
        [
            tax.Line(
                line.id,
                line.amount_minor - discounts.of_line(line.id),
                document.tax_on(line),
                line.tax_category,
                line.tax_inclusive,
            )
            for line in document.lines
        ],
        EUR,
    )
    taxation = domain.Taxation(
        {
            line.line_id: domain.TaxedLine(line.net_minor, line.tax_minor, line.group_keys)
            for line in calculation.lines
        }
    )
    priced = domain.Priced(document, discounts, taxation)
    assert priced.total_minor == priced.net_minor + priced.tax_minor >= 0
    inclusive_tax = 0
    for line in document.lines:
        taxed = taxation.lines[line.id]
        asked = line.amount_minor - discounts.of_line(line.id)
        assert taxed.net_minor + (taxed.tax_minor if line.tax_inclusive else 0) == asked
        inclusive_tax += taxed.tax_minor if line.tax_inclusive else 0
    assert priced.subtotal_minor - priced.discount_minor == priced.net_minor + inclusive_tax
    assert priced.tax_minor == sum(group.tax_minor for group in calculation.groups)
