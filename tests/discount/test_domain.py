"""What coupons take off, and where."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from billplane.discount import domain
from billplane.money import CurrencyCode
from hypothesis import given, settings
from hypothesis import strategies as st

EUR = CurrencyCode("EUR")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def coupon(code="SALE", **values):
    values.setdefault("created_at", NOW)
    if "amount_minor" not in values:
        values.setdefault("percent", Decimal(10))
    else:
        values.setdefault("currency", "EUR")
    return domain.Coupon(id=f"cpn_{code.lower()}", code=code, **values)


def decide(coupons, amounts, *, usages=None, currency=EUR, codes=None):
    lines = [
        amount if isinstance(amount, domain.Line) else domain.Line(str(index), amount)
        for index, amount in enumerate(amounts)
    ]
    codes = [item.code for item in coupons] if codes is None else codes
    return domain.decide(codes, coupons, usages or {}, domain.Basket(lines, currency), NOW)


def test_a_percentage_is_rounded_half_up_once():
    assert decide([coupon()], [1005]).total_minor == 101
    assert decide([coupon()], [1004]).total_minor == 100
    assert decide([coupon()], [335, 335, 335]).total_minor == 101


def test_shares_go_by_largest_remainder_and_ties_to_the_earlier_line():
    (application,) = decide([coupon(amount_minor=100)], [1000, 1000, 1000]).applications
    assert application.shares == (("0", 34), ("1", 33), ("2", 33))


def test_each_coupon_works_on_what_the_ones_before_it_left():
    half = coupon("HALF", percent=Decimal(50), priority=2)
    ten = coupon("TEN", amount_minor=1000, priority=1)
    outcome = decide([half, ten], [5000])
    assert [(item.code, item.amount_minor) for item in outcome.applications] == [
        ("TEN", 1000),
        ("HALF", 2000),
    ]


def test_of_equal_priority_the_older_coupon_goes_first():
    late = coupon("A", percent=Decimal(50))
    early = coupon("B", amount_minor=1000, created_at=NOW - timedelta(days=1))
    assert [item.code for item in decide([late, early], [5000]).applications] == ["B", "A"]


def test_nothing_goes_below_zero():
    outcome = decide([coupon("A", amount_minor=900), coupon("B", amount_minor=900)], [1000])
    assert [item.amount_minor for item in outcome.applications] == [900, 100]


def test_a_credit_lowers_the_base_and_takes_no_share():
    (application,) = decide([coupon(percent=Decimal(100))], [1000, -300]).applications
    assert (application.amount_minor, application.shares) == (700, (("0", 700),))


def test_a_coupon_of_one_charge_cannot_take_the_document_below_zero():
    lines = [domain.Line("a", 1500, "usage"), domain.Line("b", -300, "cap")]
    only_usage = coupon(percent=Decimal(100), charges=("usage",))
    assert decide([only_usage], lines).total_minor == 1200


def test_a_cap_limits_a_percentage():
    capped = coupon(percent=Decimal(50), cap_minor=300, currency="EUR")
    assert decide([capped], [1000]).total_minor == 300


def test_only_lines_of_the_named_plans_and_charges_are_lowered():
    lines = [
        domain.Line("a", 1000, "fee", "pln_1", "starter"),
        domain.Line("b", 1000, "fee", "pln_2", "pro"),
        domain.Line("c", 1000, "usage", "pln_2", "pro"),
    ]
    limited = coupon(plans=("pro",), charges=("fee",))
    (application,) = decide([limited], lines).applications
    assert application.shares == (("b", 100),)


@pytest.mark.parametrize(
    ("changes", "usage", "reason"),
    [
        ({"archived_at": NOW}, {}, domain.ARCHIVED),
        ({"valid_until": NOW}, {}, domain.EXPIRED),
        ({"valid_from": NOW + timedelta(seconds=1)}, {}, domain.NOT_YET_VALID),
        ({"redemptions_max": 2, "redemptions": 2}, {}, domain.EXHAUSTED),
        (
            {"redemptions_per_customer_max": 1},
            {"customer_redemptions": 1},
            domain.CUSTOMER_EXHAUSTED,
        ),
        ({}, {"documents": 1, "customer_redemptions": 1}, domain.USED),
        (
            {"duration": "repeating", "duration_periods": 3},
            {"documents": 3, "customer_redemptions": 1},
            domain.USED,
        ),
        ({"amount_minor": 100, "currency": "USD"}, {}, domain.CURRENCY_MISMATCH),
        ({"plans": ("other",)}, {}, domain.NOT_APPLICABLE),
    ],
)
def test_a_refusal_names_its_reason(changes, usage, reason):
    refused = coupon(**changes)
    outcome = decide([refused], [1000], usages={refused.id: domain.Usage(**usage)})
    assert outcome.applications == ()
    assert outcome.refused == (domain.Refusal("SALE", reason),)


def test_who_has_redeemed_keeps_a_coupon_that_others_can_no_longer_have():
    ended = coupon(
        duration="repeating",
        duration_periods=3,
        archived_at=NOW,
        valid_until=NOW - timedelta(days=9),
        redemptions_max=1,
        redemptions=1,
    )
    assert decide([ended], [1000], usages={ended.id: domain.Usage(2, 1)}).total_minor == 100


def test_a_code_counts_once_however_often_and_in_whatever_case_it_is_named():
    outcome = decide([coupon()], [1000], codes=["sale", "SALE", " Sale ", "NONE"])
    assert outcome.total_minor == 100
    assert outcome.refused == (domain.Refusal("NONE", domain.UNKNOWN),)


def test_yen_are_rounded_to_whole_yen():
    assert decide([coupon()], [1005], currency=CurrencyCode("JPY")).total_minor == 101


COUPONS = st.lists(
    st.one_of(
        st.builds(
            lambda cents, cap, rank: {
                "percent": Decimal(cents).scaleb(-2),
                "cap_minor": cap,
                "currency": "EUR",
                "priority": rank,
            },
            st.integers(1, 10_000),
            st.none() | st.integers(1, 5_000),
            st.integers(0, 3),
        ),
        st.builds(lambda minor: {"amount_minor": minor}, st.integers(1, 100_000)),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(-5_000, 20_000), min_size=1, max_size=8), COUPONS)
def test_shares_sum_to_applications_and_no_positive_line_goes_below_zero(amounts, kinds):
    coupons = [coupon(f"C{index}", **kind) for index, kind in enumerate(kinds)]
    outcome = decide(coupons, amounts)
    left = {str(index): amount for index, amount in enumerate(amounts)}
    for item in outcome.applications:
        assert sum(minor for _, minor in item.shares) == item.amount_minor > 0
        for line_id, minor in item.shares:
            assert minor > 0
            left[line_id] -= minor
            assert left[line_id] >= 0
    assert sum(left.values()) == sum(amounts) - outcome.total_minor
    if outcome.applications:
        assert sum(left.values()) >= 0
    assert len(outcome.applications) + len(outcome.refused) == len(coupons)
