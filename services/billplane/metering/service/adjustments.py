"""Voids and corrections: a stored event stops counting, or counts for something else."""

from collections.abc import Sequence
from typing import Any

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.metering.domain import (
    DATA_BYTES_MAX,
    TEXT_MAX,
    ReadPeriod,
    check_text,
    check_values,
    encode_data,
    parse_quantity,
)
from billplane.metering.errors import EventError, UsageEventNotFound, UsageEventVoided
from billplane.metering.models import UsageAdjustmentRow
from billplane.metering.repository import adjustments, thresholds
from billplane.metering.service.intake import Intake

PERIODS_MAX = 1_000


async def void_event(
    call: Call, *, source: str, event_id: str, reason: str = ""
) -> UsageAdjustmentRow:
    """Have an event count no more; its id stays used, so that a repeat of it is a duplicate.

    A period that is open loses it at once, one that was billed on the customer's next invoice.

    Raises: UsageEventNotFound, UsageEventVoided, Invalid, ScopeMissing.
    """
    errors = _check_names(source, event_id, reason)
    if errors:
        raise Invalid(errors)
    return await _adjust(call, source, event_id, reason, "void", None, None)


async def correct_event(
    call: Call, *, source: str, event_id: str, quantity: Any, data: Any, reason: str = ""
) -> UsageAdjustmentRow:
    """Have an event count for another quantity, or for what other data says; None stays as it is.

    Units: `quantity` is the value for every meter that counts the event, as on the kept path.
    Raises: UsageEventNotFound, UsageEventVoided, Invalid, ScopeMissing.
    """
    errors = _check_names(source, event_id, reason)
    if quantity is None and data is None:
        detail = "a correction has a quantity, data or both"
        errors.append(EventError(0, "quantity", "FIELD_REQUIRED", detail))
    if data is not None and not isinstance(data, dict):
        errors.append(EventError(0, "data", "FIELD_INVALID", "data is an object"))
    if quantity is not None and parse_quantity(quantity) is None:
        detail = "a quantity has at most 12 integer and 6 fractional digits"
        errors.append(EventError(0, "quantity", "QUANTITY_OUT_OF_RANGE", detail))
    if errors:
        raise Invalid(errors)
    return await _adjust(call, source, event_id, reason, "correction", quantity, data)


async def _adjust(
    call: Call, source: str, event_id: str, reason: str, kind: str, quantity: Any, data: Any
) -> UsageAdjustmentRow:
    call.principal.require("usage:write")
    # What was acknowledged a moment ago may be adjusted too.
    await call.runtime.state.flusher.flush()
    intake: Intake = call.runtime.state.intake
    tx = await call.last()
    event = await adjustments.lock_event(tx, source, event_id)
    if event is None:
        raise UsageEventNotFound(f"there is no event {event_id} of the source {source}")
    if event.voided_at is not None:
        raise UsageEventVoided(f"the event {event_id} was voided")
    encoded: bytes | None = None
    number = parse_quantity(quantity)
    if kind == "correction":
        meters = await intake.meters.find(tx.tenant_id, event.event_type)
        errors: list[EventError] = []
        given = event.data if data is None else data
        standing = number if number is not None else event.quantity
        check_values(given, standing, meters, "", 0, errors)
        encoded = None if data is None else encode_data(data)
        if data is not None and encoded is None:
            detail = f"data may have {DATA_BYTES_MAX} bytes, and no NUL character"
            errors.append(EventError(0, "data", "DATA_INVALID", detail))
        if errors:
            raise Invalid(errors)
    subject, event_type, at = event.subject, event.event_type, event.event_at
    adjusted = await adjustments.adjust(
        tx, event, kind=kind, data=encoded, quantity=number, reason=reason
    )
    if kind == "correction":
        await thresholds.ask_for_check(tx, subject, event_type, at)
    return adjusted


def _check_names(source: str, event_id: str, reason: str) -> list[FieldError]:
    errors: list[EventError] = []
    check_text(source, "source", 0, errors)
    check_text(event_id, "id", 0, errors)
    if reason:
        check_text(reason, "reason", 0, errors)
    return list(errors)


async def list_adjustments(
    tx: ReadTransaction,
    page: Page,
    *,
    source: str | None,
    event_id: str | None,
    customer_id: str | None,
) -> tuple[Sequence[UsageAdjustmentRow], str | None]:
    """Return a page of voids and corrections, newest first.

    Raises: CursorInvalid, ScopeMissing.
    """
    tx.authorize("usage:read")
    return await adjustments.page_of_adjustments(
        tx, page, source=source, event_id=event_id, subject=customer_id
    )


async def changed_periods(
    tx: ReadTransaction, subjects: Sequence[str], periods: Sequence[ReadPeriod]
) -> list[int]:
    """Return which periods' usage has changed since it was read: late events, voids, corrections.

    Shape: numbers of the given periods, from 0.
    Raises: Invalid for too many periods, ScopeMissing.
    """
    tx.authorize("usage:read")
    if len(periods) > PERIODS_MAX:
        detail = f"at most {PERIODS_MAX} periods are looked at at once"
        raise Invalid([FieldError("periods", "FIELD_TOO_LONG", detail)])
    names = [name for name in subjects if name and len(name) <= TEXT_MAX]
    return await adjustments.changed_periods(tx, names, periods) if names and periods else []
