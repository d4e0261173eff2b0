"""Every SQL statement of exchange_rate."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import distinct_on

from billplane.chassis import ids
from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.exchange_rate.domain import Leg, Quotation
from billplane.exchange_rate.models import FeedRow, FeedSourceRow, RateRow


async def feeds(tx: ReadTransaction) -> Sequence[FeedRow]:
    """Return every feed in use, by name."""
    query = select(FeedRow).where(FeedRow.removed_at.is_(None)).order_by(FeedRow.name)
    return (await tx.session.scalars(query)).all()


async def legs(
    tx: ReadTransaction, feed_id: str, currencies: Sequence[str], on: date
) -> dict[str, Leg]:
    """Return the last known rate of each currency at or before a date."""
    query = (
        select(RateRow)
        .ext(distinct_on(RateRow.quote))
        .where(
            RateRow.feed_id == feed_id,
            RateRow.quote.in_(list(currencies)),
            RateRow.as_of <= on,
            RateRow.held_back.is_(False),
        )
        .order_by(RateRow.quote, RateRow.as_of.desc(), RateRow.id.desc())
    )
    rows = await tx.session.scalars(query)
    return {row.quote: Leg(row.id, row.quote, row.rate, row.as_of) for row in rows}


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
) -> tuple[Sequence[RateRow], str | None]:
    """Return a page of stored rates."""
    query = select(RateRow)
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
