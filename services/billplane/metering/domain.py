"""Rules of usage: what an event must be, what a meter reads from it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

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

_QUANTITY = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_encode = msgspec.json.Encoder(decimal_format="number", order="sorted").encode


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
    def adds_up(self) -> bool:
        """True when the quantity of a period is the sum of its hours."""
        return self.aggregation in ("Sum", "Count")


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


@dataclass(slots=True)
class UsageEvent:
    """A checked event. `quantity` is the kept path's value, None elsewhere."""

    source: str
    id: str
    event_type: str
    subject: str
    time: datetime
    data: dict[str, Any]
    quantity: Decimal | None
    content_hash: int


def read_value(data: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Follow a path; None where it leads nowhere."""
    value: Any = data
    for part in path:
        if not isinstance(value, Mapping):
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
    return _encode(value).decode()


def parse_quantity(value: Any) -> Decimal | None:
    """Read a number or a decimal string exactly; None unless it has the allowed form.

    Units: at most 12 integer and 6 fractional digits. NaN, infinities, exponents beyond that,
    underscores and digits of other scripts are not numbers here.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    if isinstance(value, Decimal):
        if not value.is_finite() or not -6 <= value.adjusted() <= 11:
            return Decimal(0) if value.is_finite() and not value else None
        text = f"{value:f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
    elif isinstance(value, int):
        text = str(value) if -(10**12) < value < 10**12 else ""
    else:
        text = value
    if not _QUANTITY.match(text):
        return None
    found = Decimal(text)
    return found or Decimal(0)


def dimensions_of(meter: Meter, data: Mapping[str, Any]) -> dict[str, str]:
    """Return an event's value of each of a meter's dimensions."""
    return {name: read_text(data, path) for name, path in meter.group_by}


def counts(meter: Meter, data: Mapping[str, Any]) -> bool:
    """Tell whether an event passes a meter's filter."""
    return all(read_text(data, path) in values for path, values in meter.filter)


def measure(meter: Meter, event: UsageEvent) -> Decimal | None:
    """Return what an event adds to a meter; None when it has no value for it."""
    if meter.aggregation == "Count":
        return Decimal(1)
    if event.quantity is not None:
        return event.quantity
    value = read_value(event.data, meter.value)
    if meter.aggregation == "UniqueCount":
        return None if value is None else Decimal(1)
    return parse_quantity(value)


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


def check_values(
    event: UsageEvent, meters: list[Meter], prefix: str, index: int, errors: list[EventError]
) -> None:
    """Check what the meters of an event's type read from it."""
    for meter in meters:
        if meter.aggregation in ("Count", "UniqueCount") or not counts(meter, event.data):
            continue
        value = event.quantity
        field = f"{prefix}quantity"
        if value is None:
            raw = read_value(event.data, meter.value)
            field = "/".join((f"{prefix}data", *meter.value))
            if raw is None:
                detail = f"the meter {meter.name} reads {field}, which is missing"
                errors.append(EventError(index, field, "FIELD_REQUIRED", detail))
                return
            value = parse_quantity(raw)
        if value is None:
            detail = "a quantity has at most 12 integer and 6 fractional digits"
            errors.append(EventError(index, field, "QUANTITY_OUT_OF_RANGE", detail))
            return
        if value < 0 and not meter.allow_negative:
            detail = f"the meter {meter.name} takes no negative quantity"
            errors.append(EventError(index, field, "QUANTITY_OUT_OF_RANGE", detail))
            return


def hash_content(
    event_type: str, subject: str, time: str, data: Mapping[str, Any], quantity: Decimal | None
) -> int:
    """Hash what an event says, without its id; an absent time is part of what it says."""
    text = _encode([event_type, subject, time, data, quantity])
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), signed=True)


def encode_data(data: Mapping[str, Any]) -> bytes:
    """Write data as JSON with every digit of its numbers."""
    return _encode(data)
