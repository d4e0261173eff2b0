"""How much a credit note gives back: never too much, and in the end all of it."""

from decimal import Decimal

import pytest
from billplane.invoice import domain
from billplane.invoice.errors import CreditTooLarge, NothingToCredit
from billplane.money import allocate
from hypothesis import given, settings
from hypothesis import strategies as st

RATES = {
    "S": Decimal("0.2"),
    "R": Decimal("0.1"),
    "state": Decimal("0.04"),
    "city": Decimal("0.045"),
}
KEYS = (("S",), ("R",), ("state", "city"))


@st.composite
def invoices(draw):
    """Draw the lines and groups of an issued invoice, taxed per group as tax does it."""
    lines = draw(
        st.lists(
            st.tuples(st.integers(0, 50_000), st.sampled_from(KEYS), st.booleans()),
            min_size=1,
            max_size=6,
        )
    )
    taxes = [0] * len(lines)
    groups = []
    for key, rate in RATES.items():
        places = [place for place, (_, keys, _) in enumerate(lines) if key in keys]
        base = sum(lines[place][0] for place in places)
        if not places:
            continue
        tax = int(base * rate + Decimal("0.5"))
        for place, share in zip(
            places, allocate(tax, [lines[place][0] for place in places]), strict=True
        ):
            taxes[place] += share
        groups.append(domain.Group(key, rate, base, tax))
    made = [
        domain.Creditable(f"line {place}", net, taxes[place], inclusive=inclusive, keys=keys)
        for place, (net, keys, inclusive) in enumerate(lines)
    ]
    return made, groups


class Credited:
    """An invoice under its credit notes."""

    def __init__(self, lines, groups):
        self.lines, self.groups = lines, groups
        self.total = sum(line.left for line in lines)

    @property
    def left(self):
        return sum(line.left for line in self.lines)

    def give(self, parts):
        split = domain.credited_groups(parts, self.lines, self.groups)
        assert sum(tax for _, _, tax in split) == sum(part.tax_minor for part in parts)
        given = {part.line_id: part for part in parts}
        none = domain.Part("", 0, 0)
        self.lines = [
            domain.Creditable(
                line.line_id,
                line.net_minor,
                line.tax_minor,
                line.net_done_minor + given.get(line.line_id, none).net_minor,
                line.tax_done_minor + given.get(line.line_id, none).tax_minor,
                line.inclusive,
                line.keys,
            )
            for line in self.lines
        ]
        done = {key: (base, tax) for key, base, tax in split}
        self.groups = [
            domain.Group(
                group.key,
                group.rate,
                group.base_minor,
                group.tax_minor,
                group.base_done_minor + done.get(group.key, (0, 0))[0],
                group.tax_done_minor + done.get(group.key, (0, 0))[1],
            )
            for group in self.groups
        ]
        for line in self.lines:
            assert 0 <= line.net_left <= line.net_minor
            assert 0 <= line.tax_left <= line.tax_minor
        for group in self.groups:
            assert 0 <= group.tax_done_minor <= group.tax_minor
            assert 0 <= group.base_done_minor <= group.base_minor


@settings(max_examples=150, deadline=None)
@given(invoices(), st.data())
def test_notes_give_back_the_invoice_to_the_cent_however_it_is_cut(invoice, data):
    credited = Credited(*invoice)
    for _ in range(data.draw(st.integers(0, 4))):
        if credited.left <= 0:
            break
        before = credited.left
        if data.draw(st.booleans()):
            amount = data.draw(st.integers(1, before))
            parts = domain.credit_amount(credited.lines, amount)
            credited.give(parts)
            assert before - credited.left == amount
            continue
        line = data.draw(st.sampled_from([line for line in credited.lines if line.left]))
        own = line.left if line.inclusive else line.net_left
        if own <= 0:
            continue
        amount = data.draw(st.integers(1, own))
        credited.give(domain.credit_lines(credited.lines, {line.line_id: amount}))
        with pytest.raises((CreditTooLarge, NothingToCredit)):
            domain.credit_lines(credited.lines, {line.line_id: own - amount + 1})
    if credited.left > 0:
        with pytest.raises(CreditTooLarge):
            domain.credit_amount(credited.lines, credited.left + 1)
        credited.give(domain.credit_rest(credited.lines))
    assert credited.left == 0
    if credited.total:
        assert all(group.tax_done_minor == group.tax_minor for group in credited.groups)
        assert all(group.base_done_minor == group.base_minor for group in credited.groups)
    with pytest.raises(NothingToCredit):
        domain.credit_rest(credited.lines)


def test_a_line_that_takes_off_is_given_back_with_the_others():
    lines = [
        domain.Creditable("fee", 10_000, 2_000, keys=("S",)),
        domain.Creditable("cap", -2_000, -400, keys=("S",)),
    ]
    groups = [domain.Group("S", Decimal("0.2"), 8_000, 1_600)]
    with pytest.raises(CreditTooLarge):
        domain.credit_lines(lines, {"fee": None})
    parts = domain.credit_amount(lines, 4_800)
    assert domain.credited_groups(parts, lines, groups) == [("S", 4_000, 800)]
    parts = domain.credit_rest(lines)
    assert domain.credited_groups(parts, lines, groups) == [("S", 8_000, 1_600)]
