"""Plans and usage for rating tests: short to write, valid by default."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from billplane.pricing.domain import RatedLine, UsageColumns, UsageLists, rate_period
from billplane.pricing.domain.array_columns import ArrayColumns
from billplane.pricing.domain.list_columns import ListColumns
from billplane.resources import BillingPlanSpec

from tests.pricing.oracle import Row

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
LANES = (ListColumns, ArrayColumns)


def plan(*charges: dict[str, Any], **fields: Any) -> BillingPlanSpec:
    """Make a plan of these charges, in EUR by calendar months unless told otherwise."""
    document = {
        "currency": "EUR",
        "interval": {"unit": "Month", "anchor": "Calendar"},
        "charges": list(charges),
    }
    return BillingPlanSpec.parse(document | fields)


def fee(amount: str, name: str = "platform", **fields: Any) -> dict[str, Any]:
    """Make a recurring charge."""
    return {"name": name, "recurring": {"amount": amount, **fields}}


def priced(model: dict[str, Any], name: str = "calls", **fields: Any) -> dict[str, Any]:
    """Make a usage charge of one model."""
    return {"name": name, "usage": {"meter": "api-calls", "model": model, **fields}}


def at(text: str) -> datetime:
    """Read an instant."""
    return datetime.fromisoformat(text).astimezone(UTC)


def row(quantity: str | Decimal, starts_at: datetime = JANUARY, **fields: Any) -> Row:
    """Make one hourly usage row."""
    seconds = fields.pop("seconds", 3600)
    return Row(
        dimensions=fields.pop("dimensions", {}),
        starts_at=starts_at,
        seconds=seconds,
        quantity=Decimal(quantity),
        **fields,
    )


def lists(rows: Sequence[Row], dimensions: Sequence[str] = ()) -> UsageLists:
    """Turn rows into lists, dimensions in this order."""
    with_amount = any(item.amount is not None for item in rows)
    return UsageLists(
        starts_at=[int((item.starts_at - at("1970-01-01T00Z")).total_seconds()) for item in rows],
        seconds=[item.seconds for item in rows],
        quantity=[format(item.quantity, "f") for item in rows],
        event_count=[item.events for item in rows],
        dimensions=[[item.dimensions[name] for item in rows] for name in dimensions],
        properties=[[format(item.amount or 0, "f") for item in rows]] if with_amount else [],
    )


def columns(
    rows: Sequence[Row], dimensions: Sequence[str] = (), lane: type[Any] = ListColumns
) -> UsageColumns:
    """Turn rows into the columns of one lane; numbers beyond 64 bits have only the list's."""
    made: UsageColumns | None = lane.of(lists(rows, dimensions)) if rows else None
    return made or ListColumns.of(lists(rows, dimensions))


def rate_usage(
    charge: dict[str, Any],
    rows: Sequence[Row],
    *,
    dimensions: Sequence[str] = (),
    lane: type[Any] = ListColumns,
    **fields: Any,
) -> list[RatedLine]:
    """Rate one usage charge over January 2026."""
    period = {"starts_at": JANUARY, "ends_at": FEBRUARY} | fields
    usage = {charge["name"]: columns(rows, dimensions, lane)}
    return rate_period(plan(charge), usage=usage, **period)


def exact(amount: Fraction) -> Decimal:
    """Write a ratio as the decimal that a line shows."""
    with localcontext(prec=120):
        return Decimal(amount.numerator) / Decimal(amount.denominator)
