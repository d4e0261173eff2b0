"""Every SQL statement about invoice items."""

from collections.abc import Sequence

from sqlalchemy import or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.subscription.models import InvoiceItemRow, SubscriptionRow

# Of what one change made, credits come before charges.
_ORDER = (InvoiceItemRow.created_at, InvoiceItemRow.amount_minor, InvoiceItemRow.id)


async def item(tx: ReadTransaction, item_id: str) -> InvoiceItemRow | None:
    """Return an item of the mode."""
    row = await tx.session.get(InvoiceItemRow, (tx.tenant_id, item_id))
    return row if row is not None and row.livemode == tx.livemode else None


async def lock_item(tx: Transaction, item_id: str) -> InvoiceItemRow | None:
    """Return an item, locked until the transaction ends."""
    row = await tx.session.get(InvoiceItemRow, (tx.tenant_id, item_id), with_for_update=True)
    return row if row is not None and row.livemode == tx.livemode else None


async def page_of_items(
    tx: ReadTransaction,
    page: Page,
    customer_id: str | None,
    subscription_id: str | None,
    waiting: bool,
) -> tuple[Sequence[InvoiceItemRow], str | None]:
    """Return a page of items."""
    query = select(InvoiceItemRow).where(InvoiceItemRow.livemode == tx.livemode)
    if customer_id:
        query = query.where(InvoiceItemRow.customer_id == customer_id)
    if subscription_id:
        query = query.where(InvoiceItemRow.subscription_id == subscription_id)
    if waiting:
        query = query.where(InvoiceItemRow.invoice_id.is_(None))
    return await fetch_page(tx, query, InvoiceItemRow.id, page)


async def waiting_items(
    tx: ReadTransaction, row: SubscriptionRow, currency_code: str
) -> Sequence[InvoiceItemRow]:
    """Return what would go on a subscription's next document."""
    query = select(InvoiceItemRow).where(*_waiting(row, currency_code))
    return (await tx.session.scalars(query.order_by(*_ORDER))).all()


async def take_items(
    tx: Transaction, row: SubscriptionRow, currency_code: str, document: str
) -> None:
    """Let a document have what waits for it."""
    await tx.session.execute(
        update(InvoiceItemRow).where(*_waiting(row, currency_code)).values(document=document)
    )


async def items_of(
    tx: ReadTransaction, customer_id: str, document: str
) -> Sequence[InvoiceItemRow]:
    """Return what a document has taken."""
    query = select(InvoiceItemRow).where(
        InvoiceItemRow.customer_id == customer_id, InvoiceItemRow.document == document
    )
    return (await tx.session.scalars(query.order_by(*_ORDER))).all()


async def note_items_billed(tx: Transaction, row: SubscriptionRow, invoice_id: str) -> None:
    """Note the invoice of what the subscription's last document took."""
    await tx.session.execute(
        update(InvoiceItemRow)
        .where(
            InvoiceItemRow.customer_id == row.customer_id,
            InvoiceItemRow.document == row.document,
            InvoiceItemRow.invoice_id.is_(None),
        )
        .values(invoice_id=invoice_id)
    )


async def free_items(tx: Transaction, row: SubscriptionRow) -> None:
    """Let what an ended subscription leaves go on any invoice of the customer."""
    await tx.session.execute(
        update(InvoiceItemRow)
        .where(InvoiceItemRow.subscription_id == row.id, InvoiceItemRow.document.is_(None))
        .values(subscription_id=None)
    )


def _waiting(row: SubscriptionRow, currency_code: str) -> tuple[ColumnElement[bool], ...]:
    return (
        InvoiceItemRow.customer_id == row.customer_id,
        or_(InvoiceItemRow.subscription_id == row.id, InvoiceItemRow.subscription_id.is_(None)),
        InvoiceItemRow.currency_code == currency_code,
        InvoiceItemRow.document.is_(None),
    )
