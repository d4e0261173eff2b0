"""What is wrong with a draft; amounts, due dates and numbers."""

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from billplane.invoice.domain.values import Draft, Line
from billplane.money import (
    MINOR_MAX,
    CurrencyCode,
    Rounding,
    round_to_minor,
    wide_precision,
)

KINDS = ("recurring", "usage", "commitment", "cap", "one_off", "proration")
LINES_MAX = 1000
TERMS_DAYS_MAX = 366
# An instant that lies further from the clock than any delay does comes from a test clock.
SIMULATED_AFTER = timedelta(days=1)

_DECIMAL = re.compile(r"^-?[0-9]{1,30}(\.[0-9]{1,30})?\Z")


def faults(draft: Draft) -> list[tuple[str, str, str]]:
    """List what is wrong with a draft: field, reason and sentence."""
    found = []
    if not draft.customer.customer_id:
        found.append(("/customer/customer_id", "FIELD_REQUIRED", "customer_id is needed"))
    if draft.customer.tax_type not in ("consumer", "business"):
        found.append(("/customer/tax_type", "FIELD_INVALID", "expected consumer or business"))
    if not 0 <= (draft.customer.payment_terms_days or 0) <= TERMS_DAYS_MAX:
        found.append(
            ("/customer/payment_terms_days", "FIELD_INVALID", f"0 to {TERMS_DAYS_MAX} days")
        )
    starts, ends = draft.period_starts_at, draft.period_ends_at
    if starts is not None and (ends is None or ends <= starts):
        found.append(("/period_ends_at", "FIELD_INVALID", "the period must end after its start"))
    try:
        ZoneInfo(draft.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        found.append(("/time_zone", "TIME_ZONE_UNKNOWN", "expected a name such as Europe/Vienna"))
    if len(draft.lines) > LINES_MAX:
        found.append(("/lines", "TOO_MANY_LINES", f"at most {LINES_MAX} lines"))
    if sum(abs(line.amount_minor) for line in draft.lines) > MINOR_MAX:
        found.append(("/lines", "AMOUNT_OUT_OF_RANGE", "the amounts together are too large"))
    for index, line in enumerate(draft.lines):
        found += [
            (f"/lines/{index}/{name}", reason, detail)
            for name, reason, detail in _line_faults(line)
        ]
    return found + _note_faults(draft)


def _line_faults(line: Line) -> list[tuple[str, str, str]]:
    found = []
    if line.kind not in KINDS:
        found.append(("kind", "FIELD_INVALID", f"expected one of {', '.join(KINDS)}"))
    for name in ("quantity", "unit_amount"):
        value = getattr(line, name)
        if value and not _DECIMAL.match(value):
            found.append((name, "FIELD_INVALID", f"{name} must be a decimal"))
    try:
        parse_detail(line.detail_json)
    except (ValueError, RecursionError):
        found.append(("detail_json", "FIELD_INVALID", "detail_json must be JSON"))
    return found


def _note_faults(draft: Draft) -> list[tuple[str, str, str]]:
    found = []
    if any(not _DECIMAL.match(quantity) for _, quantity in draft.chart.points):
        found.append(("/chart/points", "FIELD_INVALID", "quantities must be decimals"))
    rate = draft.conversion
    if rate.base:
        if not _DECIMAL.match(rate.rate) or Decimal(rate.rate) <= 0:
            found.append(("/conversion/rate", "FIELD_INVALID", "a rate is a decimal above zero"))
        try:
            date.fromisoformat(rate.as_of)
        except ValueError:
            found.append(("/conversion/as_of", "FIELD_INVALID", "expected YYYY-MM-DD"))
    return found


def free_texts(draft: Draft) -> dict[str, str]:
    """Return what people wrote into a draft, by field."""
    return {
        **{f"/lines/{at}/description": line.description for at, line in enumerate(draft.lines)},
        **{f"/metadata/{name}": value for name, value in draft.metadata.items()},
    }


def parse_detail(detail_json: str) -> Any:
    """Return how a line was rated; fractions stay strings, as exact as they were written.

    Raises: ValueError, RecursionError.
    """
    return json.loads(detail_json or "null", parse_float=str, parse_constant=_refuse)


def _refuse(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)


def amount_of(quantity: str, unit_amount: str, currency: CurrencyCode) -> int:
    """Multiply and round half up to minor units, once.

    Raises: AmountOutOfRange.
    """
    with wide_precision():
        exact = Decimal(quantity) * Decimal(unit_amount)
    return round_to_minor(exact, currency, mode=Rounding.HALF_UP)


def due_date(draft: Draft, issued_on: date, terms_days: int) -> date:
    """Return the day by which the document is to be paid."""
    if draft.due_on is not None:
        return max(draft.due_on, issued_on)
    days = draft.customer.payment_terms_days
    return issued_on + timedelta(days=terms_days if days is None else days)


def series_of(prefix: str, issued_on: date, *, livemode: bool) -> str:
    """Name the series of a document: each year begins one, and test mode has its own."""
    return f"{'' if livemode else 'TEST-'}{prefix}{issued_on.year}"


def number_of(series: str, sequence: int) -> str:
    """Write the number of a document."""
    return f"{series}-{sequence:06d}"
