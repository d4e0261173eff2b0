"""Credit notes: issued, read, printed, and written as e-invoices."""

from typing import Annotated

from fastapi import Query, Response

from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import PageQuery, Reader, Steps, listing, router
from billplane.invoice.models import CreditNote
from billplane.invoice.rest.answers import pdf_answer, xml_answer
from billplane.invoice.schemas import credit_notes as schemas
from billplane.invoice.schemas.invoices import Locale, Syntax, Tax
from billplane.invoice.service import credit_notes, note_documents
from billplane.invoice.service.credit_notes import NewCreditNote

rest = router(tags=["credit notes"])


@rest.post("/v1/credit_notes", status_code=201)
async def create_credit_note(
    body: schemas.CreditNoteBody, call: Steps, response: Response
) -> schemas.CreditNote:
    """Give back of an issued invoice: some lines, an amount with tax, or all that is left."""
    lines = {line.line_id: line.amount_minor for line in body.lines}
    if len(lines) < len(body.lines):
        raise Invalid([FieldError("/lines", "LINE_REPEATED", "a line stands once")])
    new = NewCreditNote(
        invoice_id=body.invoice_id,
        reason=body.reason,
        lines=lines,
        amount_minor=body.amount_minor,
        excess=body.excess,
        metadata=body.metadata,
    )
    made = await credit_notes.create_credit_note(call, new)
    response.headers["Location"] = f"/v1/credit_notes/{made.row.id}"
    return _note(made)


@rest.get("/v1/credit_notes")
async def list_credit_notes(
    tx: Reader, page: PageQuery, customer_id: str | None = None, invoice_id: str | None = None
) -> schemas.CreditNoteList:
    """List credit notes."""
    filters = {"customer_id": customer_id, "invoice_id": invoice_id}
    found, cursor = await credit_notes.list_credit_notes(tx, filters, page)
    return schemas.CreditNoteList(**listing([_note(item) for item in found], cursor))


@rest.get(
    "/v1/credit_notes/{credit_note_id}/pdf",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
async def get_pdf(
    credit_note_id: str, call: Steps, locale: Annotated[Locale | None, Query()] = None
) -> Response:
    """Return the printed credit note."""
    return pdf_answer(await note_documents.get_pdf(call, credit_note_id, locale))


@rest.get(
    "/v1/credit_notes/{credit_note_id}/xml",
    response_class=Response,
    responses={200: {"content": {"application/xml": {}}}},
)
async def get_xml(
    credit_note_id: str, tx: Reader, syntax: Annotated[Syntax, Query(alias="format")] = "cii"
) -> Response:
    """Return a credit note as an e-invoice of EN 16931, in CII or UBL."""
    return xml_answer(await note_documents.get_xml(tx, credit_note_id, syntax))


@rest.get("/v1/credit_notes/{credit_note_id}")
async def get_credit_note(credit_note_id: str, tx: Reader) -> schemas.CreditNote:
    """Return one credit note by id or number."""
    return _note(await credit_notes.get_credit_note(tx, credit_note_id))


def _note(held: CreditNote) -> schemas.CreditNote:
    row = held.row
    return schemas.CreditNote(
        id=row.id,
        number=row.number,
        livemode=row.livemode,
        invoice_id=row.invoice_id,
        customer_id=row.customer_id,
        currency_code=row.currency_code,
        reason=row.reason,
        lines=[schemas.CreditLine.model_validate(line) for line in held.lines],
        taxes=[Tax.model_validate(tax) for tax in held.taxes],
        net_minor=row.net_minor,
        tax_minor=row.tax_minor,
        total_minor=row.total_minor,
        applied_minor=row.applied_minor,
        excess_minor=row.excess_minor,
        excess=row.excess,  # type: ignore[arg-type]
        issued_on=row.issued_on,
        metadata=row.metadata_,
        created_at=row.created_at,
    )
