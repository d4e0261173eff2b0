"""What the specs of all kinds share: the base model, its rules' helpers and the field types."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pycountry
from cronsim import CronSim, CronSimError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from billplane.money import CurrencyCode, UnknownCurrency, parse_currency
from billplane.resources.errors import SpecError, Violation
from billplane.resources.reasons import violations_of, without_nulls

NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
OBJECT_NAME_PATTERN: Final = r"^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$"
OBJECT_KEY_PATTERN: Final = r"^[-._A-Za-z0-9]{1,253}$"
DIMENSION_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_-]{0,62}$"
PROPERTY_PATH_PATTERN: Final = r"^\$(\.[A-Za-z_][A-Za-z0-9_-]{0,62}){1,5}$"
CURRENCY_PATTERN: Final = r"^[A-Z]{3}$"
DURATION_PATTERN: Final = r"^[0-9]{1,6}(d|h|m|s)$"
TIME_ZONE_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$"
DATE_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
INSTANT_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})$"
)
URL_PATTERN: Final = r"^https?://[^\s]+$"
TEXT_PATTERN: Final = r"^[^\x00-\x1f\x7f]+$"
TAX_CATEGORY_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,62}$"

_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class ResourceModel(BaseModel):
    """An object inside a spec: camelCase outside, frozen, and no field it does not know."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
    )

    def check(self, path: str) -> Iterator[Violation]:
        """Yield the rules between this object's own fields that it breaks."""
        yield from ()

    def check_all(self, path: str) -> Iterator[Violation]:
        """Yield what this object and every object below it breaks."""
        yield from self.check(path)
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            below = f"{path}.{field.alias or name}"
            if isinstance(value, ResourceModel):
                yield from value.check_all(below)
            elif isinstance(value, tuple):
                for index, item in enumerate(value):
                    if isinstance(item, ResourceModel):
                        yield from item.check_all(f"{below}[{index}]")


class Spec(ResourceModel):
    """The spec of one kind: what a resource or an API call asks for, checked whole."""

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        violations = list(self.check_all("spec"))
        if violations:
            raise SpecError(violations)
        return self

    @classmethod
    def parse(cls, document: Any) -> Self:
        """Return the spec that a JSON document describes, defaults filled in.

        A field that is null counts as absent.
        Raises: SpecError with every violation found; field paths begin with `spec`.
        """
        given = without_nulls(document)
        try:
            return cls.model_validate(given, by_alias=True, by_name=False)
        except ValidationError as error:
            raise SpecError(violations_of(error)) from None

    def document(self) -> dict[str, Any]:
        """Return the spec as JSON data with defaults filled in, camelCase, absent fields left out.

        `parse` of the result gives an equal spec.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def exactly_one(path: str, members: Mapping[str, object]) -> Iterator[Violation]:
    """Yield a violation unless exactly one of the members is there."""
    given = [name for name, value in members.items() if value is not None]
    if len(given) != 1:
        found = f"found {', '.join(given)}" if given else "found none"
        yield Violation(
            path, "NOT_EXACTLY_ONE", f"must have exactly one of {', '.join(members)}; {found}"
        )


def unique(path: str, key: str, values: Sequence[object]) -> Iterator[Violation]:
    """Yield a violation for each value that stands at an earlier index too.

    An empty key means that the list holds the values themselves.
    """
    first: dict[object, int] = {}
    for index, value in enumerate(values):
        earlier = first.setdefault(value, index)
        if earlier != index:
            field = f"{path}[{index}]" + (f".{key}" if key else "")
            yield Violation(field, "DUPLICATE", f"repeats {path}[{earlier}]")


def parse_duration(text: str) -> timedelta:
    """Return a duration such as `14d`, `36h`, `15m` or `5s` as a span of 24-hour days.

    Raises: ValueError for other text.
    """
    if not re.fullmatch(DURATION_PATTERN, text):
        message = f"{text!r} is not a duration such as 14d, 36h, 15m or 5s"
        raise ValueError(message)
    return timedelta(seconds=int(text[:-1]) * _UNIT_SECONDS[text[-1]])


def _known_currency(code: str) -> CurrencyCode:
    try:
        return parse_currency(code)
    except UnknownCurrency as error:
        raise PydanticCustomError("CURRENCY_UNKNOWN", "{why}", {"why": str(error)}) from None


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError(
            "TIME_ZONE_UNKNOWN", "must be an IANA time zone such as Europe/Berlin", {}
        ) from None
    return name


def _known_country(code: str) -> str:
    if pycountry.countries.get(alpha_2=code) is None:
        raise PydanticCustomError("COUNTRY_UNKNOWN", "must be an ISO 3166-1 alpha-2 code", {})
    return code


def _fetchable_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        fetchable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        fetchable = False
    if not fetchable or parts.username is not None or parts.fragment:
        raise PydanticCustomError(
            "URL_INVALID", "must have a host, and neither credentials nor a fragment", {}
        )
    return url


def _cron(expression: str) -> str:
    # The instant only says where a search would begin; the expression is parsed whole.
    try:
        CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise PydanticCustomError(
            "SCHEDULE_INVALID",
            "is not a cron expression of five fields: {why}",
            {"why": str(error)},
        ) from None
    return expression


def read_date(value: Any) -> date:
    """Read a date that exists, as YYYY-MM-DD."""
    if isinstance(value, str) and re.fullmatch(DATE_PATTERN, value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise PydanticCustomError("DATE_INVALID", "must be a date that exists, as YYYY-MM-DD", {})


def _read_instant(value: Any) -> datetime:
    if isinstance(value, str) and re.fullmatch(INSTANT_PATTERN, value):
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise PydanticCustomError(
        "DATE_INVALID", "must be an instant with its offset, such as 2026-04-01T00:00:00Z", {}
    )


def _write_instant(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Dimension = Annotated[str, Field(pattern=DIMENSION_PATTERN)]
PropertyPath = Annotated[str, Field(pattern=PROPERTY_PATH_PATTERN, max_length=255)]
DisplayName = Annotated[str, Field(pattern=TEXT_PATTERN, min_length=1, max_length=120)]
Text255 = Annotated[str, Field(pattern=TEXT_PATTERN, min_length=1, max_length=255)]
TaxCategory = Annotated[str, Field(pattern=TAX_CATEGORY_PATTERN)]
Duration = Annotated[str, Field(pattern=DURATION_PATTERN)]
Currency = Annotated[CurrencyCode, Field(pattern=CURRENCY_PATTERN), AfterValidator(_known_currency)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$"), AfterValidator(_known_country)]
TimeZone = Annotated[
    str, Field(pattern=TIME_ZONE_PATTERN, max_length=64), AfterValidator(_known_zone)
]
Url = Annotated[str, Field(pattern=URL_PATTERN, max_length=2048), AfterValidator(_fetchable_url)]
Schedule = Annotated[str, Field(min_length=9, max_length=100), AfterValidator(_cron)]
CalendarDate = Annotated[
    date,
    BeforeValidator(read_date),
    PlainSerializer(date.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date"}),
]
Instant = Annotated[
    datetime,
    BeforeValidator(_read_instant),
    PlainSerializer(_write_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Flag = Annotated[bool, Field(strict=True)]
DeletionPolicy = Literal["Retain", "Delete"]


class SecretRef(ResourceModel):
    """One key of a Secret in the resource's own namespace; where it is kept, it is sealed."""

    name: Annotated[str, Field(pattern=OBJECT_NAME_PATTERN)]
    key: Annotated[str, Field(pattern=OBJECT_KEY_PATTERN)]
