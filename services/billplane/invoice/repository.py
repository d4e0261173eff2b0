"""Every SQL statement of invoice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.invoice.models import (
    AttemptRow,
    DiscountRow,
    DocumentRow,
    HistoryRow,
    InvoiceRow,
    LineRow,
    SeriesRow,
    SettingsRow,
    TaxRow,
)

_PARTS: tuple[Any, ...] = (LineRow, DiscountRow, TaxRow)


@dataclass(slots=True)
class Invoice:
    """A document with its parts, in their order."""

    row: InvoiceRow
    lines: list[LineRow] = field(default_factory=list)
    discounts: list[DiscountRow] = field(default_factory=list)
    taxes: list[TaxRow] = field(default_factory=list)


async def invoice(tx: ReadTransaction, id_or_number: str, *, lock: bool = False) -> Invoice | None:
    """Return one document of the tenant and mode by id or number; locked when asked."""
    query = select(InvoiceRow).where(
        InvoiceRow.livemode == tx.livemode,
        (InvoiceRow.id == id_or_number)
        | ((InvoiceRow.number == id_or_number) & (InvoiceRow.number != "")),
    )
    if lock:
        query = query.with_for_update()
    row = (await tx.session.scalars(query)).one_or_none()
    return None if row is None else (await _with_parts(tx, [row]))[0]


async def invoice_of_period(
    tx: ReadTransaction, subscription_id: str, starts_at: Any
) -> Invoice | None:
    """Return the document of a subscription's period."""
    row = (
        await tx.session.scalars(
            select(InvoiceRow).where(
                InvoiceRow.livemode == tx.livemode,
                InvoiceRow.subscription_id == subscription_id,
                InvoiceRow.period_starts_at == starts_at,
            )
        )
    ).one_or_none()
    return None if row is None else (await _with_parts(tx, [row]))[0]


async def page_of_invoices(
    tx: ReadTransaction, filters: dict[str, str | None], page: Page
) -> tuple[list[Invoice], str | None]:
    """Return a page of documents."""
    query = select(InvoiceRow).where(InvoiceRow.livemode == tx.livemode)
    for name, value in filters.items():
        if value:
            query = query.where(getattr(InvoiceRow, name) == value)
    rows, cursor = await fetch_page(tx, query, InvoiceRow.id, page)
    return await _with_parts(tx, rows), cursor


async def _with_parts(tx: ReadTransaction, rows: Sequence[InvoiceRow]) -> list[Invoice]:
    found = {row.id: Invoice(row) for row in rows}
    if not found:
        return []
    for model, name in zip(_PARTS, ("lines", "discounts", "taxes"), strict=True):
        parts = await tx.session.scalars(
            select(model).where(model.invoice_id.in_(found)).order_by(model.position)
        )
        for part in parts:
            getattr(found[part.invoice_id], name).append(part)
    return list(found.values())


async def add_invoice(tx: Transaction, made: Invoice) -> bool:
    """Store a document; False when its subscription's period has one already."""
    values = {
        getattr(InvoiceRow, attribute.key): getattr(made.row, attribute.key)
        for attribute in InvoiceRow.__mapper__.column_attrs
    }
    statement = (
        insert(InvoiceRow)
        .values(values)
        .on_conflict_do_nothing(
            index_elements=["tenant_id", "livemode", "subscription_id", "period_starts_at"],
            # A literal: with a bound parameter a generic plan no longer finds the index.
            index_where=text("subscription_id <> ''"),
        )
        .returning(InvoiceRow.id)
    )
    if (await tx.session.execute(statement)).one_or_none() is None:
        return False
    await add_parts(tx, made)
    return True


async def add_parts(tx: Transaction, made: Invoice) -> None:
    """Store the lines, discounts and taxes of a document."""
    tx.session.add_all([*made.lines, *made.discounts, *made.taxes])
    await tx.session.flush()


async def remove_parts(tx: Transaction, held: Invoice) -> None:
    """Remove the lines, discounts and taxes of a draft."""
    for part in (*held.lines, *held.discounts, *held.taxes):
        tx.session.expunge(part)
    await _remove(tx, held.row.id, _PARTS)


async def remove_invoice(tx: Transaction, held: Invoice) -> None:
    """Remove a draft with everything that belongs to it."""
    await remove_parts(tx, held)
    await _remove(tx, held.row.id, (HistoryRow, AttemptRow))
    await tx.session.delete(held.row)


async def _remove(tx: Transaction, invoice_id: str, models: Sequence[Any]) -> None:
    for model in models:
        await tx.session.execute(
            delete(model)
            .where(model.invoice_id == invoice_id)
            .execution_options(synchronize_session=False)
        )


async def next_number(tx: Transaction, series: str) -> int:
    """Take the next number of a series; the row stays locked until the transaction ends."""
    statement = (
        insert(SeriesRow)
        .values(tenant_id=tx.tenant_id, livemode=tx.livemode, name=series, last_number=1)
        .on_conflict_do_update(
            index_elements=["tenant_id", "livemode", "name"],
            set_={"last_number": SeriesRow.last_number + 1},
        )
        .returning(SeriesRow.last_number)
    )
    return int((await tx.session.execute(statement)).scalar_one())


async def attempt(tx: ReadTransaction, invoice_id: str, number: int) -> AttemptRow | None:
    """Return one attempt to finalize."""
    return await tx.session.get(
        AttemptRow, (tx.tenant_id, invoice_id, number), populate_existing=True
    )


def add_history(
    tx: Transaction, row: InvoiceRow, *, before: str, cause: str = "", note: str = "",
    applications: Sequence[str] = (),
) -> None:  # fmt: skip
    """Note a change of state or amount."""
    tx.session.add(
        HistoryRow(
            tenant_id=tx.tenant_id,
            id=ids.new("inh"),
            invoice_id=row.id,
            at=tx.now,
            from_state=before,
            to_state=row.state,
            total_minor=row.total_minor,
            cause=cause or tx.principal.subject,
            note=note,
            tax_calculation_id=row.tax_calculation_id,
            discount_application_ids=list(applications),
        )
    )


async def page_of_history(
    tx: ReadTransaction, invoice_id: str, page: Page
) -> tuple[Sequence[HistoryRow], str | None]:
    """Return a page of a document's history."""
    query = select(HistoryRow).where(HistoryRow.invoice_id == invoice_id)
    return await fetch_page(tx, query, HistoryRow.id, page)


async def settings(tx: ReadTransaction) -> SettingsRow | None:
    """Return the tenant's settings."""
    return await tx.session.get(SettingsRow, tx.tenant_id)


async def set_settings(tx: Transaction, values: dict[str, Any]) -> None:
    """Store the tenant's settings."""
    statement = insert(SettingsRow).values(tenant_id=tx.tenant_id, updated_at=tx.now, **values)
    await tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id"], set_={**values, "updated_at": tx.now}
        )
    )


async def document(tx: ReadTransaction, invoice_id: str, locale: str) -> DocumentRow | None:
    """Return the PDF as it was issued."""
    return await tx.session.get(DocumentRow, (tx.tenant_id, invoice_id, locale))


async def add_document(tx: Transaction, invoice_id: str, locale: str, content: bytes) -> None:
    """Keep the PDF as it was issued; the first one stands."""
    await tx.session.execute(
        insert(DocumentRow)
        .values(
            tenant_id=tx.tenant_id,
            invoice_id=invoice_id,
            locale=locale,
            content=content,
            created_at=tx.now,
        )
        .on_conflict_do_nothing()
    )
