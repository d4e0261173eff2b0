"""The names that events were sent for, and what came a second time with other content."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, text, tuple_

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.metering.models import UsageConflictRow, UsageSubjectRow


async def unknown_subjects(
    tx: ReadTransaction, after: tuple[datetime, str] | None, order: str, limit: int
) -> Sequence[Row[Any]]:
    """Return names that no customer was found for yet, by when they were first seen.

    Shape: `subject`, `first_seen_at`, and `digest`, which puts names of one moment in an order.
    """
    seen, digest = UsageSubjectRow.first_seen_at, func.md5(UsageSubjectRow.subject)
    query = select(UsageSubjectRow.subject, seen, digest.label("digest")).where(
        UsageSubjectRow.livemode == tx.livemode, UsageSubjectRow.customer_id.is_(None)
    )
    place = tuple_(seen, digest)
    if order == "desc":
        query = query.order_by(seen.desc(), digest.desc())
    else:
        query = query.order_by(seen, digest)
    if after is not None:
        query = query.where(place < after if order == "desc" else place > after)
    return (await tx.session.execute(query.limit(limit))).all()


async def note_customer(tx: Transaction, subject: str, customer_id: str | None) -> None:
    """Note whose name a subject is, or that it was looked for in vain."""
    row = await tx.session.get_one(UsageSubjectRow, (tx.tenant_id, tx.livemode, subject))
    row.customer_id, row.looked_at = customer_id, tx.now


async def counts_of_subjects(tx: ReadTransaction, subjects: Sequence[str]) -> Sequence[Row[Any]]:
    """Return how many events each subject has, and when the first and the last happened."""
    found = await tx.session.execute(
        text(
            "SELECT subject, count(*) AS events, min(event_at) AS first_at,"
            " max(event_at) AS last_at"
            " FROM metering.usage_events WHERE tenant_id = :tenant AND livemode = :livemode"
            " AND subject = ANY (:subjects)"
            " GROUP BY subject ORDER BY subject"
        ),
        {"tenant": tx.tenant_id, "livemode": tx.livemode, "subjects": list(subjects)},
    )
    return found.all()


async def page_of_conflicts(
    tx: ReadTransaction, page: Page
) -> tuple[Sequence[UsageConflictRow], str | None]:
    """Return a page of events whose id had been used for other content."""
    query = select(UsageConflictRow).where(UsageConflictRow.livemode == tx.livemode)
    after = page.after_number()
    if after is not None:
        number = UsageConflictRow.number
        query = query.where(number < after if page.order == "desc" else number > after)
        page = page.model_copy(update={"cursor": None})
    return await fetch_page(tx, query, UsageConflictRow.number, page)
