"""What must always be true of invoices."""

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation
from billplane.invoice.models import (
    CreditLineRow,
    CreditNoteRow,
    CreditTaxRow,
    DiscountRow,
    InvoiceRow,
    LineRow,
    SeriesRow,
    TaxRow,
)

_UNNUMBERED = ("draft", "finalizing")


async def totals_add_up(session: AsyncSession) -> list[Violation]:
    """Check that every document equals the sum of its lines, discounts and taxes."""
    key = (InvoiceRow.tenant_id, InvoiceRow.id)
    sums = {
        "subtotal_minor": _sum(LineRow, "amount_minor"),
        "line_discount_minor": _sum(LineRow, "discount_minor"),
        "net_minor": _sum(LineRow, "net_minor"),
        "line_tax_minor": _sum(LineRow, "tax_minor"),
        "discount_minor": _sum(DiscountRow, "amount_minor"),
        "tax_minor": _sum(TaxRow, "tax_minor"),
    }
    query = select(InvoiceRow, *(column.label(name) for name, column in sums.items()))
    found = []
    for row, *parts in await session.execute(query.order_by(*key)):
        got = dict(zip(sums, (int(part) for part in parts), strict=True))
        wanted = {
            "subtotal_minor": row.subtotal_minor,
            "line_discount_minor": row.discount_minor,
            "net_minor": row.net_minor,
            "line_tax_minor": row.tax_minor,
            "discount_minor": row.discount_minor,
            "tax_minor": row.tax_minor,
        }
        if got != wanted or row.total_minor != row.net_minor + row.tax_minor:
            detail = f"stored {wanted}, total {row.total_minor}; parts {got}"
            found.append(Violation("totals_add_up", row.tenant_id, row.id, detail))
    return found


def _sum(model: type[LineRow] | type[DiscountRow] | type[TaxRow], column: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return (
        select(func.coalesce(func.sum(getattr(model, column)), 0))
        .where(model.tenant_id == InvoiceRow.tenant_id, model.invoice_id == InvoiceRow.id)
        .scalar_subquery()
    )


async def numbers_have_no_gaps(session: AsyncSession) -> list[Violation]:
    """Check that each series numbers 1, 2, 3 … up to its last number, each once."""
    key = (InvoiceRow.tenant_id, InvoiceRow.livemode, InvoiceRow.series)
    rows = await session.execute(
        select(
            *key,
            func.count(InvoiceRow.sequence.distinct()),
            func.min(InvoiceRow.sequence),
            func.max(InvoiceRow.sequence),
            func.count(),
            SeriesRow.last_number,
        )
        .outerjoin(
            SeriesRow,
            tuple_(*key) == tuple_(SeriesRow.tenant_id, SeriesRow.livemode, SeriesRow.name),
        )
        .where(InvoiceRow.state.not_in(_UNNUMBERED))
        .group_by(*key, SeriesRow.last_number)
    )
    return [
        Violation("numbers_have_no_gaps", tenant, series, f"{least} to {most}, {count} of {last}")
        for tenant, _, series, distinct, least, most, count, last in rows
        if not (least == 1 and distinct == most == count == last)
    ]


async def each_period_is_billed_once(session: AsyncSession) -> list[Violation]:
    """Check that no subscription has two documents of one period."""
    key = (InvoiceRow.tenant_id, InvoiceRow.subscription_id, InvoiceRow.period_starts_at)
    rows = await session.execute(
        select(*key, func.count())
        .where(InvoiceRow.subscription_id != "")
        .group_by(*key, InvoiceRow.occasion, InvoiceRow.livemode)
        .having(func.count() > 1)
    )
    return [
        Violation("each_period_is_billed_once", tenant, subscription, f"{count} from {starts_at}")
        for tenant, subscription, starts_at, count in rows
    ]


async def what_is_final_is_frozen(session: AsyncSession) -> list[Violation]:
    """Check that numbered documents have their dates, and that only they have numbers."""
    rows = await session.scalars(
        select(InvoiceRow).where(
            InvoiceRow.state.not_in(_UNNUMBERED)
            & (
                (InvoiceRow.number == "")
                | InvoiceRow.issued_on.is_(None)
                | InvoiceRow.due_on.is_(None)
                | InvoiceRow.finalized_at.is_(None)
            )
            | InvoiceRow.state.in_(_UNNUMBERED) & (InvoiceRow.number != "")
        )
    )
    return [
        Violation("what_is_final_is_frozen", row.tenant_id, row.id, f"{row.state}, {row.number!r}")
        for row in rows
    ]


async def credit_notes_fit(session: AsyncSession) -> list[Violation]:
    """Check that notes add up, number without gaps, and give back no more than was asked for."""
    found = []
    sums = {
        "net_minor": _sum_of_note(CreditLineRow, "net_minor"),
        "tax_minor": _sum_of_note(CreditLineRow, "tax_minor"),
        "group_tax_minor": _sum_of_note(CreditTaxRow, "tax_minor"),
    }
    for note, net, tax, group_tax in await session.execute(select(CreditNoteRow, *sums.values())):
        got = (int(net), int(tax), int(group_tax))
        if got != (note.net_minor, note.tax_minor, note.tax_minor):
            found.append(Violation("credit_notes_fit", note.tenant_id, note.id, f"parts {got}"))
    given = (
        select(
            func.coalesce(func.sum(CreditNoteRow.applied_minor), 0),
        )
        .where(
            CreditNoteRow.tenant_id == InvoiceRow.tenant_id,
            CreditNoteRow.invoice_id == InvoiceRow.id,
        )
        .scalar_subquery()
    )
    over = (
        select(func.coalesce(func.sum(CreditNoteRow.excess_minor), 0))
        .where(
            CreditNoteRow.tenant_id == InvoiceRow.tenant_id,
            CreditNoteRow.invoice_id == InvoiceRow.id,
        )
        .scalar_subquery()
    )
    for row in await session.scalars(
        select(InvoiceRow).where(
            (InvoiceRow.credited_minor != given) | (InvoiceRow.returned_minor != over)
        )
    ):
        detail = f"credited {row.credited_minor}, returned {row.returned_minor}"
        found.append(Violation("credit_notes_fit", row.tenant_id, row.id, detail))
    key = (CreditNoteRow.tenant_id, CreditNoteRow.livemode, CreditNoteRow.series)
    for tenant, _, series, count, most in await session.execute(
        select(*key, func.count(), func.max(CreditNoteRow.sequence)).group_by(*key)
    ):
        if count != most:
            found.append(Violation("credit_notes_fit", tenant, series, f"{count} of {most}"))
    return found


def _sum_of_note(model: type[CreditLineRow] | type[CreditTaxRow], column: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return (
        select(func.coalesce(func.sum(getattr(model, column)), 0))
        .where(model.tenant_id == CreditNoteRow.tenant_id, model.credit_note_id == CreditNoteRow.id)
        .scalar_subquery()
    )
