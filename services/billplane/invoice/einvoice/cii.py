"""The document in the syntax of UN/CEFACT: Cross Industry Invoice D16B.

Source: EN 16931-3-3; Factur-X 1.0, ZUGFeRD 2, profile EN 16931. The order of elements is the
schema's.
"""

from datetime import date
from typing import Final

from billplane.invoice.einvoice import codes
from billplane.invoice.einvoice.markup import DECLARATION, Markup, tag
from billplane.invoice.einvoice.model import Document, Kind, Line, Party, TaxGroup, number

PROFILE: Final = "urn:cen.eu:en16931:2017"
_ROOT: Final = {
    "xmlns__rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "xmlns__ram": (
        "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
    ),
    "xmlns__udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
    "xmlns__qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
}
_DAY: Final = "102"


def to_cii(document: Document) -> bytes:
    """Write the document as CII, UTF-8."""
    body = tag(
        "rsm:CrossIndustryInvoice",
        tag(
            "rsm:ExchangedDocumentContext",
            tag("ram:GuidelineSpecifiedDocumentContextParameter", tag("ram:ID", PROFILE)),
        ),
        tag(
            "rsm:ExchangedDocument",
            tag("ram:ID", document.number),
            tag("ram:TypeCode", document.kind.value),
            _moment("ram:IssueDateTime", document.issued_on),
            *(tag("ram:IncludedNote", tag("ram:Content", note)) for note in document.notes),
        ),
        tag(
            "rsm:SupplyChainTradeTransaction",
            *(_line(document, line) for line in document.lines),
            _agreement(document),
            tag(
                "ram:ApplicableHeaderTradeDelivery",
                tag(
                    "ram:ActualDeliverySupplyChainEvent",
                    _moment("ram:OccurrenceDateTime", document.delivered_on),
                ),
            ),
            _settlement(document),
        ),
        **_ROOT,
    )
    return (DECLARATION + body).encode()


def _line(document: Document, line: Line) -> Markup:
    return tag(
        "ram:IncludedSupplyChainTradeLineItem",
        tag("ram:AssociatedDocumentLineDocument", tag("ram:LineID", line.id)),
        tag("ram:SpecifiedTradeProduct", tag("ram:Name", line.name)),
        tag(
            "ram:SpecifiedLineTradeAgreement",
            tag(
                "ram:NetPriceProductTradePrice",
                tag("ram:ChargeAmount", number(line.price)),
                tag("ram:BasisQuantity", number(line.base_quantity), unitCode=line.unit_code),
            ),
        ),
        tag(
            "ram:SpecifiedLineTradeDelivery",
            tag("ram:BilledQuantity", number(line.quantity), unitCode=line.unit_code),
        ),
        tag(
            "ram:SpecifiedLineTradeSettlement",
            tag(
                "ram:ApplicableTradeTax",
                tag("ram:TypeCode", "VAT"),
                tag("ram:CategoryCode", line.category),
                tag("ram:RateApplicablePercent", None if line.rate is None else number(line.rate)),
            ),
            _period(line.first_on, line.last_on),
            *(
                tag(
                    "ram:SpecifiedTradeAllowanceCharge",
                    tag("ram:ChargeIndicator", tag("udt:Indicator", "false")),
                    tag("ram:ActualAmount", document.money(item.amount)),
                    tag("ram:Reason", item.reason),
                )
                for item in line.allowances
            ),
            tag(
                "ram:SpecifiedTradeSettlementLineMonetarySummation",
                tag("ram:LineTotalAmount", document.money(line.net)),
            ),
        ),
    )


def _agreement(document: Document) -> Markup:
    order = document.order_reference
    return tag(
        "ram:ApplicableHeaderTradeAgreement",
        tag("ram:BuyerReference", document.buyer_reference),
        _party("ram:SellerTradeParty", document.seller),
        _party("ram:BuyerTradeParty", document.buyer),
        tag("ram:BuyerOrderReferencedDocument", tag("ram:IssuerAssignedID", order)),
    )


def _party(name: str, party: Party) -> Markup:
    scheme, address = party.endpoint
    return tag(
        name,
        tag("ram:ID", party.identifier),
        tag("ram:Name", party.name),
        tag("ram:SpecifiedLegalOrganization", tag("ram:ID", party.registration)),
        tag(
            "ram:DefinedTradeContact",
            tag("ram:PersonName", party.contact_name),
            tag(
                "ram:TelephoneUniversalCommunication",
                tag("ram:CompleteNumber", party.contact_phone),
            ),
            tag("ram:EmailURIUniversalCommunication", tag("ram:URIID", party.contact_email)),
        ),
        tag(
            "ram:PostalTradeAddress",
            tag("ram:PostcodeCode", party.postal_code),
            tag("ram:LineOne", party.line1),
            tag("ram:LineTwo", party.line2),
            tag("ram:CityName", party.city),
            tag("ram:CountryID", party.country),
            tag("ram:CountrySubDivisionName", party.region),
        ),
        tag("ram:URIUniversalCommunication", tag("ram:URIID", address, schemeID=scheme)),
        tag("ram:SpecifiedTaxRegistration", tag("ram:ID", party.tax_number, schemeID="FC")),
        tag("ram:SpecifiedTaxRegistration", tag("ram:ID", party.vat_id, schemeID="VA")),
    )


def _settlement(document: Document) -> Markup:
    before = document.preceding
    return tag(
        "ram:ApplicableHeaderTradeSettlement",
        tag("ram:PaymentReference", document.number if _is_transfer(document) else None),
        tag("ram:InvoiceCurrencyCode", document.currency),
        _payment_means(document),
        *(_group(document, group) for group in document.taxes),
        _period(document.first_on, document.last_on),
        tag(
            "ram:SpecifiedTradePaymentTerms",
            tag("ram:Description", document.payment.terms),
            _moment("ram:DueDateDateTime", document.due_on),
        ),
        _totals(document),
        tag(
            "ram:InvoiceReferencedDocument",
            tag("ram:IssuerAssignedID", before.number),
            _moment("ram:FormattedIssueDateTime", before.issued_on, "qdt"),
        )
        if before
        else None,
    )


def _is_transfer(document: Document) -> bool:
    return bool(document.payment.iban) and document.kind is Kind.INVOICE


def _payment_means(document: Document) -> Markup | None:
    if not _is_transfer(document):
        return None
    payment = document.payment
    code = codes.SEPA_TRANSFER if document.currency == "EUR" else codes.CREDIT_TRANSFER
    return tag(
        "ram:SpecifiedTradeSettlementPaymentMeans",
        tag("ram:TypeCode", code),
        tag(
            "ram:PayeePartyCreditorFinancialAccount",
            tag("ram:IBANID", payment.iban),
            tag("ram:AccountName", payment.account_name),
        ),
        tag("ram:PayeeSpecifiedCreditorFinancialInstitution", tag("ram:BICID", payment.bic)),
    )


def _group(document: Document, group: TaxGroup) -> Markup:
    return tag(
        "ram:ApplicableTradeTax",
        tag("ram:CalculatedAmount", document.money(group.tax)),
        tag("ram:TypeCode", "VAT"),
        tag("ram:ExemptionReason", group.reason),
        tag("ram:BasisAmount", document.money(group.base)),
        tag("ram:CategoryCode", group.category),
        tag("ram:ExemptionReasonCode", group.reason_code),
        tag("ram:RateApplicablePercent", None if group.rate is None else number(group.rate)),
    )


def _totals(document: Document) -> Markup:
    money = document.money
    return tag(
        "ram:SpecifiedTradeSettlementHeaderMonetarySummation",
        tag("ram:LineTotalAmount", money(document.net)),
        tag("ram:TaxBasisTotalAmount", money(document.net)),
        tag("ram:TaxTotalAmount", money(document.tax), currencyID=document.currency),
        tag("ram:GrandTotalAmount", money(document.total)),
        tag("ram:DuePayableAmount", money(document.total)),
    )


def _period(first_on: date | None, last_on: date | None) -> Markup:
    return tag(
        "ram:BillingSpecifiedPeriod",
        _moment("ram:StartDateTime", first_on),
        _moment("ram:EndDateTime", last_on),
    )


def _moment(name: str, day: date | None, prefix: str = "udt") -> Markup:
    text = f"{day:%Y%m%d}" if day else None
    return tag(name, tag(f"{prefix}:DateTimeString", text, format=_DAY))
