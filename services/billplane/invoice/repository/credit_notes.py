"""Every SQL statement on credit notes, and on what settled invoices."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.invoice.models import (
    CreditLineRow,
    CreditNote,
    CreditNoteDocumentRow,
    CreditNoteRow,
    CreditTaxRow,
    InvoiceRow,
    SettlementRow,
)

ID_PREFIX = "cn_"
_PARTS: dict[str, Any] = {"lines": CreditLineRow, "taxes": CreditTaxRow}


async def note(tx: ReadTransaction, id_or_number: str) -> CreditNote | None:
    """Return one credit note of the tenant and mode by id or number."""
    query = select(CreditNoteRow).where(CreditNoteRow.livemode == tx.livemode)
    column = CreditNoteRow.id if id_or_number.startswith(ID_PREFIX) else CreditNoteRow.number
    row = (await tx.session.scalars(query.where(column == id_or_number))).one_or_none()
    return None if row is None else (await _with_parts(tx, [row]))[0]


async def notes_of(tx: ReadTransaction, invoice_id: str) -> list[CreditNote]:
    """Return every credit note of an invoice, oldest first."""
    query = (
        select(CreditNoteRow)
        .where(CreditNoteRow.livemode == tx.livemode, CreditNoteRow.invoice_id == invoice_id)
        .order_by(CreditNoteRow.id)
    )
    return await _with_parts(tx, (await tx.session.scalars(query)).all())


async def page_of_notes(
    tx: ReadTransaction, filters: dict[str, str | None], page: Page
) -> tuple[list[CreditNote], str | None]:
    """Return a page of credit notes."""
    query = select(CreditNoteRow).where(CreditNoteRow.livemode == tx.livemode)
    for name, value in filters.items():
        if value:
            query = query.where(getattr(CreditNoteRow, name) == value)
    rows, cursor = await fetch_page(tx, query, CreditNoteRow.id, page)
    return await _with_parts(tx, rows), cursor


async def _with_parts(tx: ReadTransaction, rows: Sequence[CreditNoteRow]) -> list[CreditNote]:
    found = {row.id: CreditNote(row) for row in rows}
    if not found:
        return []
    for name, model in _PARTS.items():
        parts = await tx.session.scalars(
            select(model).where(model.credit_note_id.in_(found)).order_by(model.position)
        )
        for part in parts:
            getattr(found[part.credit_note_id], name).append(part)
    return list(found.values())


async def add_note(tx: Transaction, made: CreditNote) -> None:
    """Store a credit note."""
    tx.session.add_all([made.row, *made.lines, *made.taxes])
    await tx.session.flush()


async def document(tx: ReadTransaction, note_id: str, locale: str) -> CreditNoteDocumentRow | None:
    """Return the PDF as it was issued."""
    return await tx.session.get(CreditNoteDocumentRow, (tx.tenant_id, note_id, locale))


async def add_document(tx: Transaction, note_id: str, locale: str, content: bytes) -> None:
    """Keep the PDF as it was issued; the first one stands."""
    await tx.session.execute(
        insert(CreditNoteDocumentRow)
        .values(
            tenant_id=tx.tenant_id,
            credit_note_id=note_id,
            locale=locale,
            content=content,
            created_at=tx.now,
        )
        .on_conflict_do_nothing()
    )


def add_settlement(tx: Transaction, row: InvoiceRow, amount_minor: int, on_day: date) -> None:
    """Note that a part of an invoice was settled."""
    if amount_minor:
        tx.session.add(
            SettlementRow(
                tenant_id=tx.tenant_id,
                id=ids.new("ins"),
                livemode=tx.livemode,
                invoice_id=row.id,
                on_day=on_day,
                amount_minor=amount_minor,
                created_at=tx.now,
            )
        )


_RECEIVABLES = text("""
WITH open AS (
  SELECT i.customer_id, i.currency_code, i.customer ->> 'name' AS customer_name, i.id,
    CAST(:as_of AS date) - i.due_on AS late,
    i.total_minor - i.paid_minor - i.credited_minor + coalesce((
      SELECT sum(s.amount_minor) FROM invoice.invoice_settlements s
      WHERE s.tenant_id = i.tenant_id AND s.invoice_id = i.id AND s.on_day > :as_of), 0) AS owed
  FROM invoice.invoices i
  WHERE i.livemode = :livemode AND i.number <> '' AND i.issued_on <= :as_of
    AND (i.state NOT IN ('voided', 'uncollectible') OR i.closed_on > :as_of)
    AND (CAST(:customer_id AS text) = '' OR i.customer_id = :customer_id)
    AND (CAST(:currency_code AS text) = '' OR i.currency_code = :currency_code)
)
SELECT customer_id, currency_code, max(customer_name) AS customer_name, count(*) AS invoices,
  sum(owed) FILTER (WHERE late <= 0) AS current_minor,
  sum(owed) FILTER (WHERE late BETWEEN 1 AND 30) AS days_1_to_30_minor,
  sum(owed) FILTER (WHERE late BETWEEN 31 AND 60) AS days_31_to_60_minor,
  sum(owed) FILTER (WHERE late BETWEEN 61 AND 90) AS days_61_to_90_minor,
  sum(owed) FILTER (WHERE late > 90) AS days_over_90_minor,
  sum(owed) AS total_minor
FROM open WHERE owed > 0
GROUP BY customer_id, currency_code
ORDER BY customer_id, currency_code
""")


async def receivables(
    tx: ReadTransaction, as_of: date, customer_id: str, currency_code: str
) -> Sequence[Any]:
    """Return what each customer owed at the end of a day, by currency and age."""
    answer = await tx.session.execute(
        _RECEIVABLES,
        {
            "as_of": as_of,
            "livemode": tx.livemode,
            "customer_id": customer_id,
            "currency_code": currency_code,
        },
    )
    return answer.all()
