"""The rules of payments, without any store."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from billplane.chassis.card_numbers import contains_card_number
from billplane.chassis.clock import FixedClock
from billplane.payment.domain import (
    STATES,
    TERMINAL,
    TRANSITIONS,
    StepRefused,
    after,
    after_failure,
    fee_of,
)
from billplane.payment.providers.base import Authorization, EventRefused, Followup
from billplane.payment.providers.cards import CARDS, DECLINE_CODES, NUMBERS, canonical
from billplane.payment.providers.signatures import sign, verify
from billplane.payment.providers.simulated import SimulatedProcessor
from hypothesis import given
from hypothesis import strategies as st

GUIDE = Path(__file__).parents[2] / "docs" / "concepts" / "payment-states.md"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_nothing_follows_a_terminal_state():
    for step, places in TRANSITIONS.items():
        assert not set(places) & set(TERMINAL), step


@pytest.mark.parametrize("state", [state for state in STATES if state not in TERMINAL])
def test_every_other_state_can_be_left_and_reached(state):
    assert any(state in places for places in TRANSITIONS.values())
    reached = {then for places in TRANSITIONS.values() for then in places.values()}
    assert state in reached


@given(st.sampled_from(STATES), st.sampled_from(sorted(TRANSITIONS)))
def test_a_step_leads_where_the_table_says_or_is_refused(state, step):
    if state in TRANSITIONS[step]:
        assert after(state, step) == TRANSITIONS[step][state]
    else:
        with pytest.raises(StepRefused):
            after(state, step)


def test_the_guide_shows_the_table_of_the_code():
    rows = [
        [cell.strip(" `") for cell in line.strip().strip("|").split("|")]
        for line in GUIDE.read_text("utf-8").splitlines()
        if line.startswith("| `")
    ]
    shown = {(row[0], row[1]): row[2] for row in rows}
    coded = {
        (state, step): then
        for step, places in TRANSITIONS.items()
        for state, then in places.items()
    }
    assert shown == coded


def test_a_schedule_is_followed_to_its_end():
    days = (3, 5, 7)
    plan = [after_failure(number, NOW, days) for number in (1, 2, 3, 4)]
    assert [item.at for item in plan] == [
        NOW + timedelta(days=3),
        NOW + timedelta(days=5),
        NOW + timedelta(days=7),
        None,
    ]
    assert [item.exhausted for item in plan] == [False, False, False, True]
    assert after_failure(1, NOW, ()).exhausted


@given(st.integers(1, 10**12))
def test_a_fee_is_never_more_than_the_amount(amount):
    assert 0 < fee_of(amount) <= amount


def test_a_fee_is_a_share_and_a_fixed_part():
    assert fee_of(10_000) == 320
    assert fee_of(1_000) == 59
    assert fee_of(10) == 10


def test_test_cards_are_numbers_of_cards_but_one():
    wrong = {number for number in NUMBERS if not contains_card_number(number)}
    # The number whose check digit is wrong is a test of just that.
    assert wrong == {"4242424242424241"}


def test_a_token_and_a_method_are_the_same_card():
    assert canonical("tok_visa") == canonical("pm_card_visa") == "pm_card_visa"
    assert canonical("tok_nothing") is None
    assert canonical("pm_card_visa; DROP TABLE") is None


def test_every_decline_code_has_a_card():
    shown = {card.declines for card in CARDS.values()}
    assert set(DECLINE_CODES) <= shown


def _asked(card, **more):
    values = {
        "key": "att_1",
        "amount_minor": 1000,
        "currency_code": "EUR",
        "method": f"pm_card_{card}",
        "capture": True,
        "off_session": False,
        "started_at": NOW,
        "now": NOW,
        "challenge_url": "https://pay.example/challenge",
    }
    return Authorization(**{**values, **more})


@pytest.fixture
def bank():
    """Give the simulated processor."""
    return SimulatedProcessor(FixedClock(NOW), "secret", 2)


@pytest.mark.parametrize("token", CARDS)
async def test_a_card_does_the_same_however_often_it_is_asked(bank, token):
    request = _asked(token.removeprefix("pm_card_"))
    answers = [await bank.recall(request) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize(
    ("card", "on_session", "off_session"),
    [
        ("visa", "succeeded", "succeeded"),
        ("authenticationRequired", "requires_action", "declined"),
        ("authenticationRequiredOnSetup", "requires_action", "succeeded"),
        ("authenticationRequiredSetupForOffSession", "requires_action", "succeeded"),
        ("authenticationRequiredChargeDeclinedInsufficientFunds", "requires_action", "declined"),
        ("threeDSecureOptional", "succeeded", "succeeded"),
        ("threeDSecureRequiredProcessingError", "declined", "declined"),
    ],
)
async def test_a_card_asks_its_payer_when_it_should(bank, card, on_session, off_session):
    assert (await bank.authorize(_asked(card))).state == on_session
    assert (await bank.authorize(_asked(card, off_session=True))).state == off_session


async def test_a_payer_who_passed_may_still_be_declined(bank):
    done = await bank.authorize(_asked("threeDSecureRequiredChargeDeclined", challenge="passed"))
    assert (done.state, done.failure.decline_code) == ("declined", "generic_decline")
    failed = await bank.authorize(_asked("threeDSecure2Required", challenge="failed"))
    assert failed.failure.code == "payment_intent_authentication_failure"


async def test_a_late_answer_is_known_after_its_time(bank):
    assert (await bank.authorize(_asked("delayed"))).state == "pending"
    later = _asked("delayed", now=NOW + timedelta(seconds=2))
    assert (await bank.recall(later)).state == "succeeded"


async def test_an_authorization_costs_nothing_yet(bank):
    held = await bank.authorize(_asked("visa", capture=False))
    assert (held.state, held.fee_minor) == ("authorized", 0)
    taken = await bank.capture(Followup("att_2", held.reference, 400, "EUR", "pm_card_visa"))
    assert (taken.state, taken.fee_minor) == ("succeeded", fee_of(400))


def test_a_signature_fits_one_body_one_secret_and_a_while():
    header = sign(b"body", "one", NOW)
    verify(b"body", header, ["two", "one"], NOW + timedelta(seconds=300))
    for body, secrets, at in (
        (b"bodY", ["one"], NOW),
        (b"body", ["two"], NOW),
        (b"body", ["", " "], NOW),
        (b"body", ["one"], NOW + timedelta(seconds=301)),
        (b"body", ["one"], NOW - timedelta(seconds=301)),
    ):
        with pytest.raises(EventRefused):
            verify(body, header, secrets, at)
