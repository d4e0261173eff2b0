"""The rules of a wallet, without a database."""

from datetime import UTC, datetime, timedelta

from billplane.billing_core import domain
from billplane.billing_core.domain import Holdings, Lot, Money, Move
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def lot(name, left, *, priority=100, ends=None, age=0):
    expires_at = None if ends is None else NOW + timedelta(hours=ends)
    return Lot(name, left, priority, expires_at, NOW - timedelta(days=age))


LOTS = st.lists(
    st.builds(
        lot,
        st.uuids().map(str),
        st.integers(0, 50),
        priority=st.integers(0, 3),
        ends=st.none() | st.integers(-3, 3),
        age=st.integers(0, 5),
    ),
    max_size=6,
)


def test_credits_are_used_by_priority_then_by_their_end_then_by_age():
    lots = [
        lot("late", 1, ends=9),
        lot("never", 1, age=1),
        lot("soon", 1, ends=1),
        lot("older", 1, age=5),
        lot("first", 1, priority=1),
    ]
    assert [item.id for item in domain.order(lots)] == ["first", "soon", "late", "older", "never"]


def test_a_charge_takes_credits_first_and_none_that_is_over():
    held = Holdings(100, 0, [lot("over", 30, ends=-1), lot("good", 20, ends=1)])
    assert domain.take(held, 45, NOW) == [Move("good", -20)]


def test_a_commit_takes_first_what_is_kept_for_it_alone():
    held = Holdings(100, 30, [lot("good", 20, priority=0), lot("over", 30, ends=-1)])
    assert domain.take_reserved(held, 40, NOW) == [Move("over", -30), Move("good", -10)]


def test_a_credit_that_ends_keeps_what_reservations_need_and_gives_nobody_else_any():
    held = Holdings(100, 60, [lot("over", 100, ends=-1)])
    assert held.available_minor(NOW) == 0
    assert domain.retire(held, NOW) == [Move("over", -40)]
    assert domain.retire(Holdings(60, 60, [lot("over", 60, ends=-1)]), NOW) == []


def test_credit_that_comes_in_settles_what_is_owed():
    assert domain.settle(Holdings(50, 0, [lot("new", 100)]), NOW) == [Move("new", -50)]
    assert domain.settle(Holdings(150, 0, [lot("new", 100)]), NOW) == []


@given(LOTS, st.integers(0, 200), st.integers(0, 100), st.integers(0, 300))
def test_no_move_takes_more_than_there_is(lots, plain, reserved, amount):
    held = Holdings(plain + sum(item.remaining_minor for item in lots), reserved, lots)
    left = {item.id: item.remaining_minor for item in lots}
    for moves in (
        domain.retire(held, NOW),
        domain.take(held, amount, NOW),
        domain.take_reserved(held, amount, NOW),
    ):
        assert all(0 < -move.amount_minor <= left[move.credit_id] for move in moves)
        assert len({move.credit_id for move in moves}) == len(moves)
    assert -sum(move.amount_minor for move in domain.take(held, amount, NOW)) <= amount


@given(LOTS, st.integers(0, 200), st.integers(0, 400))
def test_retiring_changes_nothing_of_what_is_available(lots, plain, reserved):
    held = Holdings(plain + sum(item.remaining_minor for item in lots), reserved, lots)
    gone = {move.credit_id: move.amount_minor for move in domain.retire(held, NOW)}
    after = Holdings(
        held.posted_minor + sum(gone.values()),
        reserved,
        [
            Lot(
                item.id,
                item.remaining_minor + gone.get(item.id, 0),
                item.priority,
                item.expires_at,
                item.created_at,
            )
            for item in lots
        ],
    )
    assert after.available_minor(NOW) == held.available_minor(NOW)
    assert after.over_minor(NOW) <= max(reserved, 0)


@given(st.lists(st.integers(1, 30), max_size=4), st.integers(0, 50), st.lists(st.integers(1, 40)))
def test_refunds_in_parts_put_back_what_was_taken_and_where(taken, plain, parts):
    moves = [Move(str(number), -amount) for number, amount in enumerate(taken)]
    whole, back, refunded = sum(taken) + plain, {}, 0
    for part in [*parts, whole]:
        amount = min(part, whole - refunded)
        before = domain.refund_of_credits(whole, sum(taken), refunded)
        refunded += amount
        given_now = domain.refund_of_credits(whole, sum(taken), refunded) - before
        for move in domain.restore(moves, before, given_now):
            back[move.credit_id] = back.get(move.credit_id, 0) + move.amount_minor
    assert back == {str(number): amount for number, amount in enumerate(taken)}


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.booleans(), st.sampled_from(["", "EUR"]))
def test_the_postings_of_an_operation_balance_in_each_currency(amount, other, takes, currency):
    legs = domain.legs(Money("w", "USD", amount, other, currency), "revenue", takes=takes)
    for code in {leg.currency_code for leg in legs}:
        sides = [leg for leg in legs if leg.currency_code == code]
        debits = sum(leg.amount_minor for leg in sides if leg.side == "debit")
        assert debits * 2 == sum(leg.amount_minor for leg in sides)
    assert legs[0].side == ("debit" if takes else "credit")
