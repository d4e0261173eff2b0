"""Finalizing in steps, each a transaction: attempt, discounts, tax, number.

Every request to a peer carries an id made of the invoice and the attempt, so that whoever
resumes an attempt, be it a second caller or the janitor, repeats it without a second effect.
"""

from dataclasses import replace
from datetime import datetime

from billplane.chassis import logging
from billplane.chassis.call import Call
from billplane.chassis.database import Transaction
from billplane.chassis.errors import BillplaneError, Kind
from billplane.chassis.faults import faultpoint, register
from billplane.invoice import domain, peers, repository
from billplane.invoice.errors import (
    DiscountChanged,
    FinalizationAbandoned,
    InvoiceNotDraft,
)
from billplane.invoice.models import AttemptRow, Invoice, InvoiceRow
from billplane.invoice.service import drafts, einvoicing, pricing
from billplane.protos.invoice.v1.events_pb2 import InvoiceFinalized, InvoicePaid, RenderInvoice

_log = logging.get("invoice")

# The peer may have done its part, or may do it when it is back: the attempt goes on later.
_UNDECIDED = (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED, Kind.INTERNAL, Kind.ABORTED)

register(
    "invoice.after_attempt",
    "invoice.after_discounts",
    "invoice.after_tax",
    "invoice.before_number_ends",
    "invoice.after_abandoning",
    "invoice.after_reversal",
)


async def finalize_invoice(call: Call, id_or_number: str, at: datetime | None = None) -> Invoice:
    """Redeem the discounts of a draft, record its tax, number and freeze it.

    What is final already is returned as it is; an attempt that somebody else has begun is taken
    up where it stands.

    Raises: InvoiceNotFound, InvoiceNotDraft, DiscountChanged, FinalizationAbandoned,
        ScopeMissing; the peers' errors.
    Idempotent by: the invoice.
    """
    call.principal.require("invoices:write")
    held, attempt, settings = await _begin(call, id_or_number, at)
    if attempt is None:
        return held
    faultpoint("invoice.after_attempt")
    try:
        priced = await _price(call, held, attempt)
        einvoicing.check(_as_issued(held, priced), settings)
    except BillplaneError as error:
        if error.kind in _UNDECIDED:
            raise
        await _abandon(call, attempt, error.reason)
        raise
    return await _end(call, held, priced, attempt)


async def _begin(
    call: Call, id_or_number: str, at: datetime | None
) -> tuple[Invoice, AttemptRow | None, domain.Settings]:
    """Store the attempt, or return the one that runs; no attempt when the invoice is final.

    What cannot become the e-invoice that the tenant asks for is refused before anything begins.
    """
    async with call.writing() as tx:
        held = await drafts.get_held(tx, id_or_number, lock=True)
        row = held.row
        settings = pricing.settings_of(await repository.settings(tx))
        if row.state == domain.VOIDED:
            raise InvoiceNotDraft("the invoice is voided", metadata={"state": row.state})
        if row.state not in (domain.DRAFT, domain.FINALIZING):
            return held, None, settings
        if row.state == domain.FINALIZING:
            running = await repository.attempt(tx, row.id, row.attempt)
            return held, _pending(running), settings
        einvoicing.check(held, settings)
        before, row.state = row.state, domain.FINALIZING
        row.attempt += 1
        attempt = AttemptRow(
            tenant_id=tx.tenant_id,
            invoice_id=row.id,
            attempt=row.attempt,
            livemode=tx.livemode,
            state="pending",
            reason="",
            at=at or tx.now,
            created_at=tx.now,
        )
        tx.session.add(attempt)
        repository.add_history(tx, row, before=before)
        return held, attempt, settings


def _as_issued(held: Invoice, priced: domain.Priced) -> Invoice:
    """Return the document as it is about to be issued, apart from the one that is stored."""
    row = pricing.to_row(priced.draft, held.row.id, livemode=held.row.livemode)
    return pricing.to_invoice(priced, row, held.row.tenant_id)


def _pending(attempt: AttemptRow | None) -> AttemptRow:
    if attempt is None or attempt.state != "pending":
        raise FinalizationAbandoned("the attempt was given up", retry_after_seconds=1)
    return attempt


async def _price(call: Call, held: Invoice, attempt: AttemptRow) -> domain.Priced:
    """Redeem the discounts and record the tax."""
    request_id = f"{attempt.invoice_id}:{attempt.attempt}"
    draft = replace(pricing.to_draft(held.row, held.lines), at=attempt.at)
    discounts = await peers.apply_discounts(
        call, draft, reference=held.row.id, request_id=f"{request_id}:discounts"
    )
    faultpoint("invoice.after_discounts")
    if not discounts.same_as([(item.code, item.amount_minor) for item in held.discounts]):
        raise DiscountChanged(
            "the discounts that the draft showed do not apply any more",
            metadata=dict(discounts.refused),
        )
    taxation = await peers.calculate_tax(
        call, draft, discounts, reference=held.row.id, request_id=f"{request_id}:tax"
    )
    faultpoint("invoice.after_tax")
    return pricing.checked(domain.Priced(draft, discounts, taxation))


async def _end(call: Call, held: Invoice, priced: domain.Priced, attempt: AttemptRow) -> Invoice:
    """Number and freeze the document, unless somebody was first."""
    tx = await call.last()
    row = await drafts.get_row(tx, attempt.invoice_id)
    if row.state not in (domain.DRAFT, domain.FINALIZING):
        return await drafts.get_held(tx, attempt.invoice_id)
    # While its attempt is pending nobody changes the parts of the document.
    if not await repository.end_attempt(tx, row.id, attempt.attempt):
        raise FinalizationAbandoned("the attempt was given up", retry_after_seconds=1)
    # One UPDATE of the row, once it has its number.
    with tx.session.no_autoflush:
        made = pricing.to_invoice(priced, row, tx.tenant_id)
        await repository.replace_parts(tx, held, made)
        await _number(tx, row, priced.draft)
    applications = [item.application_id for item in priced.discounts.applied]
    repository.add_history(tx, row, before=domain.FINALIZING, applications=applications)
    await tx.publish(InvoiceFinalized(**drafts.facts_of(made)), aggregate_id=row.id)
    await tx.enqueue(RenderInvoice(invoice_id=row.id), key=row.id)
    if not row.total_minor:
        row.state, row.paid_at = domain.PAID, tx.now
        repository.add_history(tx, row, before=domain.FINALIZED, note="nothing to pay")
        await tx.publish(InvoicePaid(**drafts.facts_of(made)), aggregate_id=row.id)
    await tx.session.flush()
    faultpoint("invoice.before_number_ends")
    return made


async def _number(tx: Transaction, row: InvoiceRow, draft: domain.Draft) -> None:
    found = await repository.settings(tx)
    settings = pricing.settings_of(found)
    issued_on = domain.local_date(draft.at, draft.time_zone)
    row.at = draft.at
    row.simulated = drafts.is_simulated(tx, draft.at)
    row.seller = pricing.seller_json(settings.seller)
    row.issued_on = issued_on
    row.due_on = domain.due_date(draft, issued_on, settings.payment_terms_days)
    row.past_due_at = domain.end_of(row.due_on, row.time_zone)
    row.finalized_at = tx.now
    row.series = domain.series_of(settings.prefix, issued_on, livemode=tx.livemode)
    # Last before the row itself: from here on others of the series wait.
    row.sequence = await repository.next_number(tx, row.series)
    row.number = domain.number_of(row.series, row.sequence)
    row.state = domain.FINALIZED
    row.revision += 1


async def _abandon(call: Call, attempt: AttemptRow, reason: str) -> None:
    """Give an attempt up: redeemed discounts go back, the invoice is a draft again."""
    async with call.writing() as tx:
        held = await drafts.get_held(tx, attempt.invoice_id, lock=True)
        running = await repository.attempt(tx, attempt.invoice_id, attempt.attempt)
        if held.row.state != domain.FINALIZING or running is None or running.state != "pending":
            return
        running.state, running.reason = "reversing", reason
    faultpoint("invoice.after_abandoning")
    await give_back(call, attempt.invoice_id)


async def give_back(call: Call, invoice_id: str) -> None:
    """Reverse the discounts of an abandoned or voided invoice; a draft-to-be becomes one."""
    async with call.reading() as reading:
        held = await drafts.get_held(reading, invoice_id)
        attempt = await repository.attempt(reading, invoice_id, held.row.attempt)
    if attempt is None or attempt.state != "reversing":
        return
    request_id = f"{invoice_id}:{attempt.attempt}:reversal"
    await peers.reverse_discounts(call, reference=invoice_id, request_id=request_id)
    faultpoint("invoice.after_reversal")
    async with call.writing() as tx:
        row = (await drafts.get_held(tx, invoice_id, lock=True)).row
        running = await repository.attempt(tx, invoice_id, attempt.attempt)
        if running is None or running.state != "reversing":
            return
        running.state = "reversed"
        if row.state != domain.FINALIZING:
            return
        row.state = domain.DRAFT
        row.revision += 1
        repository.add_history(tx, row, before=domain.FINALIZING, note=running.reason)
    await _compute_anew(call, invoice_id)


async def _compute_anew(call: Call, invoice_id: str) -> None:
    """Let the draft show what applies now; if that fails it stays as it was."""
    try:
        async with Call(call.runtime, call.principal, call.request_id) as own:
            await drafts.update_invoice(own, invoice_id, {})
    except BillplaneError as error:
        _log.warning("draft_not_recomputed", invoice_id=invoice_id, reason=error.reason)


async def resume(call: Call, invoice_id: str) -> None:
    """Bring an attempt that nobody works on to its end.

    Raises: the peers' errors while they are away.
    """
    async with call.reading() as reading:
        held = await drafts.get_held(reading, invoice_id)
        attempt = await repository.attempt(reading, invoice_id, held.row.attempt)
    if attempt is not None and attempt.state == "reversing":
        await give_back(call, invoice_id)
    elif held.row.state == domain.FINALIZING:
        await finalize_invoice(call, invoice_id)
