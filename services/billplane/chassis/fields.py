"""Types of fields in requests: what pydantic would take kindly is read exactly here."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

import pycountry
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from billplane.resources.common import INSTANT_PATTERN, read_date

YEAR_MIN: Final = 1970
YEAR_MAX: Final = 2200


def _read_instant(value: Any) -> datetime:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    if isinstance(value, str) and re.fullmatch(INSTANT_PATTERN, value):
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise PydanticCustomError(
        "TIME_INVALID", "must be an instant with its offset, such as 2026-04-01T00:00:00Z", {}
    )


def _in_range(instant: datetime) -> datetime:
    if not YEAR_MIN <= instant.year <= YEAR_MAX:
        raise PydanticCustomError(
            "TIME_OUT_OF_RANGE",
            "must lie in the years {first} to {last}",
            {"first": YEAR_MIN, "last": YEAR_MAX},
        )
    return instant


def _read_date(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    return read_date(value)


def _known_country(code: str) -> str:
    if code and pycountry.countries.get(alpha_2=code) is None:
        raise PydanticCustomError("COUNTRY_UNKNOWN", "must be an ISO 3166-1 alpha-2 code", {})
    return code


Instant = Annotated[
    datetime,
    BeforeValidator(_read_instant),
    AfterValidator(_in_range),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
CalendarDate = Annotated[
    date, BeforeValidator(_read_date), WithJsonSchema({"type": "string", "format": "date"})
]
# Absent is empty: an address need not say its country.
CountryOrEmpty = Annotated[
    str, StringConstraints(pattern="^([A-Z]{2})?$"), AfterValidator(_known_country)
]
Integer = Annotated[int, Field(strict=True)]
# Neither 0 nor "no" is false.
Flag = Annotated[bool, Field(strict=True)]
