"""The business rules of EN 16931 that a document made here can break, checked before it is issued.

Amounts come from one computation, so that they add up by construction; they are checked all the
same. Rules on groups that no document here has are not listed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from billplane.invoice.einvoice import codes
from billplane.invoice.einvoice.model import Document, Party
from billplane.money import minor_units, wide_precision

# The official rules take tax for computed when it is no more than this off.
_TAX_TOLERANCE: Final = Decimal(1)
_DECIMALS_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that is broken, and the field of settings or customer to fill in."""

    rule: str
    field: str
    detail: str


def faults(document: Document) -> list[Fault]:
    """List every rule that the document breaks."""
    found: list[Fault] = []
    for check in _CHECKS:
        found += check(document)
    return found


def _parties(document: Document) -> Iterator[Fault]:
    seller, buyer = document.seller, document.buyer
    wanted = (
        (seller.name, "BR-06", "/seller/name", "the seller's name is missing"),
        (buyer.name, "BR-07", "/customer/name", "the buyer's name is missing"),
        (seller.country, "BR-09", "/seller/address/country", "the seller's country is missing"),
        (buyer.country, "BR-11", "/customer/address/country", "the buyer's country is missing"),
    )
    for value, rule, field, detail in wanted:
        if not value.strip():
            yield Fault(rule, field, detail)
    if not (seller.identifier or seller.registration or seller.vat_id):
        detail = "the seller's VAT id or register number is missing"
        yield Fault("BR-CO-26", "/seller/tax_id", detail)


def _vat_ids(document: Document) -> Iterator[Fault]:
    seller, buyer = document.seller, document.buyer
    for party, field in ((seller, "/seller/tax_id"), (buyer, "/customer/tax_ids")):
        if party.vat_id and party.vat_id[:2] not in codes.VAT_PREFIXES:
            detail = f"a VAT id begins with its country's letters, {party.vat_id} does not"
            yield Fault("BR-CO-09", field, detail)
    for category in sorted(document.categories - {codes.NOT_SUBJECT}):
        if not (seller.vat_id or seller.tax_number):
            detail = "the seller's VAT id or tax number is missing"
            yield Fault(f"BR-{category}-02", "/seller/tax_id", detail)
    if codes.REVERSE_CHARGE in document.categories and not (buyer.vat_id or buyer.registration):
        detail = "the buyer's VAT id is missing, and the buyer owes the tax"
        yield Fault("BR-AE-02", "/customer/tax_ids", detail)
    if codes.NOT_SUBJECT in document.categories:
        yield from _no_vat_ids(seller, buyer)


def _no_vat_ids(seller: Party, buyer: Party) -> Iterator[Fault]:
    for party, field in ((seller, "/seller/tax_id"), (buyer, "/customer/tax_ids")):
        if party.vat_id:
            yield Fault("BR-O-02", field, "what is not subject to VAT names no VAT id")


def _lines(document: Document) -> Iterator[Fault]:
    if not document.lines:
        yield Fault("BR-16", "/lines", "there is no line")
    for index, line in enumerate(document.lines):
        field = f"/lines/{index}"
        if not line.name.strip():
            yield Fault("BR-25", f"{field}/description", "the line has no name")
        if line.price < 0:
            yield Fault("BR-27", f"{field}/unit_amount", "a price is not negative")
        if line.first_on and line.last_on and line.last_on < line.first_on:
            yield Fault("BR-30", f"{field}/ends_at", "the line's period ends before it starts")
        for item in line.allowances:
            if not item.reason.strip():
                yield Fault("BR-42", f"{field}/discount", "the discount has no reason")


def _breakdown(document: Document) -> Iterator[Fault]:
    if not document.taxes:
        yield Fault("BR-CO-18", "/taxes", "there is no VAT breakdown")
    if codes.NOT_SUBJECT in document.categories and len(document.categories) > 1:
        detail = "what is not subject to VAT stands on a document of its own"
        yield Fault("BR-O-11", "/lines", detail)
    for group in document.taxes:
        exempt = group.category in codes.REASONS
        if exempt and not (group.reason or group.reason_code):
            yield Fault(f"BR-{group.category}-10", "/taxes", "the reason of exemption is missing")
        if group.category != codes.STANDARD and group.tax:
            yield Fault(f"BR-{group.category}-09", "/taxes", "the category has no tax")
        lines = (
            line.net
            for line in document.lines
            if (line.category, line.rate) == (group.category, group.rate)
        )
        if sum(lines, Decimal(0)) != group.base:
            detail = f"the lines of {group.category} do not sum to {group.base}"
            yield Fault(f"BR-{group.category}-08", "/taxes", detail)
        if group.rate is not None and not _is_computed(document, group.base, group.rate, group.tax):
            detail = f"{group.tax} is not {group.rate} % of {group.base}"
            yield Fault("BR-CO-17", "/taxes", detail)


def _is_computed(document: Document, base: Decimal, rate: Decimal, tax: Decimal) -> bool:
    with wide_precision():
        exact = base * rate / 100
        unit = Decimal(1).scaleb(-minor_units(document.currency))
        return abs(tax - exact.quantize(unit, ROUND_HALF_UP)) <= _TAX_TOLERANCE


def _totals(document: Document) -> Iterator[Fault]:
    if sum((line.net for line in document.lines), Decimal(0)) != document.net:
        yield Fault("BR-CO-10", "/net_minor", "the lines do not sum to the net total")
    if sum((group.tax for group in document.taxes), Decimal(0)) != document.tax:
        yield Fault("BR-CO-14", "/tax_minor", "the VAT breakdown does not sum to the tax")
    if document.net + document.tax != document.total:
        yield Fault("BR-CO-15", "/total_minor", "net and tax do not sum to the total")
    if minor_units(document.currency) > _DECIMALS_MAX:
        detail = f"amounts in {document.currency} have more than two decimals"
        yield Fault("BR-DEC-14", "/currency_code", detail)
    if document.total > 0 and not (document.due_on or document.payment.terms):
        yield Fault("BR-CO-25", "/due_on", "the due date is missing")


def _addresses(document: Document) -> Iterator[Fault]:
    parties = (
        (document.seller, "BR-62", "/seller/electronic_address_scheme"),
        (document.buyer, "BR-63", "/customer/email"),
    )
    for party, rule, field in parties:
        scheme, address = party.endpoint
        if address and not scheme:
            yield Fault(rule, field, "an electronic address has a scheme")
    if document.payment.bic and not document.payment.iban:
        yield Fault("BR-61", "/seller/iban", "a transfer names an account")


_CHECKS: Final[tuple[Callable[[Document], Iterator[Fault]], ...]] = (
    _parties,
    _vat_ids,
    _lines,
    _breakdown,
    _totals,
    _addresses,
)
