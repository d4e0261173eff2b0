"""Every SQL statement of pricing."""

from collections.abc import Sequence

from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import distinct_on

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.pricing.models import PlanRow, PlanVersionRow


async def lock(tx: Transaction, plan_id: str) -> None:
    """Hold a plan until the transaction ends, so that its versions are numbered one at a time."""
    await tx.session.execute(select(PlanRow.id).where(PlanRow.id == plan_id).with_for_update())


async def lock_applied(tx: Transaction, uid: str) -> None:
    """Hold a resource's plan until the transaction ends."""
    await tx.session.execute(select(PlanRow.id).where(PlanRow.uid == uid).with_for_update())


async def default_plan(tx: ReadTransaction) -> PlanRow | None:
    """Return the plan in use that says it is the default."""
    # Written out rather than bound, so that the planner sees the condition of the index.
    is_default = text("plans.spec @> '{\"default\": true}'")
    query = select(PlanRow).where(PlanRow.removed_at.is_(None), is_default)
    return (await tx.session.scalars(query)).one_or_none()


async def default_plan_name(tx: ReadTransaction) -> Row[str, str, int] | None:
    """Return id, name and newest version of the plan in use that says it is the default."""
    is_default = text("plans.spec @> '{\"default\": true}'")
    query = select(PlanRow.id, PlanRow.name, PlanRow.version).where(
        PlanRow.removed_at.is_(None), is_default
    )
    return (await tx.session.execute(query)).one_or_none()


async def archived_plan(tx: ReadTransaction, name: str) -> PlanRow | None:
    """Return the plan of a name that was archived last."""
    query = (
        select(PlanRow)
        .where(PlanRow.name == name, PlanRow.removed_at.is_not(None))
        .order_by(PlanRow.removed_at.desc(), PlanRow.id.desc())
        .limit(1)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def version(
    tx: ReadTransaction, plan_id: str, number: int | None = None
) -> PlanVersionRow | None:
    """Return one version of a plan, the newest without a number."""
    query = select(PlanVersionRow).where(PlanVersionRow.plan_id == plan_id)
    if number is not None:
        query = query.where(PlanVersionRow.version == number)
    query = query.order_by(PlanVersionRow.version.desc()).limit(1)
    return (await tx.session.scalars(query)).one_or_none()


async def newest_versions(
    tx: ReadTransaction, plan_ids: Sequence[str]
) -> dict[str, PlanVersionRow]:
    """Return the newest version of each plan."""
    query = (
        select(PlanVersionRow)
        .ext(distinct_on(PlanVersionRow.plan_id))
        .where(PlanVersionRow.plan_id.in_(plan_ids))
        .order_by(PlanVersionRow.plan_id, PlanVersionRow.version.desc())
    )
    return {row.plan_id: row for row in await tx.session.scalars(query)}


async def page_of_versions(
    tx: ReadTransaction, plan_id: str, page: Page
) -> tuple[Sequence[PlanVersionRow], str | None]:
    """Return a page of one plan's versions."""
    query = select(PlanVersionRow).where(PlanVersionRow.plan_id == plan_id)
    return await fetch_page(tx, query, PlanVersionRow.id, page)
