"""Card numbers where they do not belong: found, refused and redacted.

A number counts as a card's when its brand's prefix, its length and its check digit all fit, so
that order numbers and phone numbers pass. Quantities and ids are never looked at.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from billplane.chassis.errors import FieldError, Invalid

# Prefix ranges and lengths as the brands publish them.
# Source: ISO/IEC 7812-1 issuer identification numbers.
_BRANDS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4, 4, (13, 16, 19)),
    (51, 55, (16,)),
    (2221, 2720, (16,)),
    (34, 34, (15,)),
    (37, 37, (15,)),
    (300, 305, (14, 16, 19)),
    (36, 36, (14, 16, 19)),
    (38, 39, (14, 16, 19)),
    (6011, 6011, (16, 19)),
    (644, 659, (16, 19)),
    (3528, 3589, (16, 19)),
    (62, 62, (16, 17, 18, 19)),
)
_DIGITS_MAX = 19
_RUN = re.compile(r"[0-9]+(?:[ .-][0-9]+)*")
_GROUP = re.compile(r"[0-9]+")


def contains_card_number(text: str) -> bool:
    """True when the text holds a number that a card could have."""
    return next(_spans(text), None) is not None


def redact_card_numbers(text: str) -> str:
    """Replace card numbers by their last four digits."""
    parts, end = [], 0
    for start, stop in _spans(text):
        parts += [text[end:start], f"•••• {_digits(text[start:stop])[-4:]}"]
        end = stop
    return "".join([*parts, text[end:]])


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Find card numbers, written in one or in groups, also with an expiry date behind them."""
    for run in _RUN.finditer(text):
        groups = [match.span() for match in _GROUP.finditer(text, *run.span())]
        first = 0
        while first < len(groups):
            last = _card_end(text, groups, first)
            if last is not None:
                yield groups[first][0], groups[last][1]
            first = first + 1 if last is None else last + 1


def _card_end(text: str, groups: Sequence[tuple[int, int]], first: int) -> int | None:
    number = ""
    for last in range(first, len(groups)):
        number += text[slice(*groups[last])]
        if len(number) > _DIGITS_MAX:
            return None
        if _is_card(number):
            return last
    return None


def refuse_card_numbers(texts: Mapping[str, str]) -> None:
    """Refuse free text that holds a card number; keys are the fields.

    Raises: Invalid naming every such field.
    """
    found = [
        FieldError(field, "CARD_NUMBER_REFUSED", "card numbers must not be stored in text")
        for field, text in texts.items()
        if contains_card_number(text)
    ]
    if found:
        raise Invalid(found)


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _is_card(number: str) -> bool:
    fits = any(
        low <= int(number[: len(str(low))]) <= high and len(number) in lengths
        for low, high, lengths in _BRANDS
    )
    return fits and _has_check_digit(number)


def _has_check_digit(number: str) -> bool:
    """Tell whether the last digit is Luhn's check digit.

    Source: ISO/IEC 7812-1, annex B.
    """
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (place % 2 + 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
