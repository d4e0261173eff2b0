"""gRPC of invoice."""

from datetime import date, datetime

from billplane.chassis.database import ReadTransaction
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import Page
from billplane.chassis.rpc import Call, Rpc, from_timestamp, to_timestamp
from billplane.invoice import domain, render
from billplane.invoice.models import (
    CreditNote,
    CreditTaxRow,
    Invoice,
    InvoiceRow,
    LineRow,
    TaxRow,
)
from billplane.invoice.service import (
    credit_notes,
    drafts,
    einvoicing,
    finalization,
    lifecycle,
    pricing,
    printing,
)
from billplane.money import CurrencyCode, UnknownCurrency, parse_currency
from billplane.protos.invoice.v1 import invoice_pb2 as pb

rpc = Rpc(pb.DESCRIPTOR.services_by_name["InvoiceService"])

_ADDRESS = tuple(domain.Address.__dataclass_fields__)


@rpc.steps
async def CreateInvoice(call: Call, request: pb.CreateInvoiceRequest) -> pb.CreateInvoiceResponse:
    """Create a draft with discounts and tax computed."""
    made = await drafts.create_invoice(call, from_proto_draft(request, call.runtime.clock.now()))
    return pb.CreateInvoiceResponse(invoice=to_proto_invoice(made))


@rpc.read
async def GetInvoice(tx: ReadTransaction, request: pb.GetInvoiceRequest) -> pb.GetInvoiceResponse:
    """Return one invoice by id or number."""
    return pb.GetInvoiceResponse(invoice=to_proto_invoice(await drafts.get_invoice(tx, request.id)))


@rpc.read
async def ListInvoices(
    tx: ReadTransaction, request: pb.ListInvoicesRequest
) -> pb.ListInvoicesResponse:
    """List invoices."""
    filters: dict[str, str | None] = {
        "customer_id": request.customer_id,
        "subscription_id": request.subscription_id,
        "state": request.state,
    }
    page = Page.of(request.page_size, request.page_token)
    found, cursor = await drafts.list_invoices(tx, filters, page)
    return pb.ListInvoicesResponse(
        invoices=[to_proto_invoice(item) for item in found], next_page_token=cursor or ""
    )


@rpc.steps
async def FinalizeInvoice(
    call: Call, request: pb.FinalizeInvoiceRequest
) -> pb.FinalizeInvoiceResponse:
    """Redeem discounts, record tax, number and freeze a draft."""
    at = from_timestamp(request, "at")
    made = await finalization.finalize_invoice(call, request.id, at)
    return pb.FinalizeInvoiceResponse(invoice=to_proto_invoice(made))


@rpc.steps
async def VoidInvoice(call: Call, request: pb.VoidInvoiceRequest) -> pb.VoidInvoiceResponse:
    """Void an issued invoice."""
    made = await lifecycle.void_invoice(call, request.id, request.reason)
    return pb.VoidInvoiceResponse(invoice=to_proto_invoice(made))


@rpc.steps
async def PreviewInvoice(
    call: Call, request: pb.PreviewInvoiceRequest
) -> pb.PreviewInvoiceResponse:
    """Compute what CreateInvoice would make."""
    draft = from_proto_draft(request.invoice, call.runtime.clock.now())
    made = await drafts.preview_invoice(call, draft)
    return pb.PreviewInvoiceResponse(invoice=to_proto_invoice(made))


@rpc.steps
async def GetInvoiceDocument(
    call: Call, request: pb.GetInvoiceDocumentRequest
) -> pb.GetInvoiceDocumentResponse:
    """Return an issued document as PDF, or as the XML of EN 16931."""
    wanted = request.format or "pdf"
    if wanted == "pdf":
        locale = render.locale_named(request.locale) if request.locale else None
        pdf = await printing.get_pdf(call, request.id, locale)
        return pb.GetInvoiceDocumentResponse(
            file_name=f"{pdf.name}.pdf", media_type="application/pdf", content=pdf.content
        )
    if wanted not in ("cii", "ubl"):
        raise Invalid([FieldError("format", "FIELD_INVALID", "expected pdf, cii or ubl")])
    async with call.reading() as tx:
        xml = await einvoicing.get_xml(tx, request.id, "cii" if wanted == "cii" else "ubl")
    return pb.GetInvoiceDocumentResponse(
        file_name=f"{xml.name}.xml", media_type="application/xml", content=xml.content
    )


@rpc.steps
async def CreateCreditNote(
    call: Call, request: pb.CreateCreditNoteRequest
) -> pb.CreateCreditNoteResponse:
    """Give back of an issued invoice: some lines, an amount, or all that is left."""
    lines = {
        line.line_id: line.amount_minor if line.HasField("amount_minor") else None
        for line in request.lines
    }
    if len(lines) < len(request.lines):
        raise Invalid([FieldError("lines", "LINE_REPEATED", "a line stands once")])
    new = credit_notes.NewCreditNote(
        invoice_id=request.invoice_id,
        reason=request.reason,
        lines=lines,
        amount_minor=request.amount_minor if request.HasField("amount_minor") else None,
        excess=request.excess or credit_notes.CREDIT,
        metadata=dict(request.metadata),
        at=from_timestamp(request, "at"),
    )
    made = await credit_notes.create_credit_note(call, new)
    return pb.CreateCreditNoteResponse(credit_note=to_proto_note(made))


@rpc.read
async def GetCreditNote(
    tx: ReadTransaction, request: pb.GetCreditNoteRequest
) -> pb.GetCreditNoteResponse:
    """Return one credit note by id or number."""
    found = await credit_notes.get_credit_note(tx, request.id)
    return pb.GetCreditNoteResponse(credit_note=to_proto_note(found))


@rpc.read
async def ListCreditNotes(
    tx: ReadTransaction, request: pb.ListCreditNotesRequest
) -> pb.ListCreditNotesResponse:
    """List credit notes."""
    filters: dict[str, str | None] = {
        "customer_id": request.customer_id,
        "invoice_id": request.invoice_id,
    }
    page = Page.of(request.page_size, request.page_token)
    found, cursor = await credit_notes.list_credit_notes(tx, filters, page)
    return pb.ListCreditNotesResponse(
        credit_notes=[to_proto_note(item) for item in found], next_page_token=cursor or ""
    )


def from_proto_draft(request: pb.CreateInvoiceRequest, now: datetime) -> domain.Draft:
    """Read a document to be."""
    rate = request.conversion
    if request.HasField("conversion") and rate.base:
        _currency(rate.base, "conversion.base")
        _currency(rate.quote, "conversion.quote")
    return domain.Draft(
        customer=from_proto_customer(request.customer),
        currency=_currency(request.currency_code, "currency_code"),
        lines=tuple(from_proto_line(line, index) for index, line in enumerate(request.lines)),
        at=from_timestamp(request, "at") or now,
        time_zone=request.time_zone or "Etc/UTC",
        subscription_id=request.subscription_id,
        plan_id=request.plan_id,
        plan_name=request.plan_name,
        occasion=request.occasion,
        period_starts_at=from_timestamp(request, "period_starts_at"),
        period_ends_at=from_timestamp(request, "period_ends_at"),
        coupon_codes=tuple(request.coupon_codes),
        due_on=_day(request.due_on, "due_on"),
        chart=domain.Chart(
            request.chart.title,
            request.chart.unit,
            tuple((point.label, point.quantity) for point in request.chart.points),
        ),
        conversion=domain.Conversion(
            rate.base, rate.quote, rate.rate, rate.rate_id, rate.as_of, rate.source
        ),
        metadata=dict(request.metadata),
    )


def from_proto_customer(message: pb.CustomerSnapshot) -> domain.Customer:
    """Read the customer as it is."""
    return domain.Customer(
        customer_id=message.customer_id,
        name=message.name,
        email=message.email,
        address=domain.Address(*(getattr(message.address, name) for name in _ADDRESS)),
        tax_ids=tuple(domain.TaxId(item.type, item.value) for item in message.tax_ids),
        tax_type=message.tax_type or "consumer",
        user_type=message.user_type,
        locale=message.locale,
        payment_terms_days=(
            message.payment_terms_days if message.HasField("payment_terms_days") else None
        ),
        external_id=message.external_id,
        test_clock_id=message.test_clock_id,
    )


def from_proto_line(line: pb.NewLine, index: int) -> domain.Line:
    """Read a line to be."""
    return domain.Line(
        id=pricing.new_line_id(),
        description=line.description,
        amount_minor=line.amount_minor,
        charge=line.charge,
        kind=line.kind or "one_off",
        quantity=line.quantity,
        unit=line.unit,
        unit_amount=line.unit_amount,
        tax_category=line.tax_category,
        tax_inclusive=line.tax_inclusive,
        tax_rule_id=line.tax_rule_id,
        tax_on=_day(line.tax_on, f"lines[{index}].tax_on"),
        starts_at=from_timestamp(line, "starts_at"),
        ends_at=from_timestamp(line, "ends_at"),
        detail_json=line.detail_json,
    )


def to_proto_invoice(held: Invoice) -> pb.Invoice:
    """Return a document as a message."""
    row = held.row
    return pb.Invoice(
        id=row.id,
        number=row.number,
        state=row.state,
        customer=to_proto_customer(pricing.customer_of(row)),
        subscription_id=row.subscription_id,
        plan_id=row.plan_id,
        period_starts_at=to_timestamp(row.period_starts_at),
        period_ends_at=to_timestamp(row.period_ends_at),
        currency_code=row.currency_code,
        lines=[to_proto_line(line) for line in held.lines],
        discounts=[
            pb.InvoiceDiscount(
                code=item.code,
                description=item.description,
                amount_minor=item.amount_minor,
                application_id=item.application_id,
            )
            for item in held.discounts
        ],
        taxes=[to_proto_tax(item) for item in held.taxes],
        subtotal_minor=row.subtotal_minor,
        discount_minor=row.discount_minor,
        net_minor=row.net_minor,
        tax_minor=row.tax_minor,
        total_minor=row.total_minor,
        paid_minor=row.paid_minor,
        due_minor=drafts.due_minor(row),
        issued_on=drafts.day_text(row.issued_on),
        due_on=drafts.day_text(row.due_on or row.due_requested_on),
        conversion=to_proto_conversion(row),
        notes=row.notes,
        metadata=row.metadata_,
        created_at=to_timestamp(row.created_at),
        finalized_at=to_timestamp(row.finalized_at),
        paid_at=to_timestamp(row.paid_at),
        credited_minor=row.credited_minor,
        returned_minor=row.returned_minor,
    )


def to_proto_tax(item: TaxRow | CreditTaxRow) -> pb.InvoiceTax:
    """Return a group of tax as a message."""
    return pb.InvoiceTax(
        label=item.label,
        jurisdiction=item.jurisdiction,
        category=item.category,
        rate=item.rate,
        treatment=item.treatment,
        base_minor=item.base_minor,
        tax_minor=item.tax_minor,
    )


def to_proto_note(held: CreditNote) -> pb.CreditNote:
    """Return a credit note as a message."""
    row = held.row
    return pb.CreditNote(
        id=row.id,
        number=row.number,
        invoice_id=row.invoice_id,
        customer_id=row.customer_id,
        currency_code=row.currency_code,
        reason=row.reason,
        lines=[
            pb.CreditNoteLine(
                id=line.id,
                invoice_line_id=line.invoice_line_id,
                description=line.description,
                net_minor=line.net_minor,
                tax_minor=line.tax_minor,
            )
            for line in held.lines
        ],
        taxes=[to_proto_tax(item) for item in held.taxes],
        net_minor=row.net_minor,
        tax_minor=row.tax_minor,
        total_minor=row.total_minor,
        applied_minor=row.applied_minor,
        excess_minor=row.excess_minor,
        excess=row.excess,
        issued_on=row.issued_on.isoformat(),
        metadata=row.metadata_,
        created_at=to_timestamp(row.created_at),
    )


def to_proto_customer(customer: domain.Customer) -> pb.CustomerSnapshot:
    """Return the customer as it was."""
    return pb.CustomerSnapshot(
        customer_id=customer.customer_id,
        name=customer.name,
        email=customer.email,
        address=pb.Address(**{name: getattr(customer.address, name) for name in _ADDRESS}),
        tax_ids=[pb.TaxId(type=item.type, value=item.value) for item in customer.tax_ids],
        tax_type=customer.tax_type,
        user_type=customer.user_type,
        locale=customer.locale,
        payment_terms_days=customer.payment_terms_days,
        external_id=customer.external_id,
        test_clock_id=customer.test_clock_id,
    )


def to_proto_line(line: LineRow) -> pb.InvoiceLine:
    """Return a line as a message."""
    return pb.InvoiceLine(
        id=line.id,
        charge=line.charge,
        kind=line.kind,
        description=line.description,
        quantity=line.quantity,
        unit=line.unit,
        unit_amount=line.unit_amount,
        amount_minor=line.amount_minor,
        discount_minor=line.discount_minor,
        net_minor=line.net_minor,
        tax_minor=line.tax_minor,
        tax_category=line.tax_category,
        starts_at=to_timestamp(line.starts_at),
        ends_at=to_timestamp(line.ends_at),
        detail_json=line.detail_json,
    )


def to_proto_conversion(row: InvoiceRow) -> pb.ConversionNote | None:
    """Return the rate of the document, None when it has none."""
    return pb.ConversionNote(**row.conversion) if row.conversion["base"] else None


def _currency(code: str, field: str) -> CurrencyCode:
    try:
        return parse_currency(code)
    except UnknownCurrency as error:
        raise Invalid([FieldError(field, "CURRENCY_UNKNOWN", str(error))]) from None


def _day(text: str, field: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid([FieldError(field, "FIELD_INVALID", "expected YYYY-MM-DD")]) from None
