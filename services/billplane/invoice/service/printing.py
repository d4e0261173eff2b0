"""From a document's rows to its PDF."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from billplane.chassis.call import Call
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.invoice import domain, render, repository
from billplane.invoice.models import CreditTaxRow, Invoice, InvoiceRow, LineRow, TaxRow
from billplane.invoice.render.press import Press
from billplane.invoice.service import drafts, einvoicing, pricing
from billplane.money import CurrencyCode

_STATES = {
    domain.DRAFT: render.DocumentState.DRAFT,
    domain.FINALIZING: render.DocumentState.DRAFT,
    domain.VOIDED: render.DocumentState.VOID,
}


@dataclass(frozen=True, slots=True)
class Pdf:
    """A printed document."""

    name: str
    content: bytes


async def get_pdf(call: Call, id_or_number: str, locale: render.Locale | None = None) -> Pdf:
    """Return the document as it was issued, or print it now: drafts and voided ones are marked.

    Raises: InvoiceNotFound, ScopeMissing.
    """
    async with call.reading() as tx:
        held = await drafts.get_invoice(tx, id_or_number)
        row = held.row
        wanted = locale or locale_of(row)
        name = row.number or row.id
        if row.state not in _STATES:
            stored = await repository.document(tx, row.id, wanted)
            if stored is not None:
                return Pdf(name, stored.content)
        document = await to_document(tx, held, wanted)
    press: Press = call.runtime.state
    return Pdf(name, await press.print(document))


async def print_issued(tx: Transaction, invoice_id: str) -> None:
    """Print an issued document in its customer's language and keep it.

    Idempotent by: the invoice.
    """
    held = await repository.invoice(tx, invoice_id)
    if held is None or held.row.state in _STATES:
        return
    locale = locale_of(held.row)
    if await repository.document(tx, invoice_id, locale) is not None:
        return
    press: Press = tx.runtime.state
    content = await press.print(await to_document(tx, held, locale))
    await repository.add_document(tx, invoice_id, locale, content)


def locale_of(row: InvoiceRow) -> render.Locale:
    """Return the language of the customer's documents."""
    return render.locale_named(str(row.customer.get("locale", "")))


async def to_document(
    tx: ReadTransaction, held: Invoice, locale: render.Locale
) -> render.InvoiceDocument:
    """Return the document as values to print; payments do not change what was issued."""
    row = held.row
    settings = pricing.settings_of(await repository.settings(tx))
    seller = pricing.seller_of(row.seller) if row.seller else settings.seller
    currency = CurrencyCode(row.currency_code)
    return render.InvoiceDocument(
        seller=seller_of(seller, locale),
        customer=customer_of(pricing.customer_of(row), locale),
        currency=currency,
        locale=locale,
        state=_STATES.get(row.state, render.DocumentState.FINAL),
        number=row.number or None,
        issued_on=row.issued_on,
        due_on=row.due_on or row.due_requested_on,
        period=_period(row),
        lines=tuple(line_of(line, locale) for line in held.lines),
        subtotal_minor=row.subtotal_minor,
        discounts=tuple(
            render.Discount(item.description, -item.amount_minor) for item in held.discounts
        ),
        taxes=taxes_of(held.taxes, locale),
        total_minor=row.total_minor,
        exchange=_exchange(row),
        notes=(
            *(render.term(note, locale) for note in row.notes),
            *([seller.footer] if seller.footer else ()),
        ),
        usage=_usage(pricing.chart_of(row)),
        payment=_payment(seller, row),
        look=look_of(settings.template, locale),
        attachment=einvoicing.attachment(held, settings),
    )


def line_of(line: LineRow, locale: render.Locale) -> render.Line:
    """Return a line as printed."""
    return render.Line(
        description=render.term(line.description, locale),
        amount_minor=line.amount_minor,
        quantity=line.quantity,
        unit=render.term(line.unit, locale),
        unit_amount=line.unit_amount,
        tax_rate=line.tax_rate,
    )


def taxes_of(
    taxes: Sequence[TaxRow | CreditTaxRow], locale: render.Locale
) -> tuple[render.Tax, ...]:
    """Return the groups of tax as printed."""
    return tuple(
        render.Tax(render.term(item.label, locale), item.base_minor, item.tax_minor)
        for item in taxes
    )


def look_of(template: domain.Template, locale: render.Locale) -> render.Look:
    """Return how the tenant's documents look in a language."""
    return render.Look(template.accent, template.logo, template.wording.get(locale, {}))


def _payment(seller: domain.Seller, row: InvoiceRow) -> tuple[tuple[str, str], ...]:
    """Return what the payer needs to know; nothing where nothing is asked for."""
    if not row.total_minor:
        return ()
    account = (
        ("account_name", seller.account_name),
        ("iban", " ".join(seller.iban[at : at + 4] for at in range(0, len(seller.iban), 4))),
        ("bic", seller.bic),
        ("reference", row.number if seller.iban else ""),
        ("payment", seller.payment_instructions),
    )
    return tuple((word, value) for word, value in account if value)


def seller_of(seller: domain.Seller, locale: render.Locale) -> render.Party:
    """Return the seller as printed."""
    tax_ids = [value for value in (seller.tax_id, seller.tax_number) if value]
    return _party(seller.name, seller.address, tax_ids, locale)


def customer_of(customer: domain.Customer, locale: render.Locale) -> render.Party:
    """Return the customer as printed."""
    tax_ids = [item.value for item in customer.tax_ids]
    return _party(customer.name or customer.customer_id, customer.address, tax_ids, locale)


def _party(
    name: str, address: domain.Address, tax_ids: list[str], locale: render.Locale
) -> render.Party:
    place = " ".join(part for part in (address.postal_code, address.city) if part)
    country = render.country_name(address.country, locale)
    lines = (address.line1, address.line2, place, address.region, country)
    return render.Party(name, tuple(line for line in lines if line), tuple(tax_ids))


def _period(row: InvoiceRow) -> render.Period | None:
    if row.period_starts_at is None or row.period_ends_at is None:
        return None
    last = row.period_ends_at - timedelta(microseconds=1)
    return render.Period(
        domain.local_date(row.period_starts_at, row.time_zone),
        domain.local_date(last, row.time_zone),
    )


def _exchange(row: InvoiceRow) -> render.ExchangeNote | None:
    rate = domain.Conversion(**row.conversion)
    if not rate.base:
        return None
    return render.ExchangeNote(
        base=CurrencyCode(rate.base),
        quote=CurrencyCode(rate.quote),
        rate=rate.rate,
        source=rate.source,
        as_of=date.fromisoformat(rate.as_of),
    )


def _usage(chart: domain.Chart) -> render.UsageChart | None:
    if not chart.points:
        return None
    points = tuple(render.UsagePoint(_label(label), quantity) for label, quantity in chart.points)
    return render.UsageChart(chart.title, chart.unit, points)


def _label(text: str) -> date | str:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return text
