"""Decimals of a spec: text in JSON and YAML, `Decimal` in code, never a binary fraction between."""

import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

DECIMAL_PATTERN: Final = r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?$"
DECIMAL_LENGTH_MAX: Final = 31

_DECIMAL = re.compile(DECIMAL_PATTERN)


def parse_decimal_string(value: Any) -> Decimal:
    """Return the decimal that a spec writes as text.

    Raises: PydanticCustomError NUMBER_NOT_QUOTED for a number, DECIMAL_INVALID for other text.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise PydanticCustomError(
            "DECIMAL_INVALID", 'must be a decimal in quotes, such as "0.002"', {}
        )
    if not isinstance(value, str):
        # A number has passed through binary fractions in some reader before it came here.
        raise PydanticCustomError(
            "NUMBER_NOT_QUOTED",
            'must be text: put the number in quotes, "{written}"',
            {"written": str(value)},
        )
    # fullmatch, because Python's $ also matches before a final line feed.
    if not _DECIMAL.fullmatch(value):
        raise PydanticCustomError(
            "DECIMAL_INVALID",
            "must have at most 18 digits before and 12 after the point, "
            "without sign, exponent, spaces or leading zeros",
            {},
        )
    return Decimal(value)


def format_decimal_string(value: Decimal) -> str:
    """Return the text a decimal was read from, trailing zeros included."""
    return f"{value:f}"


DecimalString = Annotated[
    Decimal,
    BeforeValidator(parse_decimal_string),
    PlainSerializer(format_decimal_string, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DECIMAL_PATTERN, "maxLength": DECIMAL_LENGTH_MAX}),
]
