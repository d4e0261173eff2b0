"""Every SQL statement of pricing."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import DateTime, Row, delete, or_, select, text
from sqlalchemy.dialects.postgresql import distinct_on, insert

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.pricing.models import (
    ExternalPriceRow,
    PlanRow,
    PlanSecretRow,
    PlanVersionRow,
    PriceRow,
    PriceSecretRow,
)

# How many versions of a plan may wait to come into effect.
VERSIONS_MAX = 50
_EFFECTIVE_AT = PlanVersionRow.spec["rollout"]["effectiveFrom"].astext.cast(DateTime(timezone=True))


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


async def version_at(tx: ReadTransaction, plan_id: str, at: datetime) -> PlanVersionRow | None:
    """Return the newest version of a plan that is in effect by an instant."""
    query = (
        select(PlanVersionRow)
        .where(
            PlanVersionRow.plan_id == plan_id,
            or_(_EFFECTIVE_AT.is_(None), at >= _EFFECTIVE_AT),
        )
        .order_by(PlanVersionRow.version.desc())
        .limit(1)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def versions_after(
    tx: ReadTransaction, plan_id: str, number: int
) -> Sequence[PlanVersionRow]:
    """Return the newest versions of a plan after one, oldest first."""
    query = (
        select(PlanVersionRow)
        .where(PlanVersionRow.plan_id == plan_id, PlanVersionRow.version > number)
        .order_by(PlanVersionRow.version.desc())
        .limit(VERSIONS_MAX)
    )
    return (await tx.session.scalars(query)).all()[::-1]


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


async def price(tx: ReadTransaction, price_id: str) -> PriceRow | None:
    """Return one price."""
    return await tx.session.get(PriceRow, (tx.tenant_id, price_id))


async def page_of_prices(
    tx: ReadTransaction, page: Page, *, plan_id: str | None, version: int | None, meter: str | None
) -> tuple[Sequence[PriceRow], str | None]:
    """Return a page of the prices of plans in use: of their newest versions, or of one version."""
    query = (
        select(PriceRow)
        .join(PlanRow, (PlanRow.tenant_id == PriceRow.tenant_id) & (PlanRow.id == PriceRow.plan_id))
        .where(PriceRow.version == (PlanRow.version if version is None else version))
    )
    if plan_id is None:
        query = query.where(PlanRow.removed_at.is_(None))
    else:
        query = query.where(PriceRow.plan_id == plan_id)
    if meter:
        query = query.where(PriceRow.meter == meter)
    return await fetch_page(tx, query, PriceRow.id, page)


async def last_good_price(
    tx: ReadTransaction, standing_hash: str, since: datetime
) -> ExternalPriceRow | None:
    """Return the newest answer to a question that is not older than an instant."""
    query = (
        select(ExternalPriceRow)
        .where(
            ExternalPriceRow.livemode == tx.livemode,
            ExternalPriceRow.standing_hash == standing_hash,
            ExternalPriceRow.fetched_at >= since,
        )
        .order_by(ExternalPriceRow.fetched_at.desc(), ExternalPriceRow.id.desc())
        .limit(1)
    )
    return (await tx.session.scalars(query)).one_or_none()


async def page_of_external_prices(
    tx: ReadTransaction, page: Page, *, plan_id: str | None, charge: str | None
) -> tuple[Sequence[ExternalPriceRow], str | None]:
    """Return a page of what external sources answered."""
    query = select(ExternalPriceRow).where(ExternalPriceRow.livemode == tx.livemode)
    if plan_id:
        query = query.where(ExternalPriceRow.plan_id == plan_id)
    if charge:
        query = query.where(ExternalPriceRow.charge == charge)
    return await fetch_page(tx, query, ExternalPriceRow.id, page)


async def plan_secret(tx: ReadTransaction, plan_id: str) -> PlanSecretRow | None:
    """Return what is held, sealed, of the Secrets that a plan names."""
    return await tx.session.get(PlanSecretRow, (tx.tenant_id, plan_id))


async def plan_secret_digests(tx: ReadTransaction, plan_ids: Sequence[str]) -> dict[str, str]:
    """Return the digests of what is held for some plans."""
    query = select(PlanSecretRow.plan_id, PlanSecretRow.digest).where(
        PlanSecretRow.plan_id.in_(plan_ids)
    )
    return {row.plan_id: row.digest for row in await tx.session.execute(query)}


async def drop_plan_secret(tx: Transaction, plan_id: str) -> None:
    """Forget what the Secrets hold that a plan names."""
    await tx.session.execute(delete(PlanSecretRow).where(PlanSecretRow.plan_id == plan_id))


async def price_secret(tx: ReadTransaction, name: str, key: str) -> PriceSecretRow | None:
    """Return one sealed secret."""
    return await tx.session.get(PriceSecretRow, (tx.tenant_id, name, key))


async def put_price_secret(tx: Transaction, name: str, key: str, sealed: bytes) -> None:
    """Store a secret in place of the one before."""
    values = {"sealed": sealed, "updated_at": tx.now}
    statement = insert(PriceSecretRow).values(tenant_id=tx.tenant_id, name=name, key=key, **values)
    await tx.session.execute(
        statement.on_conflict_do_update(index_elements=["tenant_id", "name", "key"], set_=values)
    )


async def drop_price_secret(tx: Transaction, name: str, key: str) -> bool:
    """Remove a secret; False when there was none."""
    gone = await tx.session.execute(
        delete(PriceSecretRow)
        .where(PriceSecretRow.name == name, PriceSecretRow.key == key)
        .returning(PriceSecretRow.name)
        .execution_options(synchronize_session=False)
    )
    return gone.one_or_none() is not None
