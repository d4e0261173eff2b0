"""Invoices, from draft to paid."""

from typing import Annotated, Any

from fastapi import Query, Response

from billplane.chassis.call import Call
from billplane.chassis.errors import FieldError, Invalid
from billplane.chassis.rest import PageQuery, Reader, Steps, Writer, listing, router
from billplane.invoice import domain
from billplane.invoice.models import HistoryRow, Invoice, LineRow
from billplane.invoice.rest.answers import pdf_answer, xml_answer
from billplane.invoice.schemas import invoices as schemas
from billplane.invoice.service import (
    drafts,
    einvoicing,
    finalization,
    lifecycle,
    pricing,
    printing,
    sending,
)
from billplane.money import (
    AmountOutOfRange,
    CurrencyCode,
    UnknownCurrency,
    parse_currency,
)

rest = router(tags=["invoice"])


@rest.post("/v1/invoices", status_code=201)
async def create_invoice(
    body: schemas.InvoiceBody, call: Steps, response: Response
) -> schemas.Invoice:
    """Create a one-off draft with discounts and taxes computed."""
    made = await drafts.create_invoice(call, await _draft(call, body))
    response.headers["Location"] = f"/v1/invoices/{made.row.id}"
    return _invoice(made)


@rest.post("/v1/invoices/preview")
async def preview_invoice(body: schemas.InvoiceBody, call: Steps) -> schemas.Invoice:
    """Compute what a one-off draft would be; nothing is stored."""
    return _invoice(await drafts.preview_invoice(call, await _draft(call, body)))


@rest.get("/v1/invoices")
async def list_invoices(
    tx: Reader,
    page: PageQuery,
    customer_id: str | None = None,
    subscription_id: str | None = None,
    state: Annotated[schemas.State | None, Query()] = None,
) -> schemas.InvoiceList:
    """List invoices."""
    filters: dict[str, str | None] = {
        "customer_id": customer_id,
        "subscription_id": subscription_id,
        "state": state,
    }
    found, cursor = await drafts.list_invoices(tx, filters, page)
    return schemas.InvoiceList(**listing([_invoice(item) for item in found], cursor))


@rest.post("/v1/invoices/{invoice_id}:finalize")
async def finalize_invoice(invoice_id: str, call: Steps) -> schemas.Invoice:
    """Redeem the discounts of a draft, number and freeze it."""
    return _invoice(await finalization.finalize_invoice(call, invoice_id))


@rest.post("/v1/invoices/{invoice_id}:void")
async def void_invoice(
    invoice_id: str, call: Steps, body: schemas.NoteBody | None = None
) -> schemas.Invoice:
    """Void an issued invoice that is not paid; its number stays."""
    note = body.note if body else ""
    return _invoice(await lifecycle.void_invoice(call, invoice_id, note))


@rest.post("/v1/invoices/{invoice_id}:mark_paid")
async def mark_paid(
    invoice_id: str, tx: Writer, body: schemas.NoteBody | None = None
) -> schemas.Invoice:
    """Note that an invoice was paid in full outside of the platform."""
    return _invoice(await lifecycle.mark_paid(tx, invoice_id, body.note if body else ""))


@rest.post("/v1/invoices/{invoice_id}:send")
async def send_invoice(
    invoice_id: str, tx: Writer, body: schemas.SendBody | None = None
) -> schemas.Invoice:
    """Send an issued invoice by e-mail, its PDF along with it."""
    return _invoice(await sending.send_invoice(tx, invoice_id, body.to if body else ""))


@rest.post("/v1/invoices/{invoice_id}:pay")
async def pay_invoice(invoice_id: str, call: Steps) -> schemas.Collected:
    """Collect an issued invoice now; it is paid when the fact of the payment has come in."""
    done = await sending.pay_invoice(call, invoice_id)
    return schemas.Collected(
        invoice_id=invoice_id,
        state=done.state,
        payment_intent_id=done.payment_intent_id or None,
        left_minor=done.left_minor,
    )


@rest.get(
    "/v1/invoices/{invoice_id}/pdf",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}}},
)
async def get_pdf(
    invoice_id: str, call: Steps, locale: Annotated[schemas.Locale | None, Query()] = None
) -> Response:
    """Return the printed invoice; drafts and voided ones are marked as such."""
    return pdf_answer(await printing.get_pdf(call, invoice_id, locale))


@rest.get(
    "/v1/invoices/{invoice_id}/xml",
    response_class=Response,
    responses={200: {"content": {"application/xml": {}}}},
)
async def get_xml(
    invoice_id: str,
    tx: Reader,
    syntax: Annotated[schemas.Syntax, Query(alias="format")] = "cii",
) -> Response:
    """Return an issued invoice as an e-invoice of EN 16931, in CII or UBL."""
    return xml_answer(await einvoicing.get_xml(tx, invoice_id, syntax))


@rest.get("/v1/invoices/{invoice_id}/history")
async def list_history(invoice_id: str, tx: Reader, page: PageQuery) -> schemas.ChangeList:
    """List every change of state and amount."""
    rows, cursor = await drafts.list_history(tx, invoice_id, page)
    return schemas.ChangeList(**listing([_change(row) for row in rows], cursor))


@rest.get("/v1/invoices/{invoice_id}")
async def get_invoice(invoice_id: str, tx: Reader) -> schemas.Invoice:
    """Return one invoice by id or number."""
    return _invoice(await drafts.get_invoice(tx, invoice_id))


@rest.patch("/v1/invoices/{invoice_id}")
async def update_invoice(invoice_id: str, body: schemas.ChangeBody, call: Steps) -> schemas.Invoice:
    """Change a draft and compute it anew."""
    given = body.model_dump(exclude_unset=True)
    changes: dict[str, Any] = {}
    if body.lines is not None:
        currency = await drafts.currency_of(call, invoice_id)
        changes["lines"] = _lines(body.lines, currency)
    if body.coupon_codes is not None:
        changes["coupon_codes"] = tuple(body.coupon_codes)
    if body.metadata is not None:
        changes["metadata"] = body.metadata
    if "due_on" in given:
        changes["due_on"] = body.due_on
    return _invoice(await drafts.update_invoice(call, invoice_id, changes))


@rest.delete("/v1/invoices/{invoice_id}", status_code=204)
async def delete_invoice(invoice_id: str, tx: Writer) -> None:
    """Delete a draft."""
    await drafts.delete_invoice(tx, invoice_id)


async def _draft(call: Call, body: schemas.InvoiceBody) -> domain.Draft:
    currency = _currency(body.currency_code)
    draft = domain.Draft(
        customer=domain.Customer(body.customer_id),
        currency=currency,
        lines=_lines(body.lines, currency),
        at=call.runtime.clock.now(),
        coupon_codes=tuple(body.coupon_codes),
        due_on=body.due_on,
        metadata=body.metadata,
    )
    return await drafts.one_off_draft(call, body.customer_id, draft)


def _lines(bodies: list[schemas.LineBody], currency: CurrencyCode) -> tuple[domain.Line, ...]:
    lines = []
    for index, body in enumerate(bodies):
        try:
            amount = domain.amount_of(body.quantity, body.unit_amount, currency)
        except AmountOutOfRange as error:
            field = f"/lines/{index}/unit_amount"
            raise Invalid([FieldError(field, "AMOUNT_OUT_OF_RANGE", str(error))]) from None
        lines.append(
            domain.Line(
                id=pricing.new_line_id(),
                description=body.description,
                amount_minor=amount,
                quantity=body.quantity,
                unit=body.unit,
                unit_amount=body.unit_amount,
                tax_category=body.product_category,
                tax_rule_id=body.tax_code,
                tax_inclusive=body.tax_inclusive,
            )
        )
    return tuple(lines)


def _currency(code: str) -> CurrencyCode:
    try:
        return parse_currency(code)
    except UnknownCurrency as error:
        raise Invalid([FieldError("/currency_code", "CURRENCY_UNKNOWN", str(error))]) from None


def _invoice(held: Invoice) -> schemas.Invoice:
    row = held.row
    return schemas.Invoice(
        id=row.id or None,
        number=row.number or None,
        state=row.state,  # type: ignore[arg-type]
        livemode=row.livemode,
        customer_id=row.customer_id,
        customer=schemas.Customer.model_validate(row.customer),
        subscription_id=row.subscription_id or None,
        plan_id=row.plan_id or None,
        period_starts_at=row.period_starts_at,
        period_ends_at=row.period_ends_at,
        currency_code=row.currency_code,
        lines=[_line(line) for line in held.lines],
        discounts=[schemas.Discount.model_validate(item) for item in held.discounts],
        refused_coupons=[
            schemas.RefusedCoupon(code=code, reason=reason) for code, reason in row.refused_coupons
        ],
        taxes=[schemas.Tax.model_validate(item) for item in held.taxes],
        subtotal_minor=row.subtotal_minor,
        discount_minor=row.discount_minor,
        net_minor=row.net_minor,
        tax_minor=row.tax_minor,
        total_minor=row.total_minor,
        paid_minor=row.paid_minor,
        credited_minor=row.credited_minor,
        returned_minor=row.returned_minor,
        due_minor=drafts.due_minor(row),
        coupon_codes=row.coupon_codes,
        issued_on=row.issued_on,
        due_on=row.due_on or row.due_requested_on,
        time_zone=row.time_zone,
        conversion=(
            schemas.Conversion.model_validate(row.conversion) if row.conversion["base"] else None
        ),
        notes=row.notes,
        metadata=row.metadata_,
        tax_calculation_id=row.tax_calculation_id or None,
        created_at=row.created_at,
        finalized_at=row.finalized_at,
        paid_at=row.paid_at,
        voided_at=row.voided_at,
    )


def _line(line: LineRow) -> schemas.Line:
    values: dict[str, Any] = {name: getattr(line, name, None) for name in schemas.Line.model_fields}
    values["detail"] = domain.parse_detail(line.detail_json)
    return schemas.Line(**values)


def _change(row: HistoryRow) -> schemas.Change:
    return schemas.Change(
        id=row.id,
        at=row.at,
        from_state=row.from_state or None,
        to_state=row.to_state,
        total_minor=row.total_minor,
        cause=row.cause,
        note=row.note,
        tax_calculation_id=row.tax_calculation_id or None,
        discount_application_ids=row.discount_application_ids,
    )
