"""Every SQL statement of exchange_rate."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from sqlalchemy import ColumnElement, delete, func, select, text
from sqlalchemy.dialects.postgresql import distinct_on, insert

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.exchange_rate.domain import MANUAL, Leg, Quotation
from billplane.exchange_rate.models import (
    CurrencyRow,
    DecisionRow,
    FeedRow,
    FeedSourceRow,
    RateRow,
)


async def feeds(tx: ReadTransaction) -> Sequence[FeedRow]:
    """Return every feed in use, by name."""
    query = select(FeedRow).where(FeedRow.removed_at.is_(None)).order_by(FeedRow.name)
    return (await tx.session.scalars(query)).all()


async def legs(tx: ReadTransaction, feed_id: str, currencies: Sequence[str], on: date) -> list[Leg]:
    """Return a feed's last known rate of each currency at or before a date.

    What was held back counts once it was approved.
    """
    query = (
        select(RateRow)
        .ext(distinct_on(RateRow.quote))
        .where(
            RateRow.feed_id == feed_id,
            RateRow.feed_id != MANUAL,
            RateRow.quote.in_(list(currencies)),
            RateRow.as_of <= on,
            RateRow.held_back.is_(False) | _decided("approval"),
        )
        .order_by(RateRow.quote, RateRow.as_of.desc(), RateRow.id.desc())
    )
    rows = await tx.session.scalars(query)
    return [Leg(row.id, row.base, row.quote, row.rate, row.as_of) for row in rows]


async def legs_by_hand(tx: ReadTransaction, on: date) -> list[Leg]:
    """Return the rates by hand that hold on a date: the last one of each pair of currencies."""
    pair = (
        func.least(RateRow.base, RateRow.quote),
        func.greatest(RateRow.base, RateRow.quote),
    )
    query = (
        select(RateRow)
        .ext(distinct_on(*pair))
        .where(
            RateRow.feed_id == MANUAL,
            RateRow.livemode == tx.livemode,
            RateRow.as_of <= on,
            RateRow.until.is_(None) | (RateRow.until > on),
            RateRow.held_back.is_(False) | _decided("approval"),
            ~_decided("withdrawal", on),
        )
        .order_by(*pair, RateRow.as_of.desc(), RateRow.id.desc())
    )
    rows = await tx.session.scalars(query)
    return [Leg(row.id, row.base, row.quote, row.rate, row.as_of, by_hand=True) for row in rows]


def _decided(kind: str, on: date | None = None) -> ColumnElement[bool]:
    decided = select(DecisionRow.rate_id).where(
        DecisionRow.tenant_id == RateRow.tenant_id,
        DecisionRow.rate_id == RateRow.id,
        DecisionRow.kind == kind,
    )
    if on is not None:
        decided = decided.where(DecisionRow.effective_on <= on)
    return decided.exists()


async def rate(tx: ReadTransaction, rate_id: str) -> RateRow | None:
    """Return a stored rate; one by hand only in the mode that it was recorded in."""
    row = await tx.session.get(RateRow, (tx.tenant_id, rate_id))
    return row if row is not None and row.livemode in (None, tx.livemode) else None


async def decisions(
    tx: ReadTransaction, rate_ids: Sequence[str]
) -> dict[str, dict[str, DecisionRow]]:
    """Return what was decided of rates: by id, then by kind."""
    query = select(DecisionRow).where(DecisionRow.rate_id.in_(list(rate_ids)))
    found: dict[str, dict[str, DecisionRow]] = {}
    for row in await tx.session.scalars(query):
        found.setdefault(row.rate_id, {})[row.kind] = row
    return found


async def decide(tx: Transaction, rate_id: str, kind: str, reason: str, effective_on: date) -> bool:
    """Note a decision; False where the same was decided before."""
    made = await tx.session.execute(
        insert(DecisionRow)
        .values(
            tenant_id=tx.tenant_id,
            rate_id=rate_id,
            kind=kind,
            actor=tx.principal.subject,
            reason=reason,
            effective_on=effective_on,
            decided_at=tx.now,
        )
        .on_conflict_do_nothing()
        .returning(DecisionRow.rate_id)
    )
    return made.one_or_none() is not None


async def store(
    tx: Transaction, feed: FeedRow, base: str, quotations: Sequence[Quotation], *, held_back: bool
) -> int:
    """Add rates that are not stored yet; return how many were new."""
    if not quotations:
        return 0
    added = await tx.session.execute(
        text(
            "INSERT INTO exchange_rate.rates"
            " (tenant_id, id, feed_id, base, quote, rate, as_of, held_back, fetched_at)"
            " SELECT :tenant, i, :feed, :base, q, r, d, :held_back, :now"
            " FROM unnest(CAST(:ids AS text[]), CAST(:quotes AS text[]),"
            " CAST(:rates AS numeric[]), CAST(:days AS date[])) AS new(i, q, r, d)"
            " ON CONFLICT DO NOTHING RETURNING id"
        ),
        {
            "tenant": tx.tenant_id,
            "feed": feed.id,
            "base": base,
            "held_back": held_back,
            "now": tx.now,
            "ids": [ids.new("fxr") for _ in quotations],
            "quotes": [item.quote for item in quotations],
            "rates": [item.rate for item in quotations],
            "days": [item.as_of for item in quotations],
        },
    )
    return len(added.all())


async def known(tx: ReadTransaction, feed_id: str) -> set[tuple[str, date, Decimal]]:
    """Return what a feed has stored, held back or not."""
    rows = await tx.session.execute(
        select(RateRow.quote, RateRow.as_of, RateRow.rate).where(RateRow.feed_id == feed_id)
    )
    return {(row.quote, row.as_of, row.rate.normalize()) for row in rows}


async def summary(tx: ReadTransaction, feed_id: str) -> tuple[date | None, int]:
    """Return the newest date of a feed and how many rates it has."""
    row = (
        await tx.session.execute(
            text(
                "SELECT max(as_of) FILTER (WHERE NOT held_back) AS as_of, count(*) AS total"
                " FROM exchange_rate.rates WHERE feed_id = :feed"
            ),
            {"feed": feed_id},
        )
    ).one()
    return row.as_of, int(row.total)


async def page_of_rates(
    tx: ReadTransaction,
    page: Page,
    *,
    feed_id: str | None,
    base: str | None,
    quote: str | None,
    as_of: date | None,
    held_back: bool | None,
    by_hand: bool | None,
) -> tuple[Sequence[RateRow], str | None]:
    """Return a page of stored rates."""
    query = select(RateRow).where(RateRow.livemode.is_(None) | (RateRow.livemode == tx.livemode))
    if by_hand is not None:
        query = query.where((RateRow.feed_id == MANUAL) == by_hand)
    if held_back is not None:
        waits = RateRow.held_back & ~_decided("approval")
        query = query.where(waits if held_back else ~waits)
    for column, value in (
        (RateRow.feed_id, feed_id),
        (RateRow.base, base),
        (RateRow.quote, quote),
        (RateRow.as_of, as_of),
    ):
        if value is not None:
            query = query.where(column == value)
    return await fetch_page(tx, query, RateRow.id, page)


async def source(tx: ReadTransaction, feed_id: str) -> FeedSourceRow | None:
    """Return what is held, sealed, of what a feed's sources name."""
    return await tx.session.get(FeedSourceRow, (tx.tenant_id, feed_id))


async def drop_source(tx: Transaction, feed_id: str) -> None:
    """Drop what is held of what a feed's sources name."""
    await tx.session.execute(delete(FeedSourceRow).where(FeedSourceRow.feed_id == feed_id))


async def source_digests(tx: ReadTransaction, feed_ids: Sequence[str]) -> Mapping[str, str]:
    """Return the digest of what is held for each feed that anything is held for."""
    query = select(FeedSourceRow.feed_id, FeedSourceRow.digest).where(
        FeedSourceRow.feed_id.in_(feed_ids)
    )
    return {row.feed_id: row.digest for row in await tx.session.execute(query)}


async def currencies(tx: ReadTransaction) -> dict[str, CurrencyRow]:
    """Return what the tenant has set of currencies, by code."""
    return {row.code: row for row in await tx.session.scalars(select(CurrencyRow))}


async def lock_currencies(tx: Transaction) -> None:
    """Wait until nobody else changes the tenant's currencies."""
    await tx.session.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('currencies'), hashtext(:tenant))"),
        {"tenant": tx.tenant_id},
    )
