"""Credit notes: what is given back of an issued invoice, numbered in a series of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.card_numbers import refuse_card_numbers
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.faults import faultpoint, register
from billplane.chassis.rest import Page
from billplane.chassis.rpc import to_timestamp
from billplane.invoice import domain, peers, repository
from billplane.invoice.errors import (
    CreditNoteNotFound,
    CreditNotPossible,
    CustomerUnknown,
    InvoiceNotCreditable,
    RefundNotPossible,
)
from billplane.invoice.models import (
    CreditLineRow,
    CreditNote,
    CreditNoteRow,
    CreditTaxRow,
    Invoice,
    InvoiceRow,
)
from billplane.invoice.repository import credit_notes as notes
from billplane.invoice.service import drafts, einvoicing, lifecycle, pricing
from billplane.protos.invoice.v1.events_pb2 import (
    CreditNoteIssued,
    PrintCreditNote,
    RefundCreditNote,
    TaxAmount,
)

CREDIT, REFUND, BY_HAND = "credit", "refund", "by_hand"
EXCESSES = (CREDIT, REFUND, BY_HAND)
CREDITABLE = (domain.FINALIZED, domain.PAST_DUE, domain.PAID)
# Documents and credit notes count apart, whatever their prefixes are.
_SERIES = "credit_note:"

register("invoice.before_credit_note_ends")


@dataclass(frozen=True, slots=True)
class NewCreditNote:
    """What is to be given back: some lines, an amount with tax, or all that is left.

    Shape: `lines` gives amounts by line id, as the line's price has them; None = all of it.
    """

    invoice_id: str
    reason: str = ""
    lines: Mapping[str, int | None] = field(default_factory=dict)
    amount_minor: int | None = None
    excess: str = CREDIT
    metadata: Mapping[str, str] = field(default_factory=dict)
    at: datetime | None = None


async def create_credit_note(call: Call, new: NewCreditNote) -> CreditNote:
    """Issue a credit note: lower what is due, give back the rest, and publish CreditNoteIssued.

    Raises: InvoiceNotFound, InvoiceNotCreditable, NothingToCredit, CreditTooLarge,
        RefundNotPossible, CreditNotPossible, Invalid, ScopeMissing; the peers' errors.
    Idempotent by: the request id.
    """
    call.principal.require("invoices:write")
    _check(new)
    async with call.reading() as reading:
        held = await drafts.get_held(reading, new.invoice_id)
        _check_state(held.row)
    at = new.at or await _present(call, held.row)
    refundable = 0
    if new.excess == REFUND:
        refundable = await peers.refundable(call, held.row.id)
    keeps = new.excess != CREDIT or await _has_customer(call, held.row)
    tx = await call.last()
    held = await drafts.get_held(tx, held.row.id, lock=True)
    _check_state(held.row)
    made = _compute(held, await notes.notes_of(tx, held.row.id), new, tx, at)
    if new.excess == REFUND and made.row.excess_minor > refundable:
        raise RefundNotPossible(
            f"{refundable} of the invoice can go back the way it was paid, not"
            f" {made.row.excess_minor}: give it back by hand or as credit",
            field="/excess",
            metadata={"refundable_minor": refundable},
        )
    if not keeps and made.row.excess_minor:
        raise CreditNotPossible(
            f"there is no customer {held.row.customer_id} to keep"
            f" {made.row.excess_minor} {made.row.currency_code} for: give it back by hand",
            field="/excess",
            metadata={"excess_minor": made.row.excess_minor},
        )
    await _issue(tx, held, made)
    faultpoint("invoice.before_credit_note_ends")
    return made


def _check(new: NewCreditNote) -> None:
    found = []
    if new.excess not in EXCESSES:
        detail = f"expected one of {', '.join(EXCESSES)}"
        found.append(FieldError("/excess", "FIELD_INVALID", detail))
    if new.lines and new.amount_minor is not None:
        detail = "either lines or amount_minor, or neither for all that is left"
        found.append(FieldError("/amount_minor", "FIELDS_CONFLICT", detail))
    if new.amount_minor is not None and new.amount_minor <= 0:
        found.append(FieldError("/amount_minor", "FIELD_INVALID", "must be above zero"))
    if found:
        raise Invalid(found)
    texts = {f"/metadata/{name}": value for name, value in new.metadata.items()}
    refuse_card_numbers({"/reason": new.reason, **texts})


def _check_state(row: InvoiceRow) -> None:
    if row.state not in CREDITABLE:
        raise InvoiceNotCreditable(
            f"the invoice is {row.state}; what is finalized, past due or paid can be credited",
            metadata={"state": row.state},
        )


async def _has_customer(call: Call, row: InvoiceRow) -> bool:
    """Tell whether somebody could keep the credit; asked only of what was paid already."""
    if not row.paid_minor:
        return True
    try:
        await peers.get_customer(call, row.customer_id)
    except CustomerUnknown:
        return False
    return True


async def _present(call: Call, row: InvoiceRow) -> datetime:
    """Return the customer's time: a test clock's, or the real one."""
    if not row.test_clock_id:
        return call.runtime.clock.now()
    _, _, now = await peers.get_customer(call, row.customer_id)
    return max(now, row.at)


def _compute(
    held: Invoice, earlier: Sequence[CreditNote], new: NewCreditNote, tx: Transaction, at: datetime
) -> CreditNote:
    lines = _lines(held, earlier)
    unknown = set(new.lines) - {line.line_id for line in lines}
    if unknown:
        detail = f"the invoice has no line {min(unknown)}"
        raise Invalid([FieldError("/lines", "LINE_UNKNOWN", detail)])
    if new.lines:
        parts = domain.credit_lines(lines, new.lines)
    elif new.amount_minor is not None:
        parts = domain.credit_amount(lines, new.amount_minor)
    else:
        parts = domain.credit_rest(lines)
    groups = domain.credited_groups(parts, lines, _groups(held, earlier))
    net = sum(part.net_minor for part in parts)
    tax = sum(part.tax_minor for part in parts)
    applied = min(net + tax, drafts.due_minor(held.row))
    row = CreditNoteRow(
        tenant_id=tx.tenant_id,
        id=ids.new(notes.ID_PREFIX.rstrip("_")),
        livemode=tx.livemode,
        invoice_id=held.row.id,
        customer_id=held.row.customer_id,
        currency_code=held.row.currency_code,
        reason=new.reason,
        excess=new.excess,
        net_minor=net,
        tax_minor=tax,
        total_minor=net + tax,
        applied_minor=applied,
        excess_minor=net + tax - applied,
        issued_on=max(domain.local_date(at, held.row.time_zone), held.row.issued_on or at.date()),
        at=at,
        metadata_=dict(new.metadata),
        created_at=tx.now,
    )
    return _with_parts(row, held, parts, groups)


def _lines(held: Invoice, earlier: Sequence[CreditNote]) -> list[domain.Creditable]:
    net: dict[str, int] = {}
    tax: dict[str, int] = {}
    for note in earlier:
        for line in note.lines:
            net[line.invoice_line_id] = net.get(line.invoice_line_id, 0) + line.net_minor
            tax[line.invoice_line_id] = tax.get(line.invoice_line_id, 0) + line.tax_minor
    return [
        domain.Creditable(
            line_id=line.id,
            net_minor=line.net_minor,
            tax_minor=line.tax_minor,
            net_done_minor=net.get(line.id, 0),
            tax_done_minor=tax.get(line.id, 0),
            inclusive=line.tax_inclusive,
            keys=tuple(einvoicing.group_keys(line, held.taxes)),
        )
        for line in held.lines
    ]


def _groups(held: Invoice, earlier: Sequence[CreditNote]) -> list[domain.Group]:
    base: dict[str, int] = {}
    tax: dict[str, int] = {}
    for note in earlier:
        for group in note.taxes:
            base[group.key] = base.get(group.key, 0) + group.base_minor
            tax[group.key] = tax.get(group.key, 0) + group.tax_minor
    found = []
    for row in held.taxes:
        key = einvoicing.key_of(row)
        found.append(
            domain.Group(
                key=key,
                rate=Decimal(row.rate),
                base_minor=row.base_minor,
                tax_minor=row.tax_minor,
                base_done_minor=base.get(key, 0),
                tax_done_minor=tax.get(key, 0),
            )
        )
    return found


def _with_parts(
    row: CreditNoteRow,
    held: Invoice,
    parts: Sequence[domain.Part],
    groups: Sequence[tuple[str, int, int]],
) -> CreditNote:
    keys = {"tenant_id": row.tenant_id, "credit_note_id": row.id}
    by_id = {line.id: line for line in held.lines}
    by_key = {einvoicing.key_of(tax): tax for tax in held.taxes}
    lines = []
    for position, part in enumerate(parts, 1):
        line = by_id[part.line_id]
        whole = (part.net_minor, part.tax_minor) == (line.net_minor, line.tax_minor)
        plain = whole and not line.discount_minor
        lines.append(
            CreditLineRow(
                **keys,
                id=ids.new("cnl"),
                invoice_line_id=line.id,
                position=position,
                description=line.description,
                quantity=line.quantity if plain else "",
                unit=line.unit if plain else "",
                unit_amount=line.unit_amount if plain else "",
                amount_minor=part.net_minor + (part.tax_minor if line.tax_inclusive else 0),
                net_minor=part.net_minor,
                tax_minor=part.tax_minor,
            )
        )
    taxes = [
        CreditTaxRow(
            **keys,
            position=position,
            key=key,
            base_minor=base,
            tax_minor=tax,
            **{
                name: getattr(by_key[key], name)
                for name in ("label", "jurisdiction", "category", "rate", "treatment")
            },
        )
        for position, (key, base, tax) in enumerate(groups, 1)
    ]
    return CreditNote(row, lines, taxes)


async def _issue(tx: Transaction, held: Invoice, made: CreditNote) -> None:
    row, note = held.row, made.row
    settings = pricing.settings_of(await repository.settings(tx))
    row.credited_minor += note.applied_minor
    row.returned_minor += note.excess_minor
    notes.add_settlement(tx, row, note.applied_minor, note.issued_on)
    note.series = domain.series_of(
        settings.credit_note_prefix, note.issued_on, livemode=tx.livemode
    )
    # Last before the note itself: from here on others of the series wait.
    note.sequence = await repository.next_number(tx, _SERIES + note.series)
    note.number = domain.number_of(note.series, note.sequence)
    await notes.add_note(tx, made)
    text = f"credited {note.total_minor} {note.currency_code} by {note.number}"
    if note.reason:
        text = f"{text}: {note.reason}"
    repository.add_history(tx, row, before=row.state, note=text)
    await tx.publish(CreditNoteIssued(**facts_of(held, made)), aggregate_id=row.id)
    await tx.enqueue(PrintCreditNote(credit_note_id=note.id), key=note.id)
    if note.excess == REFUND and note.excess_minor:
        await tx.enqueue(RefundCreditNote(credit_note_id=note.id), key=note.id)
    await lifecycle.settle_if_nothing_is_due(tx, held, f"credited by {note.number}")
    await tx.session.flush()


def facts_of(held: Invoice, made: CreditNote) -> dict[str, Any]:
    """Return what CreditNoteIssued says."""
    row, note = held.row, made.row
    return {
        "credit_note_id": note.id,
        "number": note.number,
        "invoice_id": row.id,
        "invoice_number": row.number,
        "customer_id": row.customer_id,
        "subscription_id": row.subscription_id,
        "currency_code": note.currency_code,
        "total_minor": note.total_minor,
        "net_minor": note.net_minor,
        "tax_minor": note.tax_minor,
        "applied_minor": note.applied_minor,
        "excess_minor": note.excess_minor,
        "excess": note.excess,
        "due_minor": drafts.due_minor(row),
        "taxes": [
            TaxAmount(
                jurisdiction=tax.jurisdiction,
                category=tax.category,
                rate=tax.rate,
                amount_minor=tax.tax_minor,
            )
            for tax in made.taxes
        ],
        "reason": note.reason,
        "issued_on": note.issued_on.isoformat(),
        "at": to_timestamp(note.at),
        "test_clock_id": row.test_clock_id,
        "customer_email": row.customer["email"],
        "customer_name": row.customer["name"],
        "locale": row.customer["locale"],
    }


async def get_credit_note(tx: ReadTransaction, id_or_number: str) -> CreditNote:
    """Return one credit note by id or number.

    Raises: CreditNoteNotFound, ScopeMissing.
    """
    tx.authorize("invoices:read")
    found = await notes.note(tx, id_or_number)
    if found is None:
        raise CreditNoteNotFound(f"there is no credit note {id_or_number}")
    return found


async def list_credit_notes(
    tx: ReadTransaction, filters: dict[str, str | None], page: Page
) -> tuple[list[CreditNote], str | None]:
    """Return a page of credit notes, by customer_id and invoice_id."""
    tx.authorize("invoices:read")
    return await notes.page_of_notes(tx, filters, page)


async def refund(tx: Transaction, credit_note_id: str) -> None:
    """Ask payment to give back what a note leaves over of a paid invoice.

    Raises: the peer's errors, after which the task is tried again.
    Idempotent by: the credit note.
    """
    tx.require_internal()
    found = await notes.note(tx, credit_note_id)
    if found is not None:
        note = found.row
        await peers.refund(tx, note.invoice_id, note.excess_minor, note.id)
