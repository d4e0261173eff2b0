"""Reading what was sent: every event is checked, every bad field is named."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from billplane.chassis.auth import Principal
from billplane.metering.domain import (
    DATA_BYTES_MAX,
    KEPT_SOURCE,
    UsageEvent,
    check_text,
    check_time,
    check_values,
    encode_data,
    hash_content,
    parse_quantity,
)
from billplane.metering.errors import EventError, EventsRefused
from billplane.metering.service.meters import MeterIndex

decode_json = msgspec.json.Decoder(float_hook=Decimal).decode

_ATTRIBUTES = frozenset(
    {
        "specversion", "type", "source", "id", "subject", "time", "data", "datacontenttype",
        "dataschema", "data_base64",
    }
)  # fmt: skip
_KEPT_FIELDS = frozenset(
    {"customer_id", "resource_type", "quantity", "event_id", "timestamp", "metadata"}
)


async def read_events(
    meters: MeterIndex, principal: Principal, items: Sequence[Any], now: datetime, *, single: bool
) -> list[UsageEvent]:
    """Check CloudEvents; extension attributes are allowed and kept with nothing.

    Raises: EventsRefused naming every bad field of every bad event.
    Source: CloudEvents 1.0, context attributes.
    """
    errors: list[EventError] = []
    events: list[UsageEvent] = []
    for index, item in enumerate(items):
        prefix = "/" if single else f"/{index}/"
        if not isinstance(item, dict):
            errors.append(EventError(index, prefix[:-1], "FIELD_INVALID", "an event is an object"))
            continue
        before = len(errors)
        event = _read_event(item, principal, now, prefix, index, errors)
        if len(errors) == before:
            found = await meters.find(principal.tenant_id, event.event_type)
            if not found:
                detail = f"no meter counts events of type {event.event_type}"
                errors.append(EventError(index, f"{prefix}type", "METER_UNKNOWN", detail))
            check_values(event, found, prefix, index, errors)
            events.append(event)
    if errors:
        raise EventsRefused(errors)
    return events


def _read_event(
    item: dict[str, Any],
    principal: Principal,
    now: datetime,
    prefix: str,
    index: int,
    errors: list[EventError],
) -> UsageEvent:
    version = item.get("specversion", "1.0")
    if version != "1.0":
        detail = "specversion must be 1.0"
        errors.append(EventError(index, f"{prefix}specversion", "FIELD_INVALID", detail))
    for name in item.keys() - _ATTRIBUTES:
        # Extensions are lower-case letters and digits; anything else is a mistyped field.
        if not (name.isascii() and name.isalnum() and name.islower()):
            detail = f"{name!r} is no attribute of an event"
            errors.append(EventError(index, f"{prefix}{name}", "FIELD_UNKNOWN", detail))
    text = {
        name: check_text(item.get(name), f"{prefix}{name}", index, errors)
        for name in ("source", "id", "type", "subject")
    }
    time = check_time(item.get("time"), now, principal.livemode, f"{prefix}time", index, errors)
    data = item.get("data")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        errors.append(EventError(index, f"{prefix}data", "FIELD_INVALID", "data is an object"))
        data = {}
    elif not _storable(data):
        detail = f"data may have {DATA_BYTES_MAX} bytes, and no NUL or broken character"
        errors.append(EventError(index, f"{prefix}data", "DATA_INVALID", detail))
        data = {}
    digest = hash_content(text["type"], text["subject"], str(item.get("time") or ""), data, None)
    return UsageEvent(
        text["source"], text["id"], text["type"], text["subject"], time, data, None, digest
    )


def _storable(data: dict[str, Any]) -> bool:
    try:
        encoded = encode_data(data)
    except (msgspec.EncodeError, UnicodeEncodeError, RecursionError, ValueError):
        return False
    return len(encoded) <= DATA_BYTES_MAX and b"\\u0000" not in encoded


async def read_kept(
    meters: MeterIndex, principal: Principal, item: dict[str, Any], event_id: str, now: datetime
) -> UsageEvent:
    """Check one quantity of the kept path; it is the value for every meter of its type.

    Raises: EventsRefused.
    """
    errors = [
        EventError(0, f"/{name}", "FIELD_UNKNOWN", f"{name!r} is not a field here")
        for name in item.keys() - _KEPT_FIELDS
    ]
    subject = check_text(item.get("customer_id"), "/customer_id", 0, errors)
    kind = check_text(item.get("resource_type"), "/resource_type", 0, errors)
    given_id = item.get("event_id")
    if given_id is not None:
        event_id = check_text(given_id, "/event_id", 0, errors)
    else:
        event_id = check_text(event_id, "/headers/Idempotency-Key", 0, errors)
    time = check_time(item.get("timestamp"), now, principal.livemode, "/timestamp", 0, errors)
    quantity = parse_quantity(item.get("quantity"))
    if item.get("quantity") is None:
        errors.append(EventError(0, "/quantity", "FIELD_REQUIRED", "quantity is required"))
    elif quantity is None:
        detail = "a quantity has at most 12 integer and 6 fractional digits"
        errors.append(EventError(0, "/quantity", "QUANTITY_OUT_OF_RANGE", detail))
    if not errors:
        found = await meters.find(principal.tenant_id, kind)
        if not found:
            detail = f"no meter counts events of type {kind}"
            errors.append(EventError(0, "/resource_type", "METER_UNKNOWN", detail))
        negative = quantity is not None and quantity < 0
        if negative and not all(meter.allow_negative for meter in found):
            detail = f"{kind} takes no negative quantity"
            errors.append(EventError(0, "/quantity", "QUANTITY_OUT_OF_RANGE", detail))
    if errors:
        raise EventsRefused(errors)
    digest = hash_content(kind, subject, str(item.get("timestamp") or ""), {}, quantity)
    return UsageEvent(KEPT_SOURCE, event_id, kind, subject, time, {}, quantity, digest)
