"""Items: amounts that wait for a customer's next invoice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from billplane.chassis import ids
from billplane.chassis.card_numbers import refuse_card_numbers
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.subscription import repository
from billplane.subscription.errors import (
    CustomerNotFound,
    InvoiceItemBilled,
    InvoiceItemNotFound,
    SubscriptionEndedAlready,
    SubscriptionNotFound,
)
from billplane.subscription.models import CustomerRow, InvoiceItemRow, SubscriptionRow
from billplane.subscription.service.customers import check_currency


@dataclass(frozen=True, slots=True)
class NewItem:
    """An amount before discounts and tax.

    Units: minor units of `currency_code`; below zero it is a credit.
    """

    kind: str
    charge: str
    description: str
    amount_minor: int
    starts_at: datetime
    ends_at: datetime
    quantity: str = "1"
    unit: str = ""
    unit_amount: str = ""
    tax_category: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


async def create_item(
    tx: Transaction,
    *,
    customer_id: str,
    subscription_id: str,
    description: str,
    amount_minor: int,
    currency_code: str,
    quantity: str,
    tax_category: str,
    metadata: dict[str, str],
) -> InvoiceItemRow:
    """Put an amount on the next invoice of a customer, or of one subscription.

    Raises: CustomerNotFound, SubscriptionNotFound, SubscriptionEndedAlready, Invalid,
        ScopeMissing.
    """
    tx.authorize("invoice_items:write")
    refuse_card_numbers({"/description": description})
    customer, row = await _holder(tx, customer_id, subscription_id)
    if amount_minor == 0:
        raise Invalid([FieldError("/amount_minor", "FIELD_INVALID", "must not be 0")])
    check_currency(currency_code or customer.currency_code)
    now = await repository.now_of(tx, customer.test_clock_id)
    new = NewItem(
        kind="one_off",
        charge="one-off",
        description=description,
        amount_minor=amount_minor,
        starts_at=now,
        ends_at=now + timedelta(seconds=1),
        quantity=quantity or "1",
        tax_category=tax_category,
    )
    found = add(tx, customer, row, new, currency_code or customer.currency_code, metadata)
    await tx.session.flush()
    return found


async def _holder(
    tx: Transaction, customer_id: str, subscription_id: str
) -> tuple[CustomerRow, SubscriptionRow | None]:
    row = None
    if subscription_id:
        row = await repository.subscription(tx, subscription_id)
        if row is None:
            raise SubscriptionNotFound(
                f"there is no subscription {subscription_id}", field="/subscription_id"
            )
        if row.ended_at is not None:
            raise SubscriptionEndedAlready(
                f"the subscription {subscription_id} has ended", field="/subscription_id"
            )
    wanted = customer_id or (row.customer_id if row else "")
    customer = await repository.customer(tx, wanted) if wanted else None
    if customer is None or (row is not None and row.customer_id != customer.id):
        raise CustomerNotFound(
            f"there is no customer {customer_id}" + (" of this subscription" if row else ""),
            field="/customer_id",
        )
    return customer, row


def add(
    tx: Transaction,
    customer: CustomerRow,
    row: SubscriptionRow | None,
    new: NewItem,
    currency_code: str,
    metadata: Mapping[str, str] | None = None,
) -> InvoiceItemRow:
    """Add an item to the transaction."""
    found = InvoiceItemRow(
        tenant_id=tx.tenant_id,
        id=ids.new("ini"),
        livemode=tx.livemode,
        customer_id=customer.id,
        subscription_id=row.id if row else None,
        kind=new.kind,
        charge=new.charge,
        description=new.description,
        quantity=new.quantity,
        unit=new.unit,
        unit_amount=new.unit_amount,
        amount_minor=new.amount_minor,
        currency_code=currency_code,
        tax_category=new.tax_category,
        starts_at=new.starts_at,
        ends_at=new.ends_at,
        detail=dict(new.detail),
        metadata_=dict(metadata or {}),
        document=None,
        invoice_id=None,
        created_at=tx.now,
    )
    tx.session.add(found)
    return found


async def keep_rest(tx: Transaction, amounts: Mapping[str, int]) -> None:
    """Let items stand for less; what is left of each waits for the next invoice.

    Idempotent by: the item.
    """
    for item_id, amount in amounts.items():
        item = await repository.lock_item(tx, item_id)
        if item is None or item.amount_minor == amount:
            continue
        rest = with_amount(item, item.amount_minor - amount)
        if amount == 0:
            item.document = None
            continue
        item.amount_minor = amount
        rest.id, rest.document = ids.new("ini"), None
        tx.session.add(rest)


def with_amount(item: InvoiceItemRow, amount_minor: int) -> InvoiceItemRow:
    """Return an item as it would be with another amount."""
    values = {
        attribute.key: getattr(item, attribute.key)
        for attribute in InvoiceItemRow.__mapper__.column_attrs
    }
    return InvoiceItemRow(**values | {"amount_minor": amount_minor})


async def list_items(
    tx: ReadTransaction,
    page: Page,
    *,
    customer: str = "",
    subscription_id: str = "",
    waiting: bool = False,
) -> tuple[Sequence[InvoiceItemRow], str | None]:
    """Return a page of items."""
    tx.authorize("invoice_items:read")
    customer_id = None
    if customer:
        row = await repository.customer(tx, customer)
        if row is None:
            return [], None
        customer_id = row.id
    return await repository.page_of_items(tx, page, customer_id, subscription_id or None, waiting)


async def get_item(tx: ReadTransaction, item_id: str) -> InvoiceItemRow:
    """Return an item.

    Raises: InvoiceItemNotFound, ScopeMissing.
    """
    tx.authorize("invoice_items:read")
    row = await repository.item(tx, item_id)
    if row is None:
        raise InvoiceItemNotFound(f"there is no invoice item {item_id}")
    return row


async def delete_item(tx: Transaction, item_id: str) -> None:
    """Take an item back that is on no invoice yet.

    Raises: InvoiceItemNotFound, InvoiceItemBilled, ScopeMissing.
    """
    tx.authorize("invoice_items:write")
    row = await repository.lock_item(tx, item_id)
    if row is None:
        raise InvoiceItemNotFound(f"there is no invoice item {item_id}")
    if row.document is not None or row.kind != "one_off":
        raise InvoiceItemBilled(
            f"the item {item_id} is on an invoice, or was made by a change of plan"
        )
    await tx.session.delete(row)
