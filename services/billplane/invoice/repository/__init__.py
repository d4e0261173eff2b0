"""Every SQL statement of invoice."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.invoice.models import (
    AttemptRow,
    DiscountRow,
    DocumentRow,
    HistoryRow,
    Invoice,
    InvoiceRow,
    LineRow,
    SeriesRow,
    SettingsRow,
    TaxRow,
)

_PARTS: dict[str, Any] = {"lines": LineRow, "discounts": DiscountRow, "taxes": TaxRow}

# No number begins so: underscores are not allowed in prefixes.
ID_PREFIX = "inv_"
# Literals: with a bound parameter a generic plan no longer finds the partial indexes.
_NUMBERED = text("number <> ''")
_OCCASION = ("tenant_id", "livemode", "subscription_id", "period_starts_at", "occasion")
_OF_SUBSCRIPTION = text("subscription_id <> ''")


async def invoice(tx: ReadTransaction, id_or_number: str, *, lock: bool = False) -> Invoice | None:
    """Return one document of the tenant and mode by id or number; locked when asked."""
    found = await row(tx, id_or_number, lock=lock)
    return None if found is None else (await _with_parts(tx, [found]))[0]


async def row(tx: ReadTransaction, id_or_number: str, *, lock: bool = False) -> InvoiceRow | None:
    """Return one document without its parts."""
    query = select(InvoiceRow).where(InvoiceRow.livemode == tx.livemode)
    if id_or_number.startswith(ID_PREFIX):
        query = query.where(InvoiceRow.id == id_or_number)
    else:
        query = query.where(InvoiceRow.number == id_or_number, _NUMBERED)
    if lock:
        query = query.with_for_update()
    return (await tx.session.scalars(query)).one_or_none()


async def invoice_of_period(
    tx: ReadTransaction, subscription_id: str, starts_at: Any, occasion: str = ""
) -> Invoice | None:
    """Return the document of a subscription's period; None means its first fees in advance."""
    row = (
        await tx.session.scalars(
            select(InvoiceRow).where(
                InvoiceRow.livemode == tx.livemode,
                InvoiceRow.subscription_id == subscription_id,
                InvoiceRow.period_starts_at == starts_at,
                InvoiceRow.occasion == occasion,
                _OF_SUBSCRIPTION,
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
    for name, model in _PARTS.items():
        if model is DiscountRow and not any(row.discount_minor for row in rows):
            continue
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
            index_elements=[*_OCCASION],
            index_where=_OF_SUBSCRIPTION,
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


async def replace_parts(tx: Transaction, held: Invoice, made: Invoice) -> None:
    """Let a draft have other lines, discounts and taxes; only what differs is written.

    `held` may have been read in an earlier transaction; `made` comes back with the rows that are
    stored.
    """
    tx.session.add_all([*held.lines, *held.discounts, *held.taxes])
    for name, model in _PARTS.items():
        old, new = getattr(held, name), getattr(made, name)
        keys = [column.key for column in model.__mapper__.primary_key]
        if [_values(row, keys) for row in old] == [_values(row, keys) for row in new]:
            columns = [column.key for column in model.__mapper__.column_attrs]
            for row, wanted in zip(old, new, strict=True):
                for column in columns:
                    setattr(row, column, getattr(wanted, column))
            setattr(made, name, old)
            continue
        for row in old:
            await tx.session.delete(row)
        if old:
            await tx.session.flush()
        tx.session.add_all(new)
    # Parts go first: once the document's row says that it is final they are frozen.
    parts = (*made.lines, *made.discounts, *made.taxes)
    if tx.session.new or any(tx.session.is_modified(part) for part in parts):
        await tx.session.flush()


def _values(row: Any, columns: Sequence[str]) -> list[Any]:
    return [getattr(row, column) for column in columns]


async def remove_invoice(tx: Transaction, held: Invoice) -> None:
    """Remove a draft with everything that belongs to it."""
    for part in (*held.lines, *held.discounts, *held.taxes):
        await tx.session.delete(part)
    for model in (HistoryRow, AttemptRow):
        await tx.session.execute(
            delete(model)
            .where(model.invoice_id == held.row.id)
            .execution_options(synchronize_session=False)
        )
    await tx.session.flush()
    await tx.session.delete(held.row)


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


async def end_attempt(tx: Transaction, invoice_id: str, number: int) -> bool:
    """Note that an attempt has succeeded; False when it is not pending any more."""
    ended = await tx.session.execute(
        update(AttemptRow)
        .where(
            AttemptRow.invoice_id == invoice_id,
            AttemptRow.attempt == number,
            AttemptRow.state == "pending",
        )
        .values(state="done")
        .returning(AttemptRow.attempt)
        .execution_options(synchronize_session=False)
    )
    return ended.one_or_none() is not None


async def attempt(tx: ReadTransaction, invoice_id: str, number: int) -> AttemptRow | None:
    """Return one attempt to finalize."""
    return await tx.session.get(
        AttemptRow, (tx.tenant_id, invoice_id, number), populate_existing=True
    )


async def past_due_by_clock(tx: ReadTransaction, test_clock_id: str, now: Any) -> Sequence[str]:
    """Return the ids of documents of a test clock's customers that were due before an instant."""
    found = await tx.session.scalars(
        select(InvoiceRow.id)
        .where(
            InvoiceRow.livemode == tx.livemode,
            InvoiceRow.test_clock_id == test_clock_id,
            InvoiceRow.state == "finalized",
            InvoiceRow.past_due_at <= now,
        )
        .order_by(InvoiceRow.id)
    )
    return found.all()


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
