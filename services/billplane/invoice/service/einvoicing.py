"""From an issued document's rows to the semantic model of EN 16931, and from there to XML."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal

from billplane.chassis.database import ReadTransaction
from billplane.chassis.errors import FieldError
from billplane.invoice import domain, einvoice, repository
from billplane.invoice.einvoice import codes
from billplane.invoice.errors import EInvoiceInvalid, EInvoiceUnsupported, InvoiceNotIssued
from billplane.invoice.models import CreditTaxRow, Invoice, InvoiceRow, LineRow, TaxRow
from billplane.invoice.service import drafts, pricing
from billplane.money import (
    CurrencyCode,
    Rounding,
    minor_to_exact,
    minor_units,
    round_to_minor,
    wide_precision,
)

Format = Literal["cii", "ubl"]
REQUIRED = "required"
_WRITERS = {"cii": einvoice.to_cii, "ubl": einvoice.to_ubl}
Tax = TaxRow | CreditTaxRow
_UNISSUED = (domain.DRAFT, domain.FINALIZING)
# Taxes there are levied by state, county and city, and none of them is a VAT.
_WITHOUT_VAT = ("US",)


@dataclass(frozen=True, slots=True)
class Xml:
    """An e-invoice."""

    name: str
    content: bytes


async def get_xml(tx: ReadTransaction, id_or_number: str, syntax: Format) -> Xml:
    """Return an issued invoice as an e-invoice of EN 16931.

    Raises: InvoiceNotFound, InvoiceNotIssued, EInvoiceUnsupported, EInvoiceInvalid, ScopeMissing.
    """
    held = await drafts.get_invoice(tx, id_or_number)
    if held.row.state in _UNISSUED:
        raise InvoiceNotIssued(
            f"the invoice is {held.row.state}", metadata={"state": held.row.state}
        )
    settings = pricing.settings_of(await repository.settings(tx))
    return Xml(held.row.number, write(checked(document_of(held, settings)), syntax))


def write(document: einvoice.Document, syntax: Format) -> bytes:
    """Write a document in one of the two syntaxes."""
    return _WRITERS[syntax](document)


def check(held: Invoice, settings: domain.Settings) -> None:
    """Refuse what could not be issued as the e-invoice that the tenant asks for.

    What EN 16931 has no words for at all is issued without one.

    Raises: EInvoiceInvalid naming every field and rule.
    """
    if settings.e_invoice != REQUIRED:
        return
    try:
        document = document_of(held, settings)
    except EInvoiceUnsupported:
        return
    checked(document)


def checked(document: einvoice.Document) -> einvoice.Document:
    """Return a document that keeps the rules.

    Raises: EInvoiceInvalid naming every field and rule.
    """
    found = einvoice.faults(document)
    if found:
        raise EInvoiceInvalid(
            "; ".join(f"{fault.detail} ({fault.rule})" for fault in found),
            field=found[0].field,
            errors=[FieldError(fault.field, fault.rule, fault.detail) for fault in found],
            metadata={"rules": ",".join(dict.fromkeys(fault.rule for fault in found))},
        )
    return document


def attachment(held: Invoice, settings: domain.Settings) -> str:
    """Return the CII to put into the PDF; '' where there is none."""
    if held.row.state in (*_UNISSUED, domain.VOIDED):
        return ""
    return cii_or_nothing(lambda: document_of(held, settings))


def cii_or_nothing(make: Callable[[], einvoice.Document]) -> str:
    """Write what can be written as CII; '' for what EN 16931 refuses or does not know."""
    try:
        return write(checked(make()), "cii").decode()
    except (EInvoiceUnsupported, EInvoiceInvalid):
        return ""


def document_of(held: Invoice, settings: domain.Settings) -> einvoice.Document:
    """Return the invoice as EN 16931 sees it; of a draft, as it would be issued.

    Raises: EInvoiceUnsupported.
    """
    row = held.row
    refuse_unsupported(row, held.lines, held.taxes)
    seller = pricing.seller_of(row.seller) if row.seller else settings.seller
    customer = pricing.customer_of(row)
    currency = CurrencyCode(row.currency_code)
    reasons = "; ".join(item.description or item.code for item in held.discounts)
    outside = is_outside(held.taxes)
    first_on, last_on = span(row.period_starts_at, row.period_ends_at, row.time_zone)
    return einvoice.Document(
        kind=einvoice.Kind.INVOICE,
        number=row.number or row.id,
        issued_on=row.issued_on or domain.local_date(row.at, row.time_zone),
        due_on=row.due_on or row.due_requested_on or domain.local_date(row.at, row.time_zone),
        currency=currency,
        seller=seller_party(seller, outside=outside),
        buyer=buyer_party(customer, outside=outside),
        lines=tuple(
            line_of(row, line, held.taxes, index, reasons)
            for index, line in enumerate(held.lines, 1)
        ),
        taxes=groups_of(held.taxes, currency),
        net=minor_to_exact(row.net_minor, currency),
        tax=minor_to_exact(row.tax_minor, currency),
        total=minor_to_exact(row.total_minor, currency),
        first_on=first_on,
        last_on=last_on,
        notes=tuple(note for note in (*row.notes, seller.footer) if note.strip()),
        buyer_reference=str(row.metadata_.get("buyer_reference", "")),
        order_reference=str(row.metadata_.get("purchase_order", "")),
        payment=einvoice.Payment(
            seller.iban, seller.bic, seller.account_name, seller.payment_instructions
        ),
    )


def refuse_unsupported(row: InvoiceRow, lines: Sequence[LineRow], taxes: Sequence[Tax]) -> None:
    """Refuse what EN 16931 has no words for.

    Raises: EInvoiceUnsupported.
    """
    currency = CurrencyCode(row.currency_code)
    if minor_units(currency) > 2:
        _unsupported(f"amounts in {currency} have more than two decimals", "CURRENCY")
    if not lines:
        _unsupported("an e-invoice has at least one line", "LINES")
    for tax in taxes:
        if tax.treatment == "OUT_OF_SCOPE":
            continue
        if tax.jurisdiction[:2] in _WITHOUT_VAT or not tax.treatment:
            _unsupported(f"{tax.label} of {tax.jurisdiction} is not a VAT", "TAX")
    if any(len(group_keys(line, taxes)) > 1 for line in lines):
        _unsupported("a line has several taxes, EN 16931 knows one VAT a line", "TAX")
    treatments = {tax.treatment for tax in taxes}
    if "OUT_OF_SCOPE" in treatments and len(treatments) > 1:
        detail = "lines outside the scope of VAT stand beside others (BR-O-11)"
        _unsupported(detail, "TAX")


def _unsupported(detail: str, what: str) -> None:
    raise EInvoiceUnsupported(
        f"this document has no form in EN 16931: {detail}", metadata={"what": what}
    )


def is_outside(taxes: Sequence[Tax]) -> bool:
    """True when nothing on the document is subject to VAT."""
    return any(tax.treatment == "OUT_OF_SCOPE" for tax in taxes)


def group_keys(line: LineRow, taxes: Sequence[Tax]) -> list[str]:
    """Return the keys of a line's taxes; of documents that have none stored, found by its rate."""
    if line.tax_keys:
        return list(line.tax_keys)
    category = line.tax_category or "Standard"
    fitting = [
        key_of(tax)
        for tax in taxes
        if tax.category in ("", category) and Decimal(tax.rate) * 100 == Decimal(line.tax_rate or 0)
    ]
    return fitting[:1] or [key_of(tax) for tax in taxes if tax.category in ("", category)]


def key_of(tax: Tax) -> str:
    """Return the key of a group of tax, as tax made it."""
    rate = f"{Decimal(tax.rate).normalize():f}"
    return tax.key or f"{tax.jurisdiction}/{tax.category}/{tax.treatment}/{rate}"


def groups_of(taxes: Sequence[Tax], currency: CurrencyCode) -> tuple[einvoice.TaxGroup, ...]:
    """Return the VAT breakdown: one row a category and rate."""
    found: dict[tuple[str, Decimal | None], einvoice.TaxGroup] = {}
    for tax in taxes:
        category, rate = category_of(tax)
        reason, code = codes.REASONS.get(category, ("", ""))
        held = found.get((category, rate))
        found[category, rate] = einvoice.TaxGroup(
            category=category,
            rate=rate,
            base=minor_to_exact(tax.base_minor, currency) + (held.base if held else 0),
            tax=minor_to_exact(tax.tax_minor, currency) + (held.tax if held else 0),
            reason=(tax.label or reason) if reason else "",
            reason_code=code,
        )
    return tuple(found.values())


def category_of(tax: Tax) -> tuple[str, Decimal | None]:
    """Return the VAT category of a group and its rate in percent."""
    category = codes.CATEGORIES[tax.treatment]
    if category == codes.STANDARD:
        with wide_precision():
            rate = Decimal(tax.rate) * 100
        # A rate of nothing is no standard rate: the rules would refuse it (BR-S-05).
        return (category, rate) if rate else (codes.ZERO_RATED, Decimal(0))
    return category, None if category == codes.NOT_SUBJECT else Decimal(0)


def line_of(
    row: InvoiceRow, line: LineRow, taxes: Sequence[Tax], index: int, reasons: str
) -> einvoice.Line:
    """Return a line: price times quantity less discount is its net amount, exactly."""
    currency = CurrencyCode(row.currency_code)
    keys = group_keys(line, taxes)
    category, rate = category_of(next(tax for tax in taxes if key_of(tax) == keys[0]))
    taken = line.discount_minor
    if line.tax_inclusive and taken:
        with wide_precision():
            share = minor_to_exact(taken, currency) / (1 + (rate or Decimal(0)) / 100)
        taken = round_to_minor(share, currency, mode=Rounding.HALF_UP)
    quantity, price, base = _price(line, line.net_minor + taken, currency)
    first_on, last_on = span(line.starts_at, line.ends_at, row.time_zone)
    discount = einvoice.Allowance(minor_to_exact(taken, currency), reasons or "Discount")
    return einvoice.Line(
        id=str(index),
        name=line.description or line.charge or f"Line {index}",
        quantity=quantity,
        unit_code=codes.unit_code(line.unit),
        price=price,
        base_quantity=base,
        net=minor_to_exact(line.net_minor, currency),
        category=category,
        rate=rate,
        allowances=(discount,) if taken else (),
        first_on=first_on,
        last_on=last_on,
    )


def _price(
    line: LineRow, gross_minor: int, currency: CurrencyCode
) -> tuple[Decimal, Decimal, Decimal]:
    """Return quantity, price and the quantity that the price is for; no price is negative.

    What has no one unit price, tiers say, has the price of the whole quantity: exact, and true.
    """
    quantity = Decimal(line.quantity) if line.quantity else Decimal(1)
    with wide_precision():
        if line.unit_amount and not line.tax_inclusive:
            price = Decimal(line.unit_amount)
            if quantity * price == minor_to_exact(gross_minor, currency):
                return (
                    (quantity, price, Decimal(1)) if price >= 0 else (-quantity, -price, Decimal(1))
                )
        amount = minor_to_exact(gross_minor, currency)
        base = abs(quantity) or Decimal(1)
        return (base if amount >= 0 else -base), abs(amount), base


def span(
    starts_at: datetime | None, ends_at: datetime | None, zone: str
) -> tuple[date | None, date | None]:
    """Return the first and the last day of a span of time, both included."""
    if starts_at is None or ends_at is None:
        return None, None
    first_on = domain.local_date(starts_at, zone)
    return first_on, max(first_on, domain.local_date(ends_at - timedelta(microseconds=1), zone))


def seller_party(seller: domain.Seller, *, outside: bool) -> einvoice.Party:
    """Return the seller; what is not subject to VAT names no VAT id (BR-O-02)."""
    tax_id = compact(seller.tax_id)
    is_vat = tax_id[:2].isalpha()
    address = seller.address
    return einvoice.Party(
        name=seller.name,
        identifier=tax_id if outside and not seller.registration else "",
        registration=seller.registration,
        vat_id=tax_id if is_vat and not outside else "",
        tax_number=seller.tax_number or ("" if is_vat or outside else tax_id),
        line1=address.line1,
        line2=address.line2,
        city=address.city,
        postal_code=address.postal_code,
        region=address.region,
        country=address.country,
        endpoint=_endpoint(seller),
        contact_name=seller.contact_name,
        contact_phone=seller.phone,
        contact_email=seller.email,
    )


def _endpoint(seller: domain.Seller) -> tuple[str, str]:
    if seller.electronic_address:
        return seller.electronic_address_scheme, seller.electronic_address
    return ("EM", seller.email) if seller.email else ("", "")


def buyer_party(customer: domain.Customer, *, outside: bool) -> einvoice.Party:
    """Return the buyer."""
    address = customer.address
    vat_ids = [compact(item.value) for item in customer.tax_ids if item.type.endswith("_vat")]
    others = [item.value for item in customer.tax_ids if not item.type.endswith("_vat")]
    return einvoice.Party(
        name=customer.name,
        identifier=customer.external_id or customer.customer_id,
        registration=others[0] if others else "",
        vat_id=vat_ids[0] if vat_ids and not outside else "",
        line1=address.line1,
        line2=address.line2,
        city=address.city,
        postal_code=address.postal_code,
        region=address.region,
        country=address.country,
        endpoint=("EM", customer.email) if customer.email else ("", ""),
    )


def compact(tax_id: str) -> str:
    """Return a tax id without what people put between its figures."""
    return "".join(letter for letter in tax_id if letter not in " .-/").upper()
