"""From a draft to a priced document, and from there to rows and back."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from billplane.chassis import ids
from billplane.chassis.call import Call
from billplane.chassis.card_numbers import refuse_card_numbers
from billplane.chassis.errors import FieldError, Invalid
from billplane.invoice import domain, peers
from billplane.invoice.errors import TotalNegative
from billplane.invoice.models import DiscountRow, Invoice, InvoiceRow, LineRow, SettingsRow, TaxRow
from billplane.money import CurrencyCode

_LINE_FIELDS = tuple(domain.Line.__dataclass_fields__)


def check(draft: domain.Draft) -> None:
    """Refuse a draft that cannot become a document.

    Raises: Invalid naming every bad field.
    """
    found = domain.faults(draft)
    if found:
        raise Invalid([FieldError(*fault) for fault in found])
    refuse_card_numbers(domain.free_texts(draft))


async def quote(call: Call, draft: domain.Draft) -> domain.Priced:
    """Ask discount and tax what a draft comes to; nothing is redeemed or recorded.

    Raises: TotalNegative; the peers' errors.
    """
    discounts = await peers.calculate_discounts(call, draft)
    taxation = await peers.calculate_tax(call, draft, discounts)
    return checked(domain.Priced(draft, discounts, taxation))


def checked(priced: domain.Priced) -> domain.Priced:
    """Return the priced document when it may be issued.

    Raises: TotalNegative.
    """
    if priced.total_minor < 0:
        raise TotalNegative("the lines sum to less than nothing", field="/lines")
    return priced


def to_invoice(priced: domain.Priced, row: InvoiceRow, tenant_id: str) -> Invoice:
    """Write amounts into a row and make the rows of its parts."""
    draft, taxation = priced.draft, priced.taxation
    row.subtotal_minor = priced.subtotal_minor
    row.discount_minor = priced.discount_minor
    row.net_minor = priced.net_minor
    row.tax_minor = priced.tax_minor
    row.total_minor = priced.total_minor
    row.refused_coupons = [list(refusal) for refusal in priced.discounts.refused]
    row.notes = list(taxation.notes)
    row.tax_calculation_id = taxation.calculation_id
    lines = [
        LineRow(
            tenant_id=tenant_id,
            invoice_id=row.id,
            position=position,
            **{name: getattr(line, name) for name in _LINE_FIELDS},
            **line_amounts(priced, line.id),
        )
        for position, line in enumerate(draft.lines, 1)
    ]
    return Invoice(row, lines, *_extras(priced, row.id, tenant_id))


def line_amounts(priced: domain.Priced, line_id: str) -> dict[str, Any]:
    """Return what discounts and tax make of a line."""
    taxed = priced.taxation.lines[line_id]
    return {
        "discount_minor": priced.discounts.of_line(line_id),
        "net_minor": taxed.net_minor,
        "tax_minor": taxed.tax_minor,
        "tax_rate": priced.taxation.rate_of(line_id),
        "tax_keys": list(taxed.group_keys),
    }


def _extras(
    priced: domain.Priced, invoice_id: str, tenant_id: str
) -> tuple[list[DiscountRow], list[TaxRow]]:
    keys = {"tenant_id": tenant_id, "invoice_id": invoice_id}
    discounts = [
        DiscountRow(
            **keys,
            position=position,
            code=item.code,
            description=item.description,
            amount_minor=item.amount_minor,
            application_id=item.application_id,
        )
        for position, item in enumerate(priced.discounts.applied, 1)
    ]
    taxes = []
    for position, group in enumerate(priced.taxation.groups, 1):
        taxes.append(TaxRow(**keys, position=position, **asdict(group)))
    return discounts, taxes


def to_row(draft: domain.Draft, invoice_id: str, **values: Any) -> InvoiceRow:
    """Make the row of a draft, its amounts still to come."""
    return InvoiceRow(
        id=invoice_id,
        state=domain.DRAFT,
        revision=1,
        number="",
        series="",
        sequence=0,
        customer_id=draft.customer.customer_id,
        customer=asdict(draft.customer),
        test_clock_id=draft.customer.test_clock_id,
        seller={},
        subscription_id=draft.subscription_id,
        plan_id=draft.plan_id,
        plan_name=draft.plan_name,
        occasion=draft.occasion,
        period_starts_at=draft.period_starts_at,
        period_ends_at=draft.period_ends_at,
        currency_code=draft.currency,
        time_zone=draft.time_zone,
        at=draft.at,
        coupon_codes=list(draft.coupon_codes),
        due_requested_on=draft.due_on,
        paid_minor=0,
        credited_minor=0,
        returned_minor=0,
        conversion=asdict(draft.conversion),
        chart=asdict(draft.chart),
        metadata_=dict(draft.metadata),
        attempt=0,
        **values,
    )


def to_draft(row: InvoiceRow, lines: Sequence[LineRow]) -> domain.Draft:
    """Return what the document was made of."""
    return domain.Draft(
        customer=customer_of(row),
        currency=CurrencyCode(row.currency_code),
        lines=tuple(
            domain.Line(**{name: getattr(line, name) for name in _LINE_FIELDS}) for line in lines
        ),
        at=row.at,
        time_zone=row.time_zone,
        subscription_id=row.subscription_id,
        plan_id=row.plan_id,
        plan_name=row.plan_name,
        occasion=row.occasion,
        period_starts_at=row.period_starts_at,
        period_ends_at=row.period_ends_at,
        coupon_codes=tuple(row.coupon_codes),
        due_on=row.due_requested_on,
        chart=chart_of(row),
        conversion=domain.Conversion(**row.conversion),
        metadata=dict(row.metadata_),
    )


def customer_of(row: InvoiceRow) -> domain.Customer:
    """Return the customer as it was."""
    values = dict(row.customer)
    return domain.Customer(
        **values
        | {
            "address": domain.Address(**values["address"]),
            "tax_ids": tuple(domain.TaxId(**item) for item in values["tax_ids"]),
        }
    )


def chart_of(row: InvoiceRow) -> domain.Chart:
    """Return the usage chart."""
    points = tuple((label, quantity) for label, quantity in row.chart["points"])
    return domain.Chart(row.chart["title"], row.chart["unit"], points)


def seller_of(values: dict[str, Any]) -> domain.Seller:
    """Return the seller as stored; an empty one when there is none."""
    if not values:
        return domain.Seller()
    return domain.Seller(**values | {"address": domain.Address(**values["address"])})


def new_line_id() -> str:
    """Make the id of a line."""
    return ids.new("inl")


def seller_json(seller: domain.Seller) -> dict[str, Any]:
    """Return the seller as it is stored."""
    return asdict(seller)


def settings_of(row: SettingsRow | None) -> domain.Settings:
    """Return the tenant's settings, the defaults when it has none."""
    if row is None:
        return domain.Settings()
    return domain.Settings(
        seller_of(row.seller),
        row.prefix,
        row.payment_terms_days,
        row.credit_note_prefix,
        row.e_invoice,
        domain.Template(**row.template),
    )
