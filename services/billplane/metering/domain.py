"""Rules of usage: what an event must be, what a meter reads from it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Annotated, Any, Literal

import msgspec

from billplane.metering.errors import EventError
from billplane.resources import MeterSpec

TEXT_MAX = 255
DATA_BYTES_MAX = 65_536
EVENTS_MAX = 1_000
LIVE_BACK, LIVE_AHEAD = timedelta(days=400), timedelta(hours=1)
TEST_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
TEST_LAST = datetime(2101, 1, 1, tzinfo=UTC)
KEPT_SOURCE = "kept"
COPY_NULL = "\\N"
ZERO = Decimal(0)
# What the hours of a meter can be put together from.
RECORDED = ("Sum", "Count", "Max", "Min", "Average")

_QUANTITY = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# What Postgres' jsonb might not hold; looked at closely where it occurs.
_SUSPECT = re.compile(rb"\\u0000|E[+-][0-9]{3}|[0-9.]{300}|Infinity")
_encode = msgspec.json.Encoder(decimal_format="number", order="sorted").encode

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_MAX)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter as events meet it: paths taken apart once."""

    id: str
    name: str
    event_type: str
    aggregation: str
    value: tuple[str, ...]
    group_by: tuple[tuple[str, tuple[str, ...]], ...]
    filter: tuple[tuple[tuple[str, ...], frozenset[str]], ...]
    allow_negative: bool

    @property
    def recorded(self) -> bool:
        """True when the quantity of a period can be made from its hours."""
        return self.aggregation in RECORDED

    @property
    def reads_value(self) -> bool:
        """True when each event must carry a number."""
        return self.aggregation not in ("Count", "UniqueCount")


@dataclass(frozen=True, slots=True)
class ReadPeriod:
    """A period, and when its usage was read."""

    starts_at: datetime
    ends_at: datetime
    read_at: datetime


def meter_of(meter_id: str, name: str, spec: MeterSpec) -> Meter:
    """Take a meter's spec apart."""
    return Meter(
        id=meter_id,
        name=name,
        event_type=spec.event_type,
        aggregation=spec.aggregation,
        value=path_of(spec.value_property) if spec.value_property else (),
        group_by=tuple((item.name, path_of(item.property)) for item in spec.group_by),
        filter=tuple((path_of(item.property), frozenset(item.values)) for item in spec.filter),
        allow_negative=spec.allow_negative,
    )


def path_of(path: str) -> tuple[str, ...]:
    """Take `$.a.b` apart."""
    return tuple(part for part in path.removeprefix("$").split(".") if part)


class UsageEvent(msgspec.Struct, forbid_unknown_fields=True):
    """A CloudEvent. Decoding it checks all but control characters, the time's range and values."""

    source: Text
    id: Text
    type: Text
    subject: Text
    time: Instant | None = None
    data: dict[str, Any] = {}
    specversion: Literal["1.0"] = "1.0"
    datacontenttype: str | None = None
    dataschema: str | None = None


class KeptUsage(msgspec.Struct, forbid_unknown_fields=True):
    """One quantity as callers of the kept path send it; `metadata` becomes the event's data."""

    customer_id: Text
    resource_type: Text
    quantity: Any
    event_id: Text | None = None
    timestamp: Instant | None = None
    metadata: dict[str, Any] | None = None


class Item(msgspec.Struct):
    """An event on its way into the stream: who it is, what it says, its row for Postgres."""

    id: str
    subject: str
    key: bytes
    content_hash: bytes
    row: bytes


def pack(
    tenant_id: str,
    livemode: bool,
    event: UsageEvent,
    data: bytes,
    quantity: Decimal | None,
    now: str,
) -> Item:
    """Make what is kept of a checked event; `data` is what encode_data made of it.

    Shape: the row is a line of Postgres' COPY text format, in the order of the table's columns.
    Source: PostgreSQL, COPY, "Text Format".
    """
    source, event_id, event_type, subject = event.source, event.id, event.type, event.subject
    mode = "t" if livemode else "f"
    # An absent time is part of what an event says: a repeat leaves it out again.
    at = "" if event.time is None else event.time.astimezone(UTC).isoformat()
    said = "" if quantity is None else f"{quantity:f}"
    content = f"{event_type}\0{subject}\0{at}\0{said}"
    digest = blake2b(content.encode() + data, digest_size=8).digest()
    line = (
        f"{tenant_id}\t{mode}\t{source}\t{event_id}\t{event_type}\t{subject}\t{at or now}"
        f"\t{data.decode()}"
    )
    if "\\" in line:
        line = line.replace("\\", "\\\\")
    return Item(
        event_id,
        subject,
        f"{tenant_id}\0{mode}\0{source}\0{event_id}".encode(),
        digest,
        f"{line}\t{int.from_bytes(digest, signed=True)}\t{said or COPY_NULL}".encode(),
    )


def read_value(data: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Follow a path; None where it leads nowhere."""
    value: Any = data
    for part in path:
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def read_text(data: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """Return a property as the text that filters and dimensions compare."""
    value = read_value(data, path)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() and abs(value.adjusted()) < 400 else ""
    return _encode(value).decode()


def parse_quantity(value: Any) -> Decimal | None:
    """Read a number or a decimal string exactly; None unless it has the allowed form.

    Units: at most 12 integer and 6 fractional digits. NaN, infinities, exponents beyond that,
    underscores and digits of other scripts are not numbers here.
    """
    kind = type(value)
    if kind is int:
        return Decimal(value) if -(10**12) < value < 10**12 else None
    if kind is str:
        return (Decimal(value) or ZERO) if _QUANTITY.match(value) else None
    if kind is not Decimal or not value.is_finite():
        return None
    if not value:
        return ZERO
    if not -6 <= value.adjusted() <= 11:
        return None
    number: Decimal = value
    if int(number.as_tuple().exponent) >= -6:
        return number
    text = f"{number:f}".rstrip("0")
    return Decimal(text) if _QUANTITY.match(text) else None


def counts(meter: Meter, data: Mapping[str, Any]) -> bool:
    """Tell whether an event passes a meter's filter."""
    return all(read_text(data, path) in values for path, values in meter.filter)


def check_text(value: Any, field: str, index: int, errors: list[EventError]) -> str:
    """Return a text of 1 to 255 characters without control characters."""
    if value is None or value == "":
        errors.append(EventError(index, field, "FIELD_REQUIRED", f"{field} is required"))
        return ""
    if not isinstance(value, str):
        errors.append(EventError(index, field, "FIELD_INVALID", f"{field} must be text"))
        return ""
    if len(value) > TEXT_MAX:
        detail = f"{field} may have at most {TEXT_MAX} characters"
        errors.append(EventError(index, field, "FIELD_TOO_LONG", detail))
        return ""
    if _CONTROL.search(value):
        detail = f"{field} must not contain control characters"
        errors.append(EventError(index, field, "TEXT_INVALID", detail))
        return ""
    return value


def check_time(
    value: Any, now: datetime, livemode: bool, field: str, index: int, errors: list[EventError]
) -> datetime:
    """Return an instant within the mode's range; now when it is absent."""
    if value is None:
        return now
    try:
        if not isinstance(value, str) or len(value) > 40:
            raise ValueError
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise ValueError
        instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        detail = f"{field} must be an RFC 3339 instant with a time zone, within years 1 to 9999"
        out = isinstance(value, str) and value[:4].isdigit()
        reason = (
            "TIME_OUT_OF_RANGE" if out and not "1970" <= value[:4] <= "2100" else "TIME_INVALID"
        )
        errors.append(EventError(index, field, reason, detail))
        return now
    first, last = (now - LIVE_BACK, now + LIVE_AHEAD) if livemode else (TEST_FIRST, TEST_LAST)
    if not first <= instant < last:
        detail = f"{field} must lie between {first.isoformat()} and {last.isoformat()}"
        errors.append(EventError(index, field, "TIME_OUT_OF_RANGE", detail))
        return now
    return instant


def in_range(instant: datetime, now: datetime, livemode: bool) -> bool:
    """Tell whether an event of the mode may have happened at an instant."""
    if livemode:
        return now - LIVE_BACK <= instant < now + LIVE_AHEAD
    return TEST_FIRST <= instant < TEST_LAST


def check_values(
    data: Mapping[str, Any],
    quantity: Decimal | None,
    meters: list[Meter],
    prefix: str,
    index: int,
    errors: list[EventError],
) -> None:
    """Check what the meters of an event's type read from it."""
    for meter in meters:
        if not meter.reads_value or (meter.filter and not counts(meter, data)):
            continue
        value, field = quantity, "quantity"
        if value is None:
            raw = read_value(data, meter.value)
            value = parse_quantity(raw)
            field = "/".join(("data", *meter.value))
            if raw is None:
                detail = f"the meter {meter.name} reads {field}, which is missing"
                errors.append(EventError(index, prefix + field, "FIELD_REQUIRED", detail))
                return
        if value is None:
            detail = "a quantity has at most 12 integer and 6 fractional digits"
            errors.append(EventError(index, prefix + field, "QUANTITY_OUT_OF_RANGE", detail))
            return
        if value < 0 and not meter.allow_negative:
            detail = f"the meter {meter.name} takes no negative quantity"
            errors.append(EventError(index, prefix + field, "QUANTITY_OUT_OF_RANGE", detail))
            return


def encode_data(data: Mapping[str, Any]) -> bytes | None:
    """Write data as JSON, keys sorted, with every digit of its numbers; None if no store holds it.

    Units: at most 64 KiB; numbers of at most 300 digits, before and after the point; no NUL.
    """
    try:
        encoded = _encode(data)
    except (msgspec.EncodeError, RecursionError, ValueError, OverflowError):
        return None
    if len(encoded) > DATA_BYTES_MAX:
        return None
    return None if _SUSPECT.search(encoded) and not _holds(data) else encoded


def _holds(value: Any) -> bool:
    """Look through a value for a NUL character and for numbers of too many digits."""
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, Decimal):
        digits = len(value.as_tuple().digits)
        return value.is_finite() and digits < 300 and abs(value.adjusted()) < 300
    if isinstance(value, int):
        return value.bit_length() < 990
    if isinstance(value, Mapping):
        return all(_holds(key) and _holds(item) for key, item in value.items())
    return all(_holds(item) for item in value) if isinstance(value, list) else True
