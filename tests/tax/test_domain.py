"""Rules of tax, against plain fractions."""

from collections import defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from billplane.tax import domain
from billplane.tax.domain import Buyer, Line, Rule, calculate, rules_for
from billplane.tax.errors import TaxRateUnknown
from hypothesis import given, settings
from hypothesis import strategies as some

DAY = date(2026, 1, 31)
GERMAN = Buyer(country="DE")
AMOUNTS = some.integers(-(10**12), 10**12)
RATES = some.integers(0, 10**8).map(lambda number: Decimal(number).scaleb(-8))
VALID_NUMBERS = {"AT": "ATU13585627", "DE": "DE136695976", "GR": "EL094259216"}


def half_up(exact: Fraction) -> int:
    """Round ties away from zero."""
    size = abs(exact)
    whole = (2 * size.numerator + size.denominator) // (2 * size.denominator)
    return -whole if exact < 0 else whole


def own(rate: str | Decimal, **fields) -> Rule:
    values = {
        "id": f"own_{fields}",
        "country": "DE",
        "category": "",
        "treatment": "STANDARD",
        "rate": Decimal(rate),
        "valid_from": date(2020, 1, 1),
    }
    return Rule(**values | fields)


def lines_of(amounts, *, categories=("Standard",), inclusive=False):
    return [
        Line(str(index), amount, DAY, categories[index % len(categories)], inclusive)
        for index, amount in enumerate(amounts)
    ]


def assert_adds_up(calculation, lines):
    by_id = {line.line_id: line for line in lines}
    groups_tax = sum(group.tax_minor for group in calculation.groups)
    assert calculation.tax_minor == groups_tax
    for taxed in calculation.lines:
        line = by_id[taxed.line_id]
        if line.inclusive:
            assert taxed.net_minor + taxed.tax_minor == line.amount_minor
        else:
            assert taxed.net_minor == line.amount_minor
        assert taxed.tax_minor * line.amount_minor >= 0, "tax has the sign of what it is on"


@settings(max_examples=150, deadline=None)
@given(some.lists(AMOUNTS, min_size=1, max_size=12), some.lists(RATES, min_size=1, max_size=3))
def test_each_group_is_rounded_half_up_once_on_its_sum(amounts, rates):
    categories = [f"category-{index}" for index in range(len(rates))]
    rules = [
        own(rate, id=name, category=name) for rate, name in zip(rates, categories, strict=True)
    ]
    lines = lines_of(amounts, categories=categories)
    found = calculate(GERMAN, lines, "EUR", rules)
    sums: dict[str, int] = defaultdict(int)
    for line in lines:
        sums[line.category] += line.amount_minor
    expected = {
        name: (sums[name], half_up(sums[name] * Fraction(rate)))
        for rate, name in zip(rates, categories, strict=True)
        if name in sums
    }
    assert {
        group.category: (group.base_minor, group.tax_minor) for group in found.groups
    } == expected
    for group in found.groups:
        assert Fraction(group.exact_tax) == group.base_minor * Fraction(group.rate)
    assert_adds_up(found, lines)


@settings(max_examples=150, deadline=None)
@given(some.lists(AMOUNTS, min_size=1, max_size=12), RATES)
def test_a_share_of_a_line_is_at_most_two_units_from_its_own_tax(amounts, rate):
    lines = lines_of(amounts)
    found = calculate(GERMAN, lines, "EUR", [own(rate)])
    for line, taxed in zip(lines, found.lines, strict=True):
        assert abs(taxed.tax_minor - line.amount_minor * Fraction(rate)) < 2


@settings(max_examples=150, deadline=None)
@given(some.lists(AMOUNTS, min_size=1, max_size=12), some.lists(RATES, min_size=1, max_size=3))
def test_inclusive_prices_are_divided_once_by_one_plus_all_rates(amounts, rates):
    rules = [
        own(rate, id=str(level), region="BY" if level else "", postal_prefix="8" * (level // 2))
        for level, rate in enumerate(rates)
    ]
    rules = [replace(rule, stacked=True) for rule in rules]
    lines = lines_of(amounts, inclusive=True)
    buyer = Buyer(country="DE", region="BY", postal_code="80331")
    found = calculate(buyer, lines, "EUR", rules)
    gross = sum(amounts)
    net = half_up(gross / (1 + sum(map(Fraction, rates), Fraction(0))))
    assert (found.net_minor, found.tax_minor) == (net, gross - net)
    assert_adds_up(found, lines)


@settings(max_examples=100, deadline=None)
@given(some.lists(AMOUNTS, min_size=1, max_size=8))
def test_stacked_levels_are_groups_of_their_own(amounts):
    levels = {"": ("", "0.0625"), "Cook": ("Cook", "0.0175"), "Chicago": ("Cook", "0.0125")}
    rules = [
        own(
            rate,
            id=name or "state",
            country="US",
            stacked=True,
            region=region,
            postal_prefix="606" if name == "Chicago" else "",
        )
        for name, (region, rate) in levels.items()
    ]
    lines = lines_of(amounts)
    buyer = Buyer(country="US", region="Cook", postal_code="60601")
    found = calculate(buyer, lines, "USD", rules)
    base = sum(amounts)
    expected = {rate: half_up(base * Fraction(rate)) for _, rate in levels.values()}
    assert {f"{group.rate:f}": group.tax_minor for group in found.groups} == expected
    assert {group.jurisdiction for group in found.groups} == {"US", "US-Cook", "US-Cook-606"}
    assert all(len(line.group_keys) == 3 for line in found.lines)
    assert_adds_up(found, lines)


def test_a_place_outside_a_level_does_not_pay_it():
    rules = [
        own("0.06", id="state", country="US", stacked=True),
        own("0.02", id="city", country="US", stacked=True, postal_prefix="606"),
    ]
    found = calculate(Buyer(country="US", postal_code="61701"), lines_of([10_000]), "USD", rules)
    assert [group.rule_id for group in found.groups] == ["state"]


def test_a_tie_is_rounded_away_from_zero_for_charges_and_credits_alike():
    rule = [own("0.5")]
    assert calculate(GERMAN, lines_of([1]), "EUR", rule).tax_minor == 1
    assert calculate(GERMAN, lines_of([-1]), "EUR", rule).tax_minor == -1


def test_cents_are_not_rounded_line_by_line():
    # 3 × 0.03 × 19 % = 0.0171: two cents together, three if each line were rounded up.
    found = calculate(GERMAN, lines_of([3, 3, 3]), "EUR")
    assert found.tax_minor == 2
    assert [line.tax_minor for line in found.lines] == [1, 1, 0]


def test_a_credit_among_charges_takes_its_tax_back():
    found = calculate(GERMAN, lines_of([10_000, -5_000]), "EUR")
    assert [line.tax_minor for line in found.lines] == [1_900, -950]
    gross = calculate(GERMAN, lines_of([11_900, -5_950], inclusive=True), "EUR")
    assert [line.net_minor for line in gross.lines] == [10_000, -5_000]


def test_yen_have_no_smaller_unit():
    rule = own("0.1", country="JP")
    found = calculate(Buyer(country="JP"), lines_of([1234, 1]), "JPY", [rule])
    # 1235 yen × 10 % = 123.5
    assert (found.net_minor, found.tax_minor) == (1235, 124)


def test_inclusive_and_exclusive_lines_of_a_rate_share_a_group():
    lines = [Line("gross", 11_900, DAY, inclusive=True), Line("net", 10_000, DAY)]
    found = calculate(GERMAN, lines, "EUR")
    (group,) = found.groups
    assert (group.base_minor, group.tax_minor) == (20_000, 3_800)


@pytest.mark.parametrize(("country", "number"), VALID_NUMBERS.items())
def test_a_business_abroad_with_a_valid_number_accounts_for_vat_itself(country, number):
    buyer = Buyer(country=country, tax_type="business", tax_ids=(("eu_vat", number),))
    found = calculate(buyer, lines_of([10_000]), "EUR", seller_country="FR")
    assert found.tax_minor == 0
    assert found.groups[0].treatment == "REVERSE_CHARGE"
    assert found.notes == (domain.REVERSE_CHARGE_NOTE,)


@pytest.mark.parametrize(
    "written", ["ATU 135 856 27", "atu13585627", "AT-U13585627", "AT.U13585627"]
)
def test_a_number_is_read_however_it_is_written(written):
    assert domain.eu_vat_country([("eu_vat", written)]) == "AT"


@pytest.mark.parametrize(
    ("why", "buyer", "seller"),
    [
        ("a wrong check digit", ("AT", "business", "eu_vat", "ATU13585628"), "FR"),
        ("the number of another country", ("AT", "business", "eu_vat", "DE136695976"), "FR"),
        ("the seller's own country", ("AT", "business", "eu_vat", "ATU13585627"), "AT"),
        ("a consumer with a number", ("AT", "consumer", "eu_vat", "ATU13585627"), "FR"),
        ("no number", ("AT", "business", "eu_vat", ""), "FR"),
        ("a number of another kind", ("AT", "business", "us_ein", "ATU13585627"), "FR"),
        ("nonsense", ("AT", "business", "eu_vat", "Ꞛ💶\x00"), "FR"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_seller_charges_vat_for(why, buyer, seller):
    country, tax_type, kind, number = buyer
    who = Buyer(country=country, tax_type=tax_type, tax_ids=((kind, number),))
    found = calculate(who, lines_of([10_000]), "EUR", seller_country=seller)
    assert found.tax_minor == 2_000, why
    assert found.notes == ()


def test_greece_is_gr_whatever_its_numbers_begin_with():
    assert domain.iso_country("EL") == "GR"
    assert domain.eu_vat_country([("eu_vat", "EL094259216")]) == "GR"
    assert "GR" in domain.member_states()
    assert "EL" not in domain.member_states()


def test_a_place_without_vat_is_out_of_scope():
    found = calculate(Buyer(country="US"), lines_of([10_000]), "USD")
    assert (found.tax_minor, found.groups[0].treatment) == (0, "OUT_OF_SCOPE")


@pytest.mark.parametrize(
    ("day", "rate"), [(date(2024, 8, 31), "0.24"), (date(2024, 9, 1), "0.255")]
)
def test_finland_changed_its_rate_in_september_2024(day, rate):
    (rule,) = rules_for(Buyer(country="FI"), Line("1", 100, day), [], "")
    assert rule.rate == Decimal(rate)


def test_two_days_around_a_change_are_two_groups():
    lines = [Line("1", 1000, date(2024, 8, 31)), Line("2", 1000, date(2024, 9, 1))]
    found = calculate(Buyer(country="FI"), lines, "EUR")
    assert [(group.base_minor, group.tax_minor) for group in found.groups] == [
        (1000, 240),
        (1000, 255),
    ]


def test_a_rate_before_the_table_begins_is_unknown():
    with pytest.raises(TaxRateUnknown) as refused:
        calculate(GERMAN, [Line("1", 100, date(1969, 12, 31))], "EUR")
    assert refused.value.metadata == {"country": "DE", "tax_on": "1969-12-31"}


def test_an_unknown_category_is_taxed_at_the_standard_rate():
    (rule,) = rules_for(GERMAN, Line("1", 100, DAY, "spaceflight"), [], "")
    assert rule.category == "Standard"


def test_the_more_special_of_own_rules_wins():
    buyer = Buyer("cus_1", "DE", "BY", "80331", "business")
    # From the most general to the most special: each wins over all before it.
    ladder = [
        own("0.01", id="country"),
        own("0.02", id="type", tax_type="business"),
        own("0.03", id="region", region="BY"),
        own("0.04", id="postcode", postal_prefix="8"),
        own("0.05", id="longer-postcode", postal_prefix="803"),
        own("0.06", id="customer", customer_id="cus_1"),
        own("0.07", id="product", category="Standard"),
    ]
    for height in range(1, len(ladder) + 1):
        rules = [*reversed(ladder[:height])]
        (rule,) = rules_for(buyer, Line("1", 100, DAY), rules, "")
        assert rule.id == ladder[height - 1].id


@pytest.mark.parametrize(
    "other",
    [
        {"country": "AT"},
        {"category": "Reduced"},
        {"customer_id": "cus_2"},
        {"tax_type": "business"},
        {"region": "BY"},
        {"postal_prefix": "9"},
        {"valid_from": date(2026, 2, 1)},
        {"valid_until": DAY},
    ],
)
def test_a_rule_of_something_else_does_not_apply(other):
    buyer = Buyer("cus_1", "DE", "BE", "80331")
    (rule,) = rules_for(buyer, Line("1", 100, DAY), [own("0.5", **other)], "")
    assert rule.origin == "shipped"


def test_a_line_may_name_its_rule_while_it_is_in_force():
    rule = own("0.07", id="txr_1", valid_until=DAY)
    before = Line("1", 100, date(2026, 1, 30), rule_id="txr_1")
    assert rules_for(GERMAN, before, [rule], "") == [rule]
    with pytest.raises(TaxRateUnknown):
        rules_for(GERMAN, replace(before, tax_on=DAY), [rule], "")
    with pytest.raises(TaxRateUnknown):
        rules_for(GERMAN, replace(before, rule_id="txr_2"), [rule], "")
