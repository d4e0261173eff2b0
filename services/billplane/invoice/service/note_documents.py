"""From a credit note's rows to its PDF and its e-invoice."""

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.invoice import einvoice, render, repository
from billplane.invoice.models import CreditNote, Invoice, LineRow
from billplane.invoice.render.press import Press
from billplane.invoice.repository import credit_notes as notes
from billplane.invoice.service import credit_notes, drafts, einvoicing, pricing, printing
from billplane.invoice.service.einvoicing import Format, Xml
from billplane.invoice.service.printing import Pdf
from billplane.money import CurrencyCode, minor_to_exact

# A credit note asks for nothing; EN 16931 wants words in place of a due date (BR-CO-25).
_TERMS = {
    "credit": "Credited to the buyer's account",
    "refund": "Refunded the way it was paid",
    "by_hand": "Given back to the buyer",
}


async def get_pdf(call: Call, id_or_number: str, locale: render.Locale | None = None) -> Pdf:
    """Return the credit note as it was issued.

    Raises: CreditNoteNotFound, ScopeMissing.
    """
    async with call.reading() as tx:
        note = await credit_notes.get_credit_note(tx, id_or_number)
        held = await drafts.get_held(tx, note.row.invoice_id)
        wanted = locale or printing.locale_of(held.row)
        stored = await notes.document(tx, note.row.id, wanted)
        if stored is not None:
            return Pdf(note.row.number, stored.content)
        document = await _to_document(tx, held, note, wanted)
    press: Press = call.runtime.state
    return Pdf(note.row.number, await press.print(document))


async def print_note(tx: Transaction, credit_note_id: str) -> None:
    """Print an issued credit note in its customer's language and keep it.

    Idempotent by: the credit note.
    """
    note = await notes.note(tx, credit_note_id)
    if note is None:
        return
    held = await drafts.get_held(tx, note.row.invoice_id)
    locale = printing.locale_of(held.row)
    if await notes.document(tx, credit_note_id, locale) is not None:
        return
    press: Press = tx.runtime.state
    content = await press.print(await _to_document(tx, held, note, locale))
    await notes.add_document(tx, credit_note_id, locale, content)


async def get_xml(tx: ReadTransaction, id_or_number: str, syntax: Format) -> Xml:
    """Return a credit note as an e-invoice of EN 16931.

    Raises: CreditNoteNotFound, EInvoiceUnsupported, EInvoiceInvalid, ScopeMissing.
    """
    note = await credit_notes.get_credit_note(tx, id_or_number)
    held = await drafts.get_held(tx, note.row.invoice_id)
    document = einvoicing.checked(_to_e_invoice(held, note))
    return Xml(note.row.number, einvoicing.write(document, syntax))


def _to_e_invoice(held: Invoice, note: CreditNote) -> einvoice.Document:
    row, own = held.row, note.row
    lines = _lines(held, note)
    einvoicing.refuse_unsupported(row, lines, held.taxes)
    currency = CurrencyCode(row.currency_code)
    outside = einvoicing.is_outside(held.taxes)
    first_on, last_on = einvoicing.span(row.period_starts_at, row.period_ends_at, row.time_zone)
    return einvoice.Document(
        kind=einvoice.Kind.CREDIT_NOTE,
        number=own.number,
        issued_on=own.issued_on,
        currency=currency,
        seller=einvoicing.seller_party(pricing.seller_of(row.seller), outside=outside),
        buyer=einvoicing.buyer_party(pricing.customer_of(row), outside=outside),
        lines=tuple(
            einvoicing.line_of(row, line, held.taxes, index, "")
            for index, line in enumerate(lines, 1)
        ),
        taxes=einvoicing.groups_of(note.taxes, currency),
        net=minor_to_exact(own.net_minor, currency),
        tax=minor_to_exact(own.tax_minor, currency),
        total=minor_to_exact(own.total_minor, currency),
        first_on=first_on,
        last_on=last_on,
        notes=tuple(text for text in (own.reason, *row.notes) if text.strip()),
        buyer_reference=str(row.metadata_.get("buyer_reference", "")),
        order_reference=str(row.metadata_.get("purchase_order", "")),
        preceding=einvoice.Preceding(row.number, row.issued_on),
        payment=einvoice.Payment(terms=_TERMS[own.excess if own.excess_minor else "credit"]),
    )


def _lines(held: Invoice, note: CreditNote) -> list[LineRow]:
    """Return the lines of the invoice as far as they are given back."""
    by_id = {line.id: line for line in held.lines}
    found = []
    for part in note.lines:
        line = by_id[part.invoice_line_id]
        found.append(
            LineRow(
                id=part.id,
                position=part.position,
                charge=line.charge,
                kind=line.kind,
                description=part.description,
                quantity=part.quantity,
                unit=part.unit,
                unit_amount=part.unit_amount,
                amount_minor=part.amount_minor,
                discount_minor=0,
                net_minor=part.net_minor,
                tax_minor=part.tax_minor,
                tax_category=line.tax_category,
                tax_inclusive=line.tax_inclusive,
                tax_rate=line.tax_rate,
                tax_keys=line.tax_keys,
                starts_at=line.starts_at,
                ends_at=line.ends_at,
            )
        )
    return found


async def _to_document(
    tx: ReadTransaction, held: Invoice, note: CreditNote, locale: render.Locale
) -> render.InvoiceDocument:
    row, own = held.row, note.row
    template = pricing.settings_of(await repository.settings(tx)).template
    lines = _lines(held, note)
    seller = pricing.seller_of(row.seller)
    return render.InvoiceDocument(
        seller=printing.seller_of(seller, locale),
        customer=printing.customer_of(pricing.customer_of(row), locale),
        currency=CurrencyCode(row.currency_code),
        locale=locale,
        state=render.DocumentState.FINAL,
        kind=render.DocumentKind.CREDIT_NOTE,
        number=own.number,
        corrects=row.number,
        issued_on=own.issued_on,
        lines=tuple(printing.line_of(line, locale) for line in lines),
        subtotal_minor=sum(line.amount_minor for line in lines),
        taxes=printing.taxes_of(note.taxes, locale),
        total_minor=own.total_minor,
        notes=(
            *((own.reason,) if own.reason else ()),
            *(render.term(text, locale) for text in row.notes),
            *((seller.footer,) if seller.footer else ()),
        ),
        look=printing.look_of(template, locale),
        attachment=einvoicing.cii_or_nothing(lambda: _to_e_invoice(held, note)),
    )
