"""What happens to a document after it was issued; and the tenant's settings."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from google.protobuf.message import Message

from billplane.chassis.call import Call
from billplane.chassis.card_numbers import refuse_card_numbers
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.invoice import domain, repository
from billplane.invoice.errors import InvoiceNotOpen
from billplane.invoice.models import Invoice, InvoiceRow
from billplane.invoice.service import drafts, finalization, pricing
from billplane.protos.invoice.v1.events_pb2 import InvoicePaid, InvoicePastDue, InvoiceVoided


async def void_invoice(call: Call, id_or_number: str, reason: str = "") -> Invoice:
    """Void an issued invoice that is not paid; its number stays, its discounts go back.

    Raises: InvoiceNotFound, InvoiceNotOpen, ScopeMissing.
    Idempotent by: the invoice.
    """
    call.principal.require("invoices:write")
    refuse_card_numbers({"/note": reason})
    async with call.writing() as tx:
        held = await drafts.get_held(tx, id_or_number, lock=True)
        if held.row.state != domain.VOIDED:
            _check_open(held.row)
            attempt = await repository.attempt(tx, held.row.id, held.row.attempt)
            if attempt is not None and held.discounts:
                # The janitor sends what the next step cannot.
                attempt.state, attempt.reason, attempt.created_at = "reversing", "voided", tx.now
            held.row.voided_at = tx.now
            await _move(tx, held.row, domain.VOIDED, InvoiceVoided, note=reason)
    await finalization.give_back(call, held.row.id)
    return held


async def mark_paid(tx: Transaction, id_or_number: str, note: str = "") -> Invoice:
    """Note that an invoice was paid in full outside of the platform.

    Raises: InvoiceNotFound, InvoiceNotOpen, ScopeMissing.
    Idempotent by: the invoice.
    """
    tx.authorize("invoices:write")
    refuse_card_numbers({"/note": note})
    held = await drafts.get_held(tx, id_or_number, lock=True)
    if held.row.state != domain.PAID:
        _check_open(held.row)
        held.row.paid_minor = held.row.total_minor
        held.row.paid_at = tx.now
        await _move(tx, held.row, domain.PAID, InvoicePaid, note=note)
    return held


async def mark_past_due(tx: Transaction, invoice_id: str) -> None:
    """Note that the due date of an invoice has passed without its money.

    Idempotent by: the invoice.
    """
    tx.require_internal()
    row = (await drafts.get_held(tx, invoice_id, lock=True)).row
    if row.state == domain.FINALIZED:
        await _move(tx, row, domain.PAST_DUE, InvoicePastDue)


async def get_settings(tx: ReadTransaction) -> domain.Settings:
    """Return what the tenant prints and how it numbers."""
    tx.authorize("invoices:read")
    return pricing.settings_of(await repository.settings(tx))


async def set_settings(tx: Transaction, settings: domain.Settings) -> domain.Settings:
    """Store what the tenant prints and how it numbers; issued documents keep what they say."""
    tx.authorize("invoices:write")
    seller = settings.seller
    refuse_card_numbers({"/seller/name": seller.name, "/seller/footer": seller.footer})
    await repository.set_settings(tx, asdict(settings))
    return settings


def _check_open(row: InvoiceRow) -> None:
    if row.state not in domain.OPEN:
        raise InvoiceNotOpen(f"the invoice is {row.state}", metadata={"state": row.state})


async def _move(
    tx: Transaction, row: InvoiceRow, state: str, fact: Callable[..., Message], *, note: str = ""
) -> None:
    before, row.state = row.state, state
    repository.add_history(tx, row, before=before, note=note)
    facts: dict[str, Any] = drafts.facts_of(row)
    await tx.publish(fact(**facts), aggregate_id=row.id)
