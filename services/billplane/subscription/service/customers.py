"""Customers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.money import UnknownCurrency, parse_currency
from billplane.protos.subscription.v1.events_pb2 import (
    CustomerCreated,
    CustomerDeleted,
    CustomerUpdated,
)
from billplane.subscription import repository
from billplane.subscription.errors import (
    CustomerInUse,
    CustomerNotFound,
    ExternalIdTaken,
    TestClockNotFound,
    TestModeOnly,
)
from billplane.subscription.models import CustomerRow

_TOLD = (
    "id", "external_id", "livemode", "name", "email", "address", "tax_ids", "tax_type",
    "user_type", "currency_code", "locale", "payment_terms_days", "time_zone", "test_clock_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewCustomer:
    """What a customer is made of."""

    name: str
    external_id: str | None = None
    email: str = ""
    address: dict[str, str] | None = None
    tax_ids: tuple[dict[str, str], ...] = ()
    tax_type: str = "consumer"
    user_type: str = ""
    currency_code: str = "EUR"
    locale: str = "en"
    payment_terms_days: int = 14
    time_zone: str = "Etc/UTC"
    test_clock_id: str | None = None
    metadata: dict[str, str] | None = None


async def create_customer(tx: Transaction, new: NewCustomer) -> CustomerRow:
    """Create a customer of the mode.

    Raises: ExternalIdTaken, TestClockNotFound, TestModeOnly, Invalid, ScopeMissing.
    """
    tx.authorize("customers:write")
    check_currency(new.currency_code)
    await _check_clock(tx, new.test_clock_id)
    row = CustomerRow(
        tenant_id=tx.tenant_id,
        id=ids.new("cus"),
        livemode=tx.livemode,
        external_id=new.external_id,
        name=new.name,
        email=new.email,
        address=dict(new.address or {}),
        tax_ids=list(new.tax_ids),
        tax_type=new.tax_type,
        user_type=new.user_type,
        currency_code=new.currency_code,
        locale=new.locale,
        payment_terms_days=new.payment_terms_days,
        time_zone=new.time_zone,
        test_clock_id=new.test_clock_id,
        metadata_=dict(new.metadata or {}),
        created_at=tx.now,
    )
    tx.session.add(row)
    await _flush(tx, row)
    await tx.publish(
        CustomerCreated(customer_id=row.id, object_json=_told(row)), aggregate_id=row.id
    )
    return row


async def change_customer(tx: Transaction, customer: str, changes: dict[str, Any]) -> CustomerRow:
    """Change some fields; documents already made keep what they said.

    Raises: CustomerNotFound, ExternalIdTaken, Invalid, ScopeMissing.
    """
    tx.authorize("customers:write")
    row = await _row(tx, customer)
    if "currency_code" in changes:
        check_currency(changes["currency_code"])
    for name, value in changes.items():
        setattr(row, "metadata_" if name == "metadata" else name, value)
    await _flush(tx, row)
    await tx.publish(
        CustomerUpdated(customer_id=row.id, object_json=_told(row)), aggregate_id=row.id
    )
    return row


async def delete_customer(tx: Transaction, customer: str) -> None:
    """Delete a customer that never subscribed.

    Raises: CustomerNotFound, CustomerInUse, ScopeMissing.
    """
    tx.authorize("customers:write")
    row = await _row(tx, customer)
    if await repository.has_subscription(tx, row.id):
        raise CustomerInUse("the customer has subscriptions; cancel them instead")
    told = CustomerDeleted(customer_id=row.id, object_json=_told(row))
    await tx.session.delete(row)
    await tx.publish(told, aggregate_id=told.customer_id)


async def get_customer(tx: ReadTransaction, customer: str) -> tuple[CustomerRow, datetime]:
    """Return a customer by id or external_id, and its time.

    Raises: CustomerNotFound, ScopeMissing.
    """
    tx.authorize("customers:read")
    row = await _row(tx, customer)
    return row, await repository.now_of(tx, row.test_clock_id)


async def list_customers(
    tx: ReadTransaction, page: Page, test_clock_id: str | None = None, email: str = ""
) -> tuple[Sequence[CustomerRow], str | None]:
    """Return a page of customers."""
    tx.authorize("customers:read")
    return await repository.page_of_customers(tx, page, test_clock_id, email)


def check_currency(code: str) -> None:
    """Refuse what ISO 4217 does not have.

    Raises: Invalid.
    """
    try:
        parse_currency(code)
    except UnknownCurrency as error:
        raise Invalid([FieldError("/currency_code", "CURRENCY_UNKNOWN", str(error))]) from None


async def _check_clock(tx: ReadTransaction, clock_id: str | None) -> None:
    if clock_id is None:
        return
    if tx.livemode:
        raise TestModeOnly("a live customer cannot have a test clock", field="/test_clock_id")
    if await repository.clock(tx, clock_id) is None:
        raise TestClockNotFound(f"there is no test clock {clock_id}", field="/test_clock_id")


async def _row(tx: ReadTransaction, customer: str) -> CustomerRow:
    row = await repository.customer(tx, customer)
    if row is None:
        raise CustomerNotFound(f"there is no customer {customer}")
    return row


def _told(row: CustomerRow) -> str:
    """Write a customer as REST shows it."""
    told = {name: getattr(row, name) for name in _TOLD}
    return json.dumps(
        {
            **told,
            "object": "customer",
            "metadata": row.metadata_,
            "created_at": row.created_at.isoformat().replace("+00:00", "Z"),
        }
    )


async def _flush(tx: Transaction, row: CustomerRow) -> None:
    # The failed statement ends the transaction, so the id is read before it runs.
    external_id = row.external_id
    try:
        await tx.session.flush()
    except IntegrityError:
        raise ExternalIdTaken(
            f"another customer has the external_id {external_id}", field="/external_id"
        ) from None
