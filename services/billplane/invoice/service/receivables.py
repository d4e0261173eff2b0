"""What customers owe, by age: the list that accountants ask for at the end of a month."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from billplane.chassis.database import ReadTransaction
from billplane.chassis.rest import Page, encode_cursor
from billplane.invoice.repository import credit_notes


@dataclass(slots=True)
class Owed:
    """What is owed in a currency; `late` by days past due."""

    currency_code: str
    customer_id: str = ""
    customer_name: str = ""
    invoices: int = 0
    current_minor: int = 0
    days_1_to_30_minor: int = 0
    days_31_to_60_minor: int = 0
    days_61_to_90_minor: int = 0
    days_over_90_minor: int = 0
    total_minor: int = 0


_SUMMED = tuple(item.name for item in fields(Owed) if item.type is int or item.type == "int")


async def list_receivables(
    tx: ReadTransaction, as_of: date, customer_id: str, currency_code: str, page: Page
) -> tuple[Sequence[Owed], Sequence[Owed], str | None]:
    """Return a page of customers with what they owed, the sums of all, and the next cursor.

    Raises: ScopeMissing, CursorInvalid.
    """
    tx.authorize("invoices:read")
    found = await credit_notes.receivables(tx, as_of, customer_id, currency_code)
    rows = [_owed(row) for row in found]
    totals: dict[str, Owed] = {}
    for row in rows:
        total = totals.setdefault(row.currency_code, Owed(row.currency_code))
        for name in _SUMMED:
            setattr(total, name, getattr(total, name) + getattr(row, name))
    newest = page.order == "desc"
    rows.sort(key=_place, reverse=newest)
    after = page.after()
    rest = [
        row
        for row in rows
        if after is None or (_place(row) < after if newest else _place(row) > after)
    ]
    shown = rest[: page.limit]
    cursor = encode_cursor(_place(shown[-1])) if len(rest) > len(shown) else None
    return shown, sorted(totals.values(), key=lambda one: one.currency_code), cursor


def _owed(row: Any) -> Owed:
    sums = {name: int(getattr(row, name) or 0) for name in _SUMMED}
    return Owed(row.currency_code, row.customer_id, row.customer_name or "", **sums)


def _place(row: Owed) -> str:
    return f"{row.customer_id} {row.currency_code}"
