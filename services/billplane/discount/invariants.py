"""What must always be true of discount."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation
from billplane.discount.models import ApplicationRow, CouponRow, RedemptionRow


async def redemptions_are_counted(session: AsyncSession) -> list[Violation]:
    """Check that a coupon's counter equals its live redemptions, within its maximum."""
    live = (
        select(RedemptionRow.tenant_id, RedemptionRow.coupon_id, func.count().label("live"))
        .where(RedemptionRow.documents > 0)
        .group_by(RedemptionRow.tenant_id, RedemptionRow.coupon_id)
        .subquery()
    )
    counted = func.coalesce(live.c.live, 0)
    rows = await session.execute(
        select(CouponRow, counted)
        .outerjoin(
            live, (live.c.tenant_id == CouponRow.tenant_id) & (live.c.coupon_id == CouponRow.id)
        )
        .where(
            (CouponRow.redemptions != counted) | (CouponRow.redemptions > CouponRow.redemptions_max)
        )
    )
    return [
        Violation(
            "redemptions_are_counted",
            row.tenant_id,
            row.id,
            f"counter {row.redemptions}, live {found}, maximum {row.redemptions_max}",
        )
        for row, found in rows
    ]


async def documents_are_counted(session: AsyncSession) -> list[Violation]:
    """Check that a redemption's counter equals its live applications."""
    keys = ("tenant_id", "coupon_id", "customer_id", "subscription_id")
    live = (
        select(*(getattr(ApplicationRow, key) for key in keys), func.count().label("live"))
        .where(ApplicationRow.reversed_at.is_(None), ApplicationRow.coupon_id != "")
        .group_by(*(getattr(ApplicationRow, key) for key in keys))
        .subquery()
    )
    join = [getattr(RedemptionRow, key) == live.c[key] for key in keys]
    counted = func.coalesce(live.c.live, 0)
    found = func.coalesce(RedemptionRow.documents, 0)
    rows = await session.execute(
        select(
            func.coalesce(RedemptionRow.tenant_id, live.c.tenant_id),
            func.coalesce(RedemptionRow.coupon_id, live.c.coupon_id),
            found,
            counted,
        )
        .select_from(RedemptionRow)
        .join(live, join[0] & join[1] & join[2] & join[3], full=True)
        .where(found != counted)
    )
    return [
        Violation("documents_are_counted", tenant, coupon, f"counter {counter}, live {live_}")
        for tenant, coupon, counter, live_ in rows
    ]


async def shares_add_up(session: AsyncSession) -> list[Violation]:
    """Check that the shares of an application sum to its amount."""
    violations = []
    rows = await session.stream_scalars(select(ApplicationRow))
    async for row in rows:
        shared = sum(minor for _, minor in row.shares)
        if shared != row.amount_minor:
            detail = f"amount {row.amount_minor}, shares {shared}"
            violations.append(Violation("shares_add_up", row.tenant_id, row.id, detail))
    return violations
