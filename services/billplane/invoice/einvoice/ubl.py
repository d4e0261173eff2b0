"""The document in the syntax of OASIS: UBL 2.1, an Invoice or a CreditNote.

Source: EN 16931-3-2. The order of elements is the schema's.
"""

from datetime import date
from decimal import Decimal
from typing import Final

from billplane.invoice.einvoice import codes
from billplane.invoice.einvoice.markup import DECLARATION, Markup, tag
from billplane.invoice.einvoice.model import Document, Kind, Line, Party, TaxGroup, number

_PROFILE: Final = "urn:cen.eu:en16931:2017"
_URN: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
_ROOT: Final = {
    "xmlns__cac": f"{_URN}CommonAggregateComponents-2",
    "xmlns__cbc": f"{_URN}CommonBasicComponents-2",
}


def to_ubl(document: Document) -> bytes:
    """Write the document as UBL, UTF-8."""
    credit = document.kind is Kind.CREDIT_NOTE
    name = "CreditNote" if credit else "Invoice"
    body = tag(
        f"ubl:{name}",
        tag("cbc:CustomizationID", _PROFILE),
        tag("cbc:ID", document.number),
        _day("cbc:IssueDate", document.issued_on),
        None if credit else _day("cbc:DueDate", document.due_on),
        tag(f"cbc:{name}TypeCode", document.kind.value),
        *(tag("cbc:Note", note) for note in document.notes),
        tag("cbc:DocumentCurrencyCode", document.currency),
        tag("cbc:BuyerReference", document.buyer_reference),
        _period(document.first_on, document.last_on),
        tag("cac:OrderReference", tag("cbc:ID", document.order_reference)),
        _preceding(document),
        tag("cac:AccountingSupplierParty", _party(document.seller)),
        tag("cac:AccountingCustomerParty", _party(document.buyer)),
        tag("cac:Delivery", _day("cbc:ActualDeliveryDate", document.delivered_on)),
        _payment_means(document),
        tag("cac:PaymentTerms", tag("cbc:Note", document.payment.terms)),
        tag(
            "cac:TaxTotal",
            _money(document, "cbc:TaxAmount", document.tax),
            *(_group(document, group) for group in document.taxes),
        ),
        tag(
            "cac:LegalMonetaryTotal",
            _money(document, "cbc:LineExtensionAmount", document.net),
            _money(document, "cbc:TaxExclusiveAmount", document.net),
            _money(document, "cbc:TaxInclusiveAmount", document.total),
            _money(document, "cbc:PayableAmount", document.total),
        ),
        *(_line(document, line) for line in document.lines),
        xmlns__ubl=f"{_URN}{name}-2",
        **_ROOT,
    )
    return (DECLARATION + body).encode()


def _preceding(document: Document) -> Markup | None:
    before = document.preceding
    if before is None:
        return None
    return tag(
        "cac:BillingReference",
        tag(
            "cac:InvoiceDocumentReference",
            tag("cbc:ID", before.number),
            _day("cbc:IssueDate", before.issued_on),
        ),
    )


def _party(party: Party) -> Markup:
    scheme, address = party.endpoint
    return tag(
        "cac:Party",
        tag("cbc:EndpointID", address, schemeID=scheme),
        tag("cac:PartyIdentification", tag("cbc:ID", party.identifier)),
        tag(
            "cac:PostalAddress",
            tag("cbc:StreetName", party.line1),
            tag("cbc:AdditionalStreetName", party.line2),
            tag("cbc:CityName", party.city),
            tag("cbc:PostalZone", party.postal_code),
            tag("cbc:CountrySubentity", party.region),
            tag("cac:Country", tag("cbc:IdentificationCode", party.country)),
        ),
        _tax_scheme(party.vat_id, "VAT"),
        _tax_scheme(party.tax_number, "TAX"),
        tag(
            "cac:PartyLegalEntity",
            tag("cbc:RegistrationName", party.name),
            tag("cbc:CompanyID", party.registration),
        ),
        tag(
            "cac:Contact",
            tag("cbc:Name", party.contact_name),
            tag("cbc:Telephone", party.contact_phone),
            tag("cbc:ElectronicMail", party.contact_email),
        ),
    )


def _tax_scheme(company_id: str, scheme: str) -> Markup | None:
    if not company_id:
        return None
    return tag(
        "cac:PartyTaxScheme",
        tag("cbc:CompanyID", company_id),
        tag("cac:TaxScheme", tag("cbc:ID", scheme)),
    )


def _payment_means(document: Document) -> Markup | None:
    payment = document.payment
    if not payment.iban or document.kind is not Kind.INVOICE:
        return None
    code = codes.SEPA_TRANSFER if document.currency == "EUR" else codes.CREDIT_TRANSFER
    return tag(
        "cac:PaymentMeans",
        tag("cbc:PaymentMeansCode", code),
        tag("cbc:PaymentID", document.number),
        tag(
            "cac:PayeeFinancialAccount",
            tag("cbc:ID", payment.iban),
            tag("cbc:Name", payment.account_name),
            tag("cac:FinancialInstitutionBranch", tag("cbc:ID", payment.bic)),
        ),
    )


def _group(document: Document, group: TaxGroup) -> Markup:
    return tag(
        "cac:TaxSubtotal",
        _money(document, "cbc:TaxableAmount", group.base),
        _money(document, "cbc:TaxAmount", group.tax),
        tag(
            "cac:TaxCategory",
            tag("cbc:ID", group.category),
            _percent(group.rate),
            tag("cbc:TaxExemptionReasonCode", group.reason_code),
            tag("cbc:TaxExemptionReason", group.reason),
            tag("cac:TaxScheme", tag("cbc:ID", "VAT")),
        ),
    )


def _line(document: Document, line: Line) -> Markup:
    credit = document.kind is Kind.CREDIT_NOTE
    return tag(
        "cac:CreditNoteLine" if credit else "cac:InvoiceLine",
        tag("cbc:ID", line.id),
        tag(
            "cbc:CreditedQuantity" if credit else "cbc:InvoicedQuantity",
            number(line.quantity),
            unitCode=line.unit_code,
        ),
        _money(document, "cbc:LineExtensionAmount", line.net),
        _period(line.first_on, line.last_on),
        *(
            tag(
                "cac:AllowanceCharge",
                tag("cbc:ChargeIndicator", "false"),
                tag("cbc:AllowanceChargeReason", item.reason),
                _money(document, "cbc:Amount", item.amount),
            )
            for item in line.allowances
        ),
        tag(
            "cac:Item",
            tag("cbc:Name", line.name),
            tag(
                "cac:ClassifiedTaxCategory",
                tag("cbc:ID", line.category),
                _percent(line.rate),
                tag("cac:TaxScheme", tag("cbc:ID", "VAT")),
            ),
        ),
        tag(
            "cac:Price",
            tag("cbc:PriceAmount", number(line.price), currencyID=document.currency),
            tag("cbc:BaseQuantity", number(line.base_quantity), unitCode=line.unit_code),
        ),
    )


def _money(document: Document, name: str, amount: Decimal) -> Markup:
    return tag(name, document.money(amount), currencyID=document.currency)


def _percent(rate: Decimal | None) -> Markup | None:
    return None if rate is None else tag("cbc:Percent", number(rate))


def _period(first_on: date | None, last_on: date | None) -> Markup:
    return tag("cac:InvoicePeriod", _day("cbc:StartDate", first_on), _day("cbc:EndDate", last_on))


def _day(name: str, day: date | None) -> Markup:
    return tag(name, day.isoformat() if day else None)
