"""Drafts: made, previewed, changed, deleted; and documents read."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page
from billplane.chassis.rpc import to_timestamp
from billplane.invoice import domain, peers, repository
from billplane.invoice.errors import InvoiceChanged, InvoiceNotDraft, InvoiceNotFound
from billplane.invoice.models import HistoryRow, Invoice, InvoiceRow
from billplane.invoice.service import pricing
from billplane.money import CurrencyCode
from billplane.protos.invoice.v1.events_pb2 import InvoiceCreated, TaxAmount

CHANGES = ("lines", "coupon_codes", "due_on", "metadata")


async def create_invoice(call: Call, draft: domain.Draft) -> Invoice:
    """Create a draft with discounts and tax computed, and publish InvoiceCreated.

    Raises: Invalid, TotalNegative, ScopeMissing; the peers' errors.
    Idempotent by: the request id; for a subscription also by its period's start,
        which the first fees in advance do without.
    """
    call.principal.require("invoices:write")
    pricing.check(draft)
    if draft.subscription_id:
        async with call.reading() as reading:
            held = await _of_period(reading, draft)
            if held is not None:
                return held
    priced = await pricing.quote(call, draft)
    tx = await call.last()
    made = _new(priced, ids.new(repository.ID_PREFIX.rstrip("_")), tx)
    if not await repository.add_invoice(tx, made):
        held = await _of_period(tx, draft)
        if held is None:
            raise InvoiceChanged("the invoice of this period was deleted meanwhile")
        return held
    repository.add_history(tx, made.row, before="")
    await tx.publish(InvoiceCreated(**facts_of(made)), aggregate_id=made.row.id)
    return made


async def preview_invoice(call: Call, draft: domain.Draft) -> Invoice:
    """Compute what create_invoice would make; store nothing.

    Raises: Invalid, TotalNegative, ScopeMissing; the peers' errors.
    """
    call.principal.require("invoices:read")
    pricing.check(draft)
    priced = await pricing.quote(call, draft)
    async with call.reading() as tx:
        return _new(priced, "", tx)


async def one_off_draft(call: Call, customer_id: str, draft: domain.Draft) -> domain.Draft:
    """Return the draft with its customer as subscription knows it, at the customer's present.

    Raises: ScopeMissing; subscription's errors.
    """
    call.principal.require("invoices:read")
    customer, time_zone, now = await peers.get_customer(call, customer_id)
    return replace(draft, customer=customer, time_zone=time_zone, at=now)


async def update_invoice(call: Call, id_or_number: str, changes: dict[str, Any]) -> Invoice:
    """Change a draft and compute it anew; without changes it is only computed anew.

    Shape: `changes` holds fields of Draft named in CHANGES.
    Raises: InvoiceNotFound, InvoiceNotDraft, InvoiceChanged, Invalid, TotalNegative,
        ScopeMissing; the peers' errors.
    """
    call.principal.require("invoices:write")
    async with call.reading() as reading:
        held = drafted(await get_held(reading, id_or_number))
    draft = replace(pricing.to_draft(held.row, held.lines), **changes)
    pricing.check(draft)
    priced = await pricing.quote(call, draft)
    tx = await call.last()
    current = drafted(await get_held(tx, held.row.id, lock=True))
    row = current.row
    if row.revision != held.row.revision:
        raise InvoiceChanged("the draft was changed meanwhile", retry_after_seconds=1)
    row.revision += 1
    row.coupon_codes = list(draft.coupon_codes)
    row.due_requested_on = draft.due_on
    row.metadata_ = dict(draft.metadata)
    made = pricing.to_invoice(priced, row, tx.tenant_id)
    await repository.replace_parts(tx, current, made)
    repository.add_history(tx, row, before=row.state, note="recomputed")
    return made


async def currency_of(call: Call, id_or_number: str) -> CurrencyCode:
    """Return the currency that new lines of a draft are in.

    Raises: InvoiceNotFound, ScopeMissing.
    """
    async with call.reading() as tx:
        return CurrencyCode((await get_invoice(tx, id_or_number)).row.currency_code)


async def delete_invoice(tx: Transaction, id_or_number: str) -> None:
    """Delete a draft.

    Raises: InvoiceNotFound, InvoiceNotDraft, ScopeMissing.
    """
    tx.authorize("invoices:write")
    held = drafted(await get_held(tx, id_or_number, lock=True))
    await repository.remove_invoice(tx, held)


async def get_invoice(tx: ReadTransaction, id_or_number: str) -> Invoice:
    """Return one document by id or number.

    Raises: InvoiceNotFound, ScopeMissing.
    """
    tx.authorize("invoices:read")
    return await get_held(tx, id_or_number)


async def list_invoices(
    tx: ReadTransaction, filters: dict[str, str | None], page: Page
) -> tuple[list[Invoice], str | None]:
    """Return a page of documents, by customer_id, subscription_id and state."""
    tx.authorize("invoices:read")
    return await repository.page_of_invoices(tx, filters, page)


async def list_history(
    tx: ReadTransaction, id_or_number: str, page: Page
) -> tuple[Sequence[HistoryRow], str | None]:
    """Return a page of what happened to a document.

    Raises: InvoiceNotFound, ScopeMissing.
    """
    tx.authorize("invoices:read")
    held = await get_held(tx, id_or_number)
    return await repository.page_of_history(tx, held.row.id, page)


async def get_held(tx: ReadTransaction, id_or_number: str, *, lock: bool = False) -> Invoice:
    """Return one document for a use case that has authorized its caller.

    Raises: InvoiceNotFound.
    """
    found = await repository.invoice(tx, id_or_number, lock=lock)
    if found is None:
        raise InvoiceNotFound(f"there is no invoice {id_or_number}")
    return found


async def get_row(tx: Transaction, invoice_id: str) -> InvoiceRow:
    """Lock a document and return it without its parts.

    Raises: InvoiceNotFound.
    """
    found = await repository.row(tx, invoice_id, lock=True)
    if found is None:
        raise InvoiceNotFound(f"there is no invoice {invoice_id}")
    return found


def drafted(held: Invoice) -> Invoice:
    """Return the document when it is a draft.

    Raises: InvoiceNotDraft.
    """
    if held.row.state != domain.DRAFT:
        raise InvoiceNotDraft(
            f"the invoice is {held.row.state}, only a draft can be changed",
            metadata={"state": held.row.state},
        )
    return held


def facts_of(held: Invoice) -> dict[str, Any]:
    """Return what every message about a document says."""
    row = held.row
    return {
        "invoice_id": row.id,
        "number": row.number,
        "customer_id": row.customer_id,
        "subscription_id": row.subscription_id,
        "state": row.state,
        "currency_code": row.currency_code,
        "total_minor": row.total_minor,
        "due_minor": due_minor(row),
        "tax_minor": row.tax_minor,
        "due_on": day_text(row.due_on or row.due_requested_on),
        "net_minor": row.net_minor,
        "discount_minor": row.discount_minor,
        "taxes": [
            TaxAmount(
                jurisdiction=tax.jurisdiction,
                category=tax.category,
                rate=tax.rate,
                amount_minor=tax.tax_minor,
            )
            for tax in held.taxes
        ],
        "issued_on": day_text(row.issued_on),
        "at": to_timestamp(row.at),
        "test_clock_id": row.test_clock_id,
        "customer_email": row.customer["email"],
        "customer_name": row.customer["name"],
        "locale": row.customer["locale"],
    }


def day_text(day: date | None) -> str:
    """Write a date, '' when there is none."""
    return "" if day is None else day.isoformat()


def due_minor(row: InvoiceRow) -> int:
    """Return what is still to be paid."""
    return (
        0 if row.state == domain.VOIDED else row.total_minor - row.paid_minor - row.credited_minor
    )


async def _of_period(tx: ReadTransaction, draft: domain.Draft) -> Invoice | None:
    if not draft.subscription_id:
        return None
    return await repository.invoice_of_period(
        tx, draft.subscription_id, draft.period_starts_at, draft.occasion
    )


def _new(priced: domain.Priced, invoice_id: str, tx: ReadTransaction) -> Invoice:
    row = pricing.to_row(
        priced.draft,
        invoice_id,
        tenant_id=tx.tenant_id,
        livemode=tx.livemode,
        simulated=is_simulated(tx, priced.draft.at),
        created_at=tx.now,
    )
    return pricing.to_invoice(priced, row, tx.tenant_id)


def is_simulated(tx: ReadTransaction, at: datetime) -> bool:
    """True when an instant comes from a test clock."""
    return not tx.livemode and abs(at - tx.now) > domain.SIMULATED_AFTER
