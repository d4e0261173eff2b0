"""What happens to a document after it was issued; and the tenant's settings."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime

from google.protobuf.message import Message

from billplane.chassis.call import Call
from billplane.chassis.card_numbers import refuse_card_numbers
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.invoice import domain, repository
from billplane.invoice.errors import InvoiceCredited, InvoiceNotOpen
from billplane.invoice.models import Invoice, InvoiceRow
from billplane.invoice.render import LogoInvalid
from billplane.invoice.render.press import Press
from billplane.invoice.repository import credit_notes
from billplane.invoice.service import drafts, finalization, pricing
from billplane.protos.invoice.v1.events_pb2 import (
    InvoicePaid,
    InvoicePastDue,
    InvoiceUncollectible,
    InvoiceVoided,
)


async def void_invoice(call: Call, id_or_number: str, reason: str = "") -> Invoice:
    """Void an issued invoice that is not paid; its number stays, its discounts go back.

    Raises: InvoiceNotFound, InvoiceNotOpen, InvoiceCredited, ScopeMissing.
    Idempotent by: the invoice.
    """
    call.principal.require("invoices:write")
    refuse_card_numbers({"/note": reason})
    async with call.writing() as tx:
        held = await drafts.get_held(tx, id_or_number, lock=True)
        if held.row.state != domain.VOIDED:
            _check_open(held.row)
            _check_untouched(held.row)
            attempt = await repository.attempt(tx, held.row.id, held.row.attempt)
            if attempt is not None and held.discounts:
                # The janitor sends what the next step cannot.
                attempt.state, attempt.reason, attempt.created_at = "reversing", "voided", tx.now
            held.row.voided_at = tx.now
            held.row.closed_on = _today(tx, held.row)
            await _move(tx, held, domain.VOIDED, InvoiceVoided, note=reason)
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
        by_hand = drafts.due_minor(held.row)
        held.row.paid_minor += by_hand
        credit_notes.add_settlement(tx, held.row, by_hand, _today(tx, held.row))
        held.row.paid_at = tx.now
        await _move(tx, held, domain.PAID, InvoicePaid, note=note, manual_minor=by_hand)
    return held


async def mark_past_due(tx: Transaction, invoice_id: str) -> None:
    """Note that the due date of an invoice has passed without its money.

    Idempotent by: the invoice.
    """
    tx.require_internal()
    held = await drafts.get_held(tx, invoice_id, lock=True)
    if held.row.state == domain.FINALIZED:
        await _move(tx, held, domain.PAST_DUE, InvoicePastDue)


async def mark_past_due_by_clock(tx: Transaction, test_clock_id: str, now: datetime) -> None:
    """Note which invoices of a test clock's customers were not paid by their due date."""
    tx.require_internal()
    for invoice_id in await repository.past_due_by_clock(tx, test_clock_id, now):
        await mark_past_due(tx, invoice_id)


async def settle(
    tx: Transaction, invoice_id: str, amount_minor: int, note: str, at: datetime | None = None
) -> None:
    """Count money that came in for an invoice: paid once all of it is there.

    What comes for an invoice that wants none is noted in its history, and stays for refunds.

    Idempotent by: the message that tells of the money.
    """
    tx.require_internal()
    held = await drafts.get_held(tx, invoice_id, lock=True)
    row = held.row
    wanted = drafts.due_minor(row) if row.state in domain.OPEN else 0
    row.paid_minor += min(amount_minor, wanted)
    day = domain.local_date(at, row.time_zone) if at else _today(tx, row)
    credit_notes.add_settlement(tx, row, min(amount_minor, wanted), day)
    if amount_minor > wanted:
        note = f"{note}; {amount_minor - wanted} {row.currency_code} minor units too many"
    if wanted and not drafts.due_minor(row):
        row.paid_at = tx.now
        await _move(tx, held, domain.PAID, InvoicePaid, note=note)
    else:
        repository.add_history(tx, row, before=row.state, note=note)


async def settle_if_nothing_is_due(tx: Transaction, held: Invoice, note: str) -> None:
    """Let an invoice of which all is paid or credited be paid."""
    if held.row.state in domain.OPEN and not drafts.due_minor(held.row):
        held.row.paid_at = tx.now
        await _move(tx, held, domain.PAID, InvoicePaid, note=note)


async def give_up(tx: Transaction, invoice_id: str) -> None:
    """Note that nobody expects the money of an invoice any more: what is due is written off.

    Idempotent by: the invoice.
    """
    tx.require_internal()
    held = await drafts.get_held(tx, invoice_id, lock=True)
    if held.row.state in (domain.FINALIZED, domain.PAST_DUE):
        held.row.closed_on = _today(tx, held.row)
        await _move(tx, held, domain.UNCOLLECTIBLE, InvoiceUncollectible)


async def note_payment(tx: Transaction, invoice_id: str, note: str) -> None:
    """Write into an invoice's history what happened to its money and leaves its state alone."""
    tx.require_internal()
    row = (await drafts.get_held(tx, invoice_id, lock=True)).row
    repository.add_history(tx, row, before=row.state, note=note)


async def get_settings(tx: ReadTransaction) -> domain.Settings:
    """Return what the tenant prints and how it numbers."""
    tx.authorize("invoices:read")
    return pricing.settings_of(await repository.settings(tx))


async def set_settings(tx: Transaction, settings: domain.Settings) -> domain.Settings:
    """Store what the tenant prints and how it numbers; issued documents keep what they say.

    Raises: Invalid, ScopeMissing.
    """
    tx.authorize("invoices:write")
    seller = settings.seller
    refuse_card_numbers({"/seller/name": seller.name, "/seller/footer": seller.footer})
    if settings.template.logo:
        press: Press = tx.runtime.state
        try:
            await press.check_logo(settings.template.logo)
        except LogoInvalid as error:
            raise Invalid([FieldError("/template/logo", "LOGO_INVALID", str(error))]) from None
    await repository.set_settings(tx, asdict(settings))
    return settings


def _check_untouched(row: InvoiceRow) -> None:
    if row.paid_minor or row.credited_minor:
        raise InvoiceCredited(
            "a part of the invoice was paid or credited: correct it by a credit note",
            metadata={"paid_minor": row.paid_minor, "credited_minor": row.credited_minor},
        )


def _today(tx: Transaction, row: InvoiceRow) -> date:
    """Return the day in the customer's time; of a test clock the last that is known of it."""
    if row.simulated or row.test_clock_id:
        return (
            row.due_on
            if row.state == domain.PAST_DUE and row.due_on
            else row.issued_on or tx.now.date()
        )
    return domain.local_date(tx.now, row.time_zone)


def _check_open(row: InvoiceRow) -> None:
    if row.state not in domain.OPEN:
        raise InvoiceNotOpen(f"the invoice is {row.state}", metadata={"state": row.state})


async def _move(
    tx: Transaction, held: Invoice, state: str, fact: Callable[..., Message], *,
    note: str = "", manual_minor: int = 0,
) -> None:  # fmt: skip
    row = held.row
    before, row.state = row.state, state
    repository.add_history(tx, row, before=before, note=note)
    facts = drafts.facts_of(held)
    await tx.publish(fact(**facts, manual_minor=manual_minor), aggregate_id=row.id)
