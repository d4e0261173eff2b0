"""Every SQL statement of discount."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from billplane.chassis.database import ReadTransaction, Transaction
from billplane.chassis.rest import Page, fetch_page
from billplane.discount.domain import Coupon, Line, Rule, Usage, code_key
from billplane.discount.models import (
    ApplicationRow,
    CouponRow,
    DocumentRow,
    RedemptionRow,
    RuleRow,
)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who redeems: a customer, or one subscription of it."""

    customer_id: str
    subscription_id: str


async def add_coupon(tx: Transaction, coupon: Coupon) -> bool:
    """Store a coupon; False when its code is taken."""
    statement = insert(CouponRow).values(
        tenant_id=tx.tenant_id,
        id=coupon.id,
        livemode=tx.livemode,
        code=coupon.code,
        code_key=code_key(coupon.code),
        name=coupon.name,
        percent=coupon.percent,
        amount_minor=coupon.amount_minor,
        currency_code=coupon.currency,
        duration=coupon.duration,
        duration_periods=coupon.duration_periods,
        redemptions_max=coupon.redemptions_max,
        redemptions_per_customer_max=coupon.redemptions_per_customer_max,
        redemptions=0,
        priority=coupon.priority,
        cap_minor=coupon.cap_minor,
        valid_from=coupon.valid_from,
        valid_until=coupon.valid_until,
        plans=list(coupon.plans),
        charges=list(coupon.charges),
        meters=list(coupon.meters),
        stackable=coupon.stackable,
        created_at=coupon.created_at,
    )
    made = await tx.session.execute(
        statement.on_conflict_do_nothing(
            index_elements=["tenant_id", "livemode", "code_key"]
        ).returning(CouponRow.id)
    )
    return made.one_or_none() is not None


async def coupon(tx: ReadTransaction, id_or_code: str) -> CouponRow | None:
    """Return one coupon of the tenant and mode by id, else by code."""
    found = await tx.session.get(CouponRow, (tx.tenant_id, id_or_code))
    if found is not None and found.livemode == tx.livemode:
        return found
    return (
        await tx.session.scalars(
            select(CouponRow).where(
                CouponRow.livemode == tx.livemode, CouponRow.code_key == code_key(id_or_code)
            )
        )
    ).one_or_none()


async def page_of_coupons(
    tx: ReadTransaction, code: str | None, page: Page
) -> tuple[Sequence[CouponRow], str | None]:
    """Return a page of coupons, archived ones too."""
    query = select(CouponRow).where(CouponRow.livemode == tx.livemode)
    if code:
        query = query.where(CouponRow.code_key == code_key(code))
    return await fetch_page(tx, query, CouponRow.id, page)


async def coupons_of_codes(
    tx: ReadTransaction, codes: Collection[str], *, lock: bool = False
) -> list[Coupon]:
    """Return the coupons of some codes; locked, in the order of their ids, when asked."""
    query = (
        select(CouponRow)
        .where(
            CouponRow.livemode == tx.livemode,
            CouponRow.code_key.in_({code_key(code) for code in codes}),
        )
        .order_by(CouponRow.id)
    )
    if lock:
        query = query.with_for_update(key_share=True)
    return [coupon_of(row) for row in await tx.session.scalars(query)]


async def lock_coupons(tx: Transaction, coupon_ids: Collection[str]) -> None:
    """Lock coupons in the order of their ids, whatever their state."""
    await tx.session.execute(
        select(CouponRow.id)
        .where(CouponRow.id.in_(set(coupon_ids)))
        .order_by(CouponRow.id)
        .with_for_update(key_share=True)
    )


async def usages(
    tx: ReadTransaction, coupon_ids: Collection[str], holder: Holder
) -> dict[str, Usage]:
    """Return how far a holder and its customer used some coupons."""
    mine = RedemptionRow.subscription_id == holder.subscription_id
    rows = await tx.session.execute(
        select(
            RedemptionRow.coupon_id,
            func.sum(case((mine, RedemptionRow.documents), else_=0)),
            func.count(),
        )
        .where(
            RedemptionRow.coupon_id.in_(coupon_ids),
            RedemptionRow.customer_id == holder.customer_id,
            RedemptionRow.documents > 0,
        )
        .group_by(RedemptionRow.coupon_id)
    )
    return {coupon_id: Usage(int(documents), held) for coupon_id, documents, held in rows}


async def take_redemption(tx: Transaction, coupon_id: str) -> bool:
    """Count one more redemption of a coupon; False when none is left."""
    limit = CouponRow.redemptions_max
    taken = await tx.session.execute(
        update(CouponRow)
        .where(CouponRow.id == coupon_id, CouponRow.archived_at.is_(None))
        .where(or_(limit.is_(None), CouponRow.redemptions < limit))
        .values(redemptions=CouponRow.redemptions + 1)
        .returning(CouponRow.id)
        .execution_options(synchronize_session=False)
    )
    return taken.one_or_none() is not None


async def give_back_redemption(tx: Transaction, coupon_id: str) -> None:
    """Count one redemption less."""
    await tx.session.execute(
        update(CouponRow)
        .where(CouponRow.id == coupon_id)
        .values(redemptions=CouponRow.redemptions - 1)
        .execution_options(synchronize_session=False)
    )


async def count_document(tx: Transaction, coupon_id: str, holder: Holder, change: int) -> int:
    """Count a document of a redemption, or one less; return how many there are now."""
    statement = insert(RedemptionRow).values(
        tenant_id=tx.tenant_id,
        coupon_id=coupon_id,
        customer_id=holder.customer_id,
        subscription_id=holder.subscription_id,
        livemode=tx.livemode,
        documents=max(change, 0),
    )
    counted = await tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "coupon_id", "customer_id", "subscription_id"],
            set_={"documents": RedemptionRow.documents + change},
        ).returning(RedemptionRow.documents)
    )
    return int(counted.scalar_one())


async def live_applications(
    tx: ReadTransaction, reference: str, *, lock: bool = False
) -> list[ApplicationRow]:
    """Return what is applied under a reference, in the order it was; locked when asked."""
    query = (
        select(ApplicationRow)
        .where(
            ApplicationRow.livemode == tx.livemode,
            ApplicationRow.reference == reference,
            ApplicationRow.reversed_at.is_(None),
        )
        .order_by(ApplicationRow.id)
        .execution_options(populate_existing=True)
    )
    return list(await tx.session.scalars(query.with_for_update() if lock else query))


async def page_of_applications(
    tx: ReadTransaction, filters: dict[str, str | None], page: Page
) -> tuple[Sequence[ApplicationRow], str | None]:
    """Return a page of the history, reversed applications too."""
    query = select(ApplicationRow).where(ApplicationRow.livemode == tx.livemode)
    for name, value in filters.items():
        if value:
            query = query.where(getattr(ApplicationRow, name) == value)
    return await fetch_page(tx, query, ApplicationRow.id, page)


def add_rule(tx: Transaction, rule: Rule) -> None:
    """Store a rule."""
    values = asdict(rule) | {"currency_code": rule.currency}
    del values["currency"]
    lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
    tx.session.add(RuleRow(tenant_id=tx.tenant_id, livemode=tx.livemode, **values | lists))


async def rule(tx: ReadTransaction, rule_id: str) -> RuleRow | None:
    """Return one rule of the tenant and mode."""
    found = await tx.session.get(RuleRow, (tx.tenant_id, rule_id))
    return found if found is not None and found.livemode == tx.livemode else None


async def page_of_rules(
    tx: ReadTransaction, kind: str | None, page: Page
) -> tuple[Sequence[RuleRow], str | None]:
    """Return a page of rules, archived ones too."""
    query = select(RuleRow).where(RuleRow.livemode == tx.livemode)
    if kind:
        query = query.where(RuleRow.kind == kind)
    return await fetch_page(tx, query, RuleRow.id, page)


async def rules_at(tx: ReadTransaction, at: datetime) -> list[Rule]:
    """Return the rules that are in force at an instant."""
    rows = await tx.session.scalars(
        select(RuleRow).where(
            RuleRow.livemode == tx.livemode,
            RuleRow.archived_at.is_(None),
            or_(RuleRow.valid_from.is_(None), RuleRow.valid_from <= at),
            or_(RuleRow.valid_until.is_(None), RuleRow.valid_until > at),
        )
    )
    return [rule_of(row) for row in rows]


async def lock_customer(tx: Transaction, customer_id: str) -> None:
    """Let documents of a customer be decided one at a time until the transaction ends."""
    key = f"discount:{tx.tenant_id}:{tx.livemode}:{customer_id}"
    await tx.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


async def lines_between(
    tx: ReadTransaction,
    customer_id: str,
    currency: str,
    starts_at: datetime,
    ends_at: datetime,
    *,
    without: str,
) -> list[Line]:
    """Return the lines of a customer's documents that fall into a period, but for one document."""
    rows = await tx.session.scalars(
        select(DocumentRow).where(
            DocumentRow.livemode == tx.livemode,
            DocumentRow.customer_id == customer_id,
            DocumentRow.currency_code == currency,
            DocumentRow.falls_at >= starts_at,
            DocumentRow.falls_at < ends_at,
            DocumentRow.reference != without,
        )
    )
    return [Line(**line) for row in rows for line in row.lines]


async def note_document(
    tx: Transaction,
    *,
    reference: str,
    customer_id: str,
    currency: str,
    falls_at: datetime,
    lines: Sequence[Line],
) -> None:
    """Keep what a document counts towards thresholds."""
    values = {
        "customer_id": customer_id,
        "currency_code": currency,
        "falls_at": falls_at,
        "lines": [asdict(line) for line in lines],
    }
    statement = insert(DocumentRow).values(
        tenant_id=tx.tenant_id, livemode=tx.livemode, reference=reference, **values
    )
    await tx.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "livemode", "reference"], set_=values
        )
    )


async def forget_document(tx: Transaction, reference: str) -> None:
    """Count a document towards nothing."""
    await tx.session.execute(
        delete(DocumentRow)
        .where(DocumentRow.livemode == tx.livemode, DocumentRow.reference == reference)
        .execution_options(synchronize_session=False)
    )


def coupon_of(row: CouponRow) -> Coupon:
    """Return a row as a coupon."""
    return Coupon(**_values(Coupon, row))


def rule_of(row: RuleRow) -> Rule:
    """Return a row as a rule."""
    return Rule(**_values(Rule, row))


def _values(kind: type[Coupon | Rule], row: CouponRow | RuleRow) -> dict[str, Any]:
    names = [field.name for field in fields(kind) if field.name != "currency"]
    values = {name: getattr(row, name) for name in names}
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return values | lists | {"currency": row.currency_code}
