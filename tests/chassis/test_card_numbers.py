"""Card numbers in free text."""

import pytest
from billplane.chassis.card_numbers import (
    contains_card_number,
    redact_card_numbers,
    refuse_card_numbers,
)
from billplane.chassis.errors import Invalid
from hypothesis import given
from hypothesis import strategies as st

CARDS = [
    "4242424242424242",
    "4242 4242 4242 4242",
    "4000-0566-5566-5556",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "3782 822463 10005",
    "6011111111111117",
    "3566002020360505",
    "30569309025904",
    "6200000000000005",
    "4222222222222",
]


@pytest.mark.parametrize("card", CARDS)
def test_a_card_number_is_found_wherever_it_stands(card):
    for text in (
        card,
        f"my card {card}, thanks",
        f"({card})",
        f"card:{card}.",
        f"{card} 12/27 123",
    ):
        assert contains_card_number(text), text
        assert card not in redact_card_numbers(text)
        assert card.replace(" ", "").replace("-", "")[-4:] in redact_card_numbers(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4242424242424241",
        "order 1234567890123456",
        "+43 1 234 567 890 123",
        "14242424242424242",
        "42424242424242420000000",
        "inv_01m7z47n36d7c20wakdjkegzqx",
        "2026-01-31 12:30:45.123456",
        "AT61 1904 3002 3457 3201",
    ],
)
def test_other_numbers_pass(text):
    assert not contains_card_number(text)
    assert redact_card_numbers(text) == text


@given(st.text())
def test_any_text_can_be_looked_through(text):
    assert contains_card_number(redact_card_numbers(text)) is False


def test_several_numbers_in_one_text_are_all_redacted():
    text = redact_card_numbers("4242424242424242 and 5555 5555 5555 4444 4111-1111-1111-1111")
    assert text == "•••• 4242 and •••• 4444 •••• 1111"


def test_a_refusal_names_every_field():
    with pytest.raises(Invalid) as refused:
        refuse_card_numbers({"/a": CARDS[0], "/b": "fine", "/c": CARDS[1]})
    assert [item.field for item in refused.value.errors] == ["/a", "/c"]
