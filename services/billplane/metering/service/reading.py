"""Reading what was sent: every event is checked, every bad field is named.

What is right is decoded into a struct, which checks most of it. What is not is taken apart again,
field by field, to say what is wrong.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from billplane.chassis.auth import Principal
from billplane.chassis.errors import FieldError, Invalid, MalformedBody
from billplane.metering.domain import (
    DATA_BYTES_MAX,
    EVENTS_MAX,
    KEPT_SOURCE,
    Item,
    KeptUsage,
    UsageEvent,
    check_text,
    check_time,
    check_values,
    encode_data,
    in_range,
    pack,
    parse_quantity,
)
from billplane.metering.errors import EventError, EventsRefused, TooManyEvents
from billplane.metering.service.meters import MeterIndex

decode_json = msgspec.json.Decoder(float_hook=Decimal).decode
_decode_events = msgspec.json.Decoder(UsageEvent | list[UsageEvent], float_hook=Decimal).decode
_decode_kept = msgspec.json.Decoder(KeptUsage, float_hook=Decimal).decode

_ATTRIBUTES = frozenset({*UsageEvent.__struct_fields__, "data_base64"})
_KEPT_FIELDS = frozenset(KeptUsage.__struct_fields__)


async def read_events(
    meters: MeterIndex, principal: Principal, body: bytes, now: datetime
) -> list[Item]:
    """Read one CloudEvent or a list of them.

    Raises: MalformedBody, Invalid, TooManyEvents, EventsRefused.
    Source: CloudEvents 1.0, JSON event format.
    """
    try:
        given: UsageEvent | list[UsageEvent] = _decode_events(body)
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation):
        pass
    else:
        events = given if isinstance(given, list) else [given]
        check_count(len(events))
        return await _pack(meters, principal, events, now, single=events is not given)
    loose = decode(body)
    if isinstance(loose, dict):
        return await check_events(meters, principal, [loose], now, single=True)
    if not isinstance(loose, list):
        raise MalformedBody("the body must be an event or a list of events")
    check_count(len(loose))
    return await check_events(meters, principal, loose, now, single=False)


def decode(body: bytes) -> Any:
    """Read JSON with every digit of its numbers.

    Raises: MalformedBody, also for nesting and numbers that no event needs.
    """
    if not body:
        raise MalformedBody("the body is empty")
    try:
        return decode_json(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBody(f"the body is not JSON in UTF-8: {error}") from None
    except RecursionError:
        raise MalformedBody("the body is nested too deeply") from None
    except InvalidOperation:
        raise MalformedBody("a number of the body is beyond all bounds") from None


def check_count(count: int) -> None:
    """Refuse a request of no event or of too many.

    Raises: Invalid, TooManyEvents.
    """
    if not count:
        raise Invalid([FieldError("", "FIELD_REQUIRED", "the list holds no event")])
    if count > EVENTS_MAX:
        raise TooManyEvents(f"a request may carry at most {EVENTS_MAX} events")


async def check_events(
    meters: MeterIndex, principal: Principal, items: Sequence[Any], now: datetime, *, single: bool
) -> list[Item]:
    """Check CloudEvents field by field; extension attributes are allowed, and not kept.

    Raises: EventsRefused naming every bad field of every bad event.
    Source: CloudEvents 1.0, context attributes.
    """
    errors: list[EventError] = []
    events: list[UsageEvent] = []
    for index, item in enumerate(items):
        prefix = "/" if single else f"/{index}/"
        if isinstance(item, dict):
            events.append(_check_event(item, principal, now, prefix, index, errors))
        else:
            errors.append(EventError(index, prefix[:-1], "FIELD_INVALID", "an event is an object"))
            events.append(_NOTHING)
    return await _pack(meters, principal, events, now, single=single, errors=errors)


_NOTHING = UsageEvent("", "", "", "")


def _check_event(
    item: dict[str, Any],
    principal: Principal,
    now: datetime,
    prefix: str,
    index: int,
    errors: list[EventError],
) -> UsageEvent:
    if item.get("specversion", "1.0") != "1.0":
        detail = "specversion must be 1.0"
        errors.append(EventError(index, f"{prefix}specversion", "FIELD_INVALID", detail))
    for name in item.keys() - _ATTRIBUTES:
        # Extensions are lower-case letters and digits; anything else is a mistyped field.
        if not (name.isascii() and name.isalnum() and name.islower()):
            detail = f"{name!r} is no attribute of an event"
            errors.append(EventError(index, f"{prefix}{name}", "FIELD_UNKNOWN", detail))
    source, event_id, event_type, subject = (
        check_text(item.get(name), f"{prefix}{name}", index, errors)
        for name in ("source", "id", "type", "subject")
    )
    time = check_time(item.get("time"), now, principal.livemode, f"{prefix}time", index, errors)
    data = item.get("data")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        errors.append(EventError(index, f"{prefix}data", "FIELD_INVALID", "data is an object"))
        data = {}
    given = None if item.get("time") is None else time
    return UsageEvent(source, event_id, event_type, subject, given, data)


async def _pack(
    meters: MeterIndex,
    principal: Principal,
    events: Sequence[UsageEvent],
    now: datetime,
    *,
    single: bool,
    errors: list[EventError] | None = None,
) -> list[Item]:
    """Check what a struct cannot, and make what is kept.

    Raises: EventsRefused.
    """
    errors = [] if errors is None else errors
    bad = {error.index for error in errors}
    tenant_id, livemode = principal.tenant_id, principal.livemode
    items = []
    at = now.astimezone(UTC).isoformat()
    for index, event in enumerate(events):
        if index in bad:
            continue
        before = len(errors)
        prefix = "/" if single else f"/{index}/"
        names = (event.source, event.id, event.type, event.subject)
        if not "".join(names).isprintable():
            for name, text in zip(("source", "id", "type", "subject"), names, strict=True):
                check_text(text, f"{prefix}{name}", index, errors)
        if event.time is not None and not in_range(event.time, now, livemode):
            text = event.time.isoformat()
            check_time(text, now, livemode, f"{prefix}time", index, errors)
        found = meters.known(tenant_id, event.type) or await meters.find(tenant_id, event.type)
        if not found:
            detail = f"no meter counts events of type {event.type}"
            errors.append(EventError(index, f"{prefix}type", "METER_UNKNOWN", detail))
        check_values(event.data, None, found, prefix, index, errors)
        data = encode_data(event.data)
        if data is None and len(errors) == before:
            detail = (
                f"data may have {DATA_BYTES_MAX} bytes, numbers of 300 digits, and no NUL character"
            )
            errors.append(EventError(index, f"{prefix}data", "DATA_INVALID", detail))
        if len(errors) == before and data is not None:
            items.append(pack(tenant_id, livemode, event, data, None, at))
    if errors:
        raise EventsRefused(sorted(errors, key=lambda error: error.index))
    return items


async def read_kept(
    meters: MeterIndex, principal: Principal, body: bytes, event_id: str, now: datetime
) -> Item:
    """Read one quantity of the kept path; it is the value for every meter of its type.

    Raises: MalformedBody, EventsRefused.
    """
    errors: list[EventError] = []
    try:
        given = _decode_kept(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation):
        loose = decode(body)
        if not isinstance(loose, dict):
            raise MalformedBody("the body must be an object") from None
        given = _check_kept(loose, principal, now, errors)
    tenant_id, livemode, kind = principal.tenant_id, principal.livemode, given.resource_type
    if given.event_id is None:
        given.event_id = check_text(event_id, "/headers/Idempotency-Key", 0, errors)
    if not (given.customer_id + kind + given.event_id).isprintable():
        for name in ("customer_id", "resource_type", "event_id"):
            if text := getattr(given, name):
                check_text(text, f"/{name}", 0, errors)
    if given.timestamp is not None and not in_range(given.timestamp, now, livemode):
        check_time(given.timestamp.isoformat(), now, livemode, "/timestamp", 0, errors)
    quantity = _read_quantity(given.quantity, errors)
    data = encode_data(given.metadata or {})
    if data is None:
        detail = f"metadata may have {DATA_BYTES_MAX} bytes, and no NUL character"
        errors.append(EventError(0, "/metadata", "DATA_INVALID", detail))
    if not errors:
        found = meters.known(tenant_id, kind) or await meters.find(tenant_id, kind)
        if not found:
            detail = f"no meter counts events of type {kind}"
            errors.append(EventError(0, "/resource_type", "METER_UNKNOWN", detail))
        check_values(given.metadata or {}, quantity, found, "/", 0, errors)
    if errors or data is None:
        raise EventsRefused(errors)
    event = UsageEvent(KEPT_SOURCE, given.event_id, kind, given.customer_id, given.timestamp)
    at = now.astimezone(UTC).isoformat()
    return pack(tenant_id, livemode, event, data, quantity, at)


def _read_quantity(given: Any, errors: list[EventError]) -> Decimal | None:
    quantity = parse_quantity(given)
    if given is None:
        errors.append(EventError(0, "/quantity", "FIELD_REQUIRED", "quantity is required"))
    elif quantity is None:
        detail = "a quantity has at most 12 integer and 6 fractional digits"
        errors.append(EventError(0, "/quantity", "QUANTITY_OUT_OF_RANGE", detail))
    return quantity


def _check_kept(
    item: dict[str, Any], principal: Principal, now: datetime, errors: list[EventError]
) -> KeptUsage:
    """Check the fields of the kept path one by one."""
    errors += [
        EventError(0, f"/{name}", "FIELD_UNKNOWN", f"{name!r} is not a field here")
        for name in item.keys() - _KEPT_FIELDS
    ]
    subject = check_text(item.get("customer_id"), "/customer_id", 0, errors)
    kind = check_text(item.get("resource_type"), "/resource_type", 0, errors)
    event_id = item.get("event_id")
    if event_id is not None:
        event_id = check_text(event_id, "/event_id", 0, errors)
    timestamp = item.get("timestamp")
    time = check_time(timestamp, now, principal.livemode, "/timestamp", 0, errors)
    metadata = item.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        errors.append(EventError(0, "/metadata", "FIELD_INVALID", "metadata is an object"))
        metadata = None
    given = None if timestamp is None else time
    return KeptUsage(subject, kind, item.get("quantity"), event_id, given, metadata)
