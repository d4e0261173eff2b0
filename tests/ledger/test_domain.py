"""What a transaction must be before the database is asked."""

import pytest
from billplane.chassis.errors import Invalid
from billplane.ledger import domain
from billplane.ledger.domain import Account, Balance, NewTransaction, Posting
from billplane.ledger.errors import TransactionUnbalanced
from hypothesis import given
from hypothesis import strategies as st

ACCOUNTS = {
    name: Account(f"acc_{name}", "asset", currency)
    for name, currency in (("a", "EUR"), ("b", "EUR"), ("c", "USD"), ("d", "USD"))
}
AMOUNT = st.integers(1, 2**53 - 1)


@given(st.lists(AMOUNT, min_size=1, max_size=5), st.lists(AMOUNT, min_size=1, max_size=5))
def test_a_transaction_passes_exactly_when_debits_equal_credits(debits, credits_):
    legs = [Posting("a", "debit", amount) for amount in debits]
    legs += [Posting("b", "credit", amount) for amount in credits_]
    new = NewTransaction(legs, "EUR")
    if sum(debits) == sum(credits_):
        assert [leg.account for leg in domain.check_currencies(new, ACCOUNTS)] == (
            ["acc_a"] * len(debits) + ["acc_b"] * len(credits_)
        )
    else:
        with pytest.raises(TransactionUnbalanced) as refused:
            domain.check_currencies(new, ACCOUNTS)
        assert refused.value.metadata == {"EUR": sum(debits) - sum(credits_)}


@given(AMOUNT, AMOUNT)
def test_each_currency_balances_by_itself(euros, dollars):
    legs = [Posting("a", "debit", euros), Posting("c", "credit", dollars, "USD")]
    with pytest.raises(TransactionUnbalanced) as refused:
        domain.check_currencies(NewTransaction(legs, "EUR", rate_id="rate_1"), ACCOUNTS)
    assert refused.value.metadata == {"EUR": euros, "USD": -dollars}
    legs += [Posting("b", "credit", euros), Posting("d", "debit", dollars, "USD")]
    found = domain.check_currencies(NewTransaction(legs, "EUR", rate_id="rate_1"), ACCOUNTS)
    assert domain.total_of(found) == euros + dollars
    assert domain.mirrored(domain.mirrored(found)) == found


def test_every_bad_field_is_told_at_once():
    legs = [Posting("a", "debit", 0), Posting("b", "up", 2**53)]
    with pytest.raises(Invalid) as refused:
        domain.check_shape(NewTransaction(legs, "EUR"))
    assert [error.field for error in refused.value.errors] == [
        "/postings/0/amount_minor",
        "/postings/1/amount_minor",
        "/postings/1/direction",
    ]


def test_a_fingerprint_is_of_the_money_and_not_of_the_words():
    legs = [Posting("a", "debit", 5), Posting("b", "credit", 5)]
    plain = domain.fingerprint(NewTransaction(legs, "EUR"), legs)
    told = domain.fingerprint(NewTransaction(legs, "EUR", description="x"), legs)
    more = [Posting("a", "debit", 6), Posting("b", "credit", 6)]
    assert plain == told != domain.fingerprint(NewTransaction(more, "EUR"), more)
    assert plain != domain.fingerprint(NewTransaction(legs, "EUR", pending=True), legs)


def test_available_is_posted_less_what_is_reserved_to_go():
    balance = Balance("acc_a", "EUR", 100, 20, 30, 4)
    assert (balance.available_minor, balance.pending_minor) == (70, -10)


def test_a_hold_of_one_account_or_of_three_legs_is_not_divided():
    legs = [Posting("a", "debit", 5), Posting("b", "credit", 5)]
    assert domain.is_divisible(legs)
    assert not domain.is_divisible([legs[0], Posting("a", "credit", 5)])
    assert not domain.is_divisible([*legs, Posting("c", "credit", 5)])
