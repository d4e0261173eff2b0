"""Items that wait for a customer's next invoice."""

from fastapi import Response

from billplane.chassis.rest import PageQuery, Reader, Writer, listing, router
from billplane.subscription import schemas
from billplane.subscription.models import InvoiceItemRow
from billplane.subscription.service import items

rest = router(tags=["subscription"])


@rest.post("/v1/invoice_items", status_code=201)
async def create_item(
    body: schemas.InvoiceItemBody, tx: Writer, response: Response
) -> schemas.InvoiceItem:
    """Put an amount on the next invoice of a customer, or of one subscription."""
    row = await items.create_item(
        tx,
        customer_id=body.customer_id or "",
        subscription_id=body.subscription_id or "",
        description=body.description,
        amount_minor=body.amount_minor,
        currency_code=body.currency_code or "",
        quantity=body.quantity,
        tax_category=body.tax_category,
        metadata=body.metadata,
    )
    response.headers["Location"] = f"/v1/invoice_items/{row.id}"
    return _item(row)


@rest.get("/v1/invoice_items")
async def list_items(
    tx: Reader,
    page: PageQuery,
    customer_id: str = "",
    subscription_id: str = "",
    waiting: bool = False,
) -> schemas.InvoiceItemList:
    """List items; those that wait have no invoice_id."""
    rows, cursor = await items.list_items(
        tx, page, customer=customer_id, subscription_id=subscription_id, waiting=waiting
    )
    return schemas.InvoiceItemList(**listing([_item(row) for row in rows], cursor))


@rest.get("/v1/invoice_items/{item_id}")
async def get_item(item_id: str, tx: Reader) -> schemas.InvoiceItem:
    """Return an item."""
    return _item(await items.get_item(tx, item_id))


@rest.delete("/v1/invoice_items/{item_id}", status_code=204)
async def delete_item(item_id: str, tx: Writer) -> None:
    """Take an item back that is on no invoice yet."""
    await items.delete_item(tx, item_id)


def _item(row: InvoiceItemRow) -> schemas.InvoiceItem:
    return schemas.InvoiceItem(
        id=row.id,
        livemode=row.livemode,
        customer_id=row.customer_id,
        subscription_id=row.subscription_id,
        kind=row.kind,
        charge=row.charge,
        description=row.description,
        quantity=row.quantity,
        amount_minor=row.amount_minor,
        currency_code=row.currency_code,
        tax_category=row.tax_category,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        invoice_id=row.invoice_id,
        metadata=row.metadata_,
        created_at=row.created_at,
    )
