"""Every SQL statement of subscription."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import cast, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.subscription.domain import Segment
from billplane.subscription.models import (
    BilledPeriodRow,
    BillingRunRow,
    CustomerRow,
    SubscriptionRow,
    TestClockRow,
)

# How many billed periods are asked for usage that changed since.
PERIODS_MAX = 400
# By how much the clocks of two machines may differ.
CLOCKS_APART = timedelta(seconds=2)


async def customer(tx: ReadTransaction, wanted: str) -> CustomerRow | None:
    """Return a customer of the mode by id or external_id."""
    row = await tx.session.get(CustomerRow, (tx.tenant_id, wanted))
    if row is not None:
        return row if row.livemode == tx.livemode else None
    query = select(CustomerRow).where(
        CustomerRow.livemode == tx.livemode, CustomerRow.external_id == wanted
    )
    return (await tx.session.scalars(query)).one_or_none()


async def customers_named(tx: ReadTransaction, wanted: Collection[str]) -> dict[str, CustomerRow]:
    """Return customers of the mode by id or external_id; who is not there is left out."""
    query = select(CustomerRow).where(
        CustomerRow.livemode == tx.livemode,
        CustomerRow.id.in_(wanted) | CustomerRow.external_id.in_(wanted),
    )
    rows = (await tx.session.scalars(query)).all()
    # An id comes before another customer's external_id, as where one is looked up.
    return {row.external_id: row for row in rows if row.external_id} | {row.id: row for row in rows}


async def page_of_customers(
    tx: ReadTransaction, page: Page, test_clock_id: str | None, email: str = ""
) -> tuple[Sequence[CustomerRow], str | None]:
    """Return a page of customers."""
    query = select(CustomerRow).where(CustomerRow.livemode == tx.livemode)
    if email:
        query = query.where(CustomerRow.email == email)
    if test_clock_id:
        query = query.where(CustomerRow.test_clock_id == test_clock_id)
    return await fetch_page(tx, query, CustomerRow.id, page)


async def has_subscription(tx: ReadTransaction, customer_id: str) -> bool:
    """Tell whether a customer ever subscribed."""
    query = select(SubscriptionRow.id).where(SubscriptionRow.customer_id == customer_id).limit(1)
    return await tx.session.scalar(query) is not None


async def clock(tx: ReadTransaction, clock_id: str | None) -> TestClockRow | None:
    """Return a test clock."""
    return await tx.session.get(TestClockRow, (tx.tenant_id, clock_id)) if clock_id else None


async def lock_clock(tx: Transaction, clock_id: str) -> TestClockRow | None:
    """Return a test clock, locked until the transaction ends."""
    return await tx.session.get(TestClockRow, (tx.tenant_id, clock_id), with_for_update=True)


async def now_of(tx: ReadTransaction, clock_id: str | None) -> datetime:
    """Return the time of a customer: its test clock's, or the real one."""
    row = await clock(tx, clock_id)
    return row.now if row is not None else tx.now


async def page_of_clocks(
    tx: ReadTransaction, page: Page
) -> tuple[Sequence[TestClockRow], str | None]:
    """Return a page of test clocks."""
    return await fetch_page(tx, select(TestClockRow), TestClockRow.id, page)


async def subscription(tx: ReadTransaction, subscription_id: str) -> SubscriptionRow | None:
    """Return a subscription of the mode."""
    row = await tx.session.get(SubscriptionRow, (tx.tenant_id, subscription_id))
    return row if row is not None and row.livemode == tx.livemode else None


async def page_of_subscriptions(
    tx: ReadTransaction, page: Page, customer_id: str | None, state: str | None
) -> tuple[Sequence[SubscriptionRow], str | None]:
    """Return a page of subscriptions."""
    query = select(SubscriptionRow).where(SubscriptionRow.livemode == tx.livemode)
    if customer_id:
        query = query.where(SubscriptionRow.customer_id == customer_id)
    if state:
        query = query.where(SubscriptionRow.state == state)
    return await fetch_page(tx, query, SubscriptionRow.id, page)


async def current_subscription(
    tx: ReadTransaction, customer_id: str, at: datetime
) -> SubscriptionRow | None:
    """Return the newest subscription of a customer that is in force at an instant."""
    query = (
        select(SubscriptionRow)
        .where(
            SubscriptionRow.livemode == tx.livemode,
            SubscriptionRow.customer_id == customer_id,
            SubscriptionRow.starts_at <= at,
            (SubscriptionRow.ended_at.is_(None)) | (SubscriptionRow.ended_at > at),
        )
        .order_by(SubscriptionRow.id.desc())
        .limit(1)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def count_live(tx: ReadTransaction, plan_id: str) -> int:
    """Count subscriptions of a plan that have not ended, in both modes."""
    query = select(func.count()).where(
        SubscriptionRow.plan_id == plan_id, SubscriptionRow.ended_at.is_(None)
    )
    return int(await tx.session.scalar(query) or 0)


async def count_live_in_mode(tx: ReadTransaction, plan_id: str) -> int:
    """Count subscriptions of a plan that have not ended, in the mode."""
    query = select(func.count()).where(
        SubscriptionRow.plan_id == plan_id,
        SubscriptionRow.ended_at.is_(None),
        SubscriptionRow.livemode == tx.livemode,
    )
    return int(await tx.session.scalar(query) or 0)


async def move_to_version(
    tx: Transaction,
    plan_id: str,
    version: int,
    customers: Sequence[str] | None,
    effective_at: datetime | None = None,
) -> None:
    """Let live subscriptions of a plan take a version with their next period, from an instant on.

    Idempotent by: the version.
    """
    statement = update(SubscriptionRow).where(
        SubscriptionRow.plan_id == plan_id,
        SubscriptionRow.ended_at.is_(None),
        SubscriptionRow.plan_version < version,
    )
    values: dict[str, Any]
    if effective_at is None:
        # Versions may be announced in any order.
        statement = statement.where(func.coalesce(SubscriptionRow.next_plan_version, 0) < version)
        values = {"next_plan_version": version}
    else:
        dated = [{"version": version, "effective_at": effective_at.isoformat()}]
        held = SubscriptionRow.dated_versions
        statement = statement.where(~held.contains([{"version": version}]))
        values = {"dated_versions": held.op("||")(cast(dated, JSONB))}
    if customers is not None:
        names = select(CustomerRow.id).where(
            CustomerRow.id.in_(customers) | CustomerRow.external_id.in_(customers)
        )
        statement = statement.where(SubscriptionRow.customer_id.in_(names))
    await tx.session.execute(statement.values(**values))


_DUE = """
    SELECT s.id FROM subscription.subscriptions s
    LEFT JOIN subscription.test_clocks c
      ON c.tenant_id = s.tenant_id AND c.id = s.test_clock_id
    WHERE s.livemode = :livemode AND s.ended_at IS NULL AND s.id > :after
      AND (cardinality(CAST(:customers AS text[])) = 0
           OR s.customer_id = ANY (CAST(:customers AS text[])))
      AND ((NOT s.held AND s.period_ends_at
             <= least(CAST(:at AS timestamptz),
               coalesce(c.now, CAST(:real_now AS timestamptz) - CAST(:grace AS interval))))
           OR s.items_due IS NOT NULL
           OR (s.advance_due AND s.billing_starts_at
             <= least(CAST(:at AS timestamptz),
               coalesce(c.now, CAST(:real_now AS timestamptz)))))
    ORDER BY s.id LIMIT 500
"""


async def due_subscriptions(
    tx: ReadTransaction,
    *,
    at: datetime | None,
    customers: Sequence[str],
    grace: timedelta,
    after: str,
) -> list[str]:
    """Return up to 500 ids of subscriptions with something to bill, after an id."""
    rows = await tx.session.execute(
        text(_DUE),
        {
            "livemode": tx.livemode,
            "customers": list(customers),
            "at": at,
            "real_now": tx.now,
            "grace": grace,
            "after": after,
        },
    )
    return [row.id for row in rows]


async def claim(tx: Transaction, subscription_id: str, claimer: str, lease: timedelta) -> bool:
    """Take a subscription for a while; False when somebody else has it."""
    taken = await tx.session.execute(
        update(SubscriptionRow)
        .where(
            SubscriptionRow.id == subscription_id,
            (SubscriptionRow.claimed_until.is_(None))
            | (SubscriptionRow.claimed_until < tx.now)
            | (SubscriptionRow.claimed_by == claimer),
        )
        .values(claimed_by=claimer, claimed_until=tx.now + lease)
        .returning(SubscriptionRow.id)
    )
    return taken.one_or_none() is not None


async def release(tx: Transaction, subscription_id: str, claimer: str) -> None:
    """Let go of a subscription that was claimed."""
    await tx.session.execute(
        update(SubscriptionRow)
        .where(SubscriptionRow.id == subscription_id, SubscriptionRow.claimed_by == claimer)
        .values(claimed_by=None, claimed_until=None)
    )


async def lock_subscription(tx: Transaction, subscription_id: str) -> SubscriptionRow | None:
    """Return a subscription, locked until the transaction ends."""
    return await tx.session.get(
        SubscriptionRow, (tx.tenant_id, subscription_id), with_for_update=True
    )


@dataclass(frozen=True, slots=True)
class BilledPeriod:
    """A billed period, and an instant before its usage was read for the bill."""

    row: BilledPeriodRow
    read_at: datetime


async def billed_until(
    tx: ReadTransaction, subscription_id: str, starts_at: datetime
) -> list[BilledPeriod]:
    """Return the billed periods that ended before another begins, the last ones, in their order.

    A run asks for a flush of usage after it was created, and reads then.
    """
    query = (
        select(BilledPeriodRow, BillingRunRow.created_at)
        .outerjoin(
            BillingRunRow,
            (BillingRunRow.tenant_id == BilledPeriodRow.tenant_id)
            & (BillingRunRow.id == BilledPeriodRow.run_id),
        )
        .where(
            BilledPeriodRow.subscription_id == subscription_id, BilledPeriodRow.ends_at <= starts_at
        )
        .order_by(BilledPeriodRow.starts_at.desc())
        .limit(PERIODS_MAX)
    )
    found = [
        BilledPeriod(row, (begun or row.created_at - timedelta(hours=1)) - CLOCKS_APART)
        for row, begun in await tx.session.execute(query)
    ]
    return found[::-1]


async def note_billed(
    tx: Transaction, row: SubscriptionRow, segments: Sequence[Segment], invoice_id: str, run_id: str
) -> None:
    """Note that a subscription's current period is billed; the first note stands."""
    await tx.session.execute(
        insert(BilledPeriodRow)
        .values(
            tenant_id=tx.tenant_id,
            subscription_id=row.id,
            starts_at=row.period_starts_at,
            livemode=row.livemode,
            ends_at=row.period_ends_at,
            plan_id=row.plan_id,
            plan_version=row.plan_version,
            nominal_starts_at=row.nominal_starts_at,
            nominal_ends_at=row.nominal_ends_at,
            segments=[segment.to_json() for segment in segments],
            invoice_id=invoice_id,
            run_id=run_id,
            created_at=tx.now,
        )
        .on_conflict_do_nothing()
    )


def segments_of(period: BilledPeriodRow, plan_id: str) -> list[Segment]:
    """Return which version of which plan billed which part of a period.

    Shape: `plan_id` is the subscription's, for periods billed before plans could be changed.
    """
    if period.segments:
        return [Segment.of_json(item) for item in period.segments]
    known = period.plan_id or plan_id
    return [Segment(known, period.plan_version, period.starts_at, period.ends_at)]


async def latest_periods(
    tx: ReadTransaction, plan_id: str, periods: int, customers_max: int
) -> list[tuple[BilledPeriodRow, CustomerRow]]:
    """Return the newest billed periods of each live subscription of a plan, with its customer."""
    live = (
        select(SubscriptionRow.id, SubscriptionRow.customer_id)
        .where(
            SubscriptionRow.livemode == tx.livemode,
            SubscriptionRow.plan_id == plan_id,
            SubscriptionRow.ended_at.is_(None),
        )
        .order_by(SubscriptionRow.id)
        .limit(customers_max)
        .subquery()
    )
    place = func.row_number().over(
        partition_by=BilledPeriodRow.subscription_id, order_by=BilledPeriodRow.starts_at.desc()
    )
    newest = (
        select(
            BilledPeriodRow.subscription_id,
            BilledPeriodRow.starts_at,
            live.c.customer_id,
            place.label("place"),
        )
        .join(live, live.c.id == BilledPeriodRow.subscription_id)
        .subquery()
    )
    rows = await tx.session.execute(
        select(BilledPeriodRow, CustomerRow)
        .join(
            newest,
            (newest.c.subscription_id == BilledPeriodRow.subscription_id)
            & (newest.c.starts_at == BilledPeriodRow.starts_at),
        )
        .join(CustomerRow, CustomerRow.id == newest.c.customer_id)
        .where(newest.c.place <= periods)
        .order_by(BilledPeriodRow.subscription_id, BilledPeriodRow.starts_at)
    )
    return [(row.BilledPeriodRow, row.CustomerRow) for row in rows]


async def run(tx: ReadTransaction, run_id: str) -> BillingRunRow | None:
    """Return a billing run of the mode."""
    row = await tx.session.get(BillingRunRow, (tx.tenant_id, run_id))
    return row if row is not None and row.livemode == tx.livemode else None


async def page_of_runs(
    tx: ReadTransaction, page: Page
) -> tuple[Sequence[BillingRunRow], str | None]:
    """Return a page of billing runs."""
    query = select(BillingRunRow).where(BillingRunRow.livemode == tx.livemode)
    return await fetch_page(tx, query, BillingRunRow.id, page)


async def count_in_run(
    tx: Transaction, run_id: str, *, periods: int, invoiced: int, errors: list[dict[str, Any]]
) -> None:
    """Add to a run's counts and errors."""
    await tx.session.execute(
        text(
            "UPDATE subscription.billing_runs SET periods = periods + :periods,"
            " invoiced = invoiced + :invoiced,"
            " errors = errors || CAST(:errors AS jsonb) WHERE id = :id"
        ),
        {"periods": periods, "invoiced": invoiced, "errors": json.dumps(errors), "id": run_id},
    )
