"""What must always be true of pricing."""

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation
from billplane.pricing.models import PlanVersionRow
from billplane.resources import BillingPlanSpec, SpecError

_AT_ONCE = 500


async def versions_have_no_gaps(session: AsyncSession) -> list[Violation]:
    """Check that each plan's versions count from 1 up to the one that the plan is at."""
    rows = await session.execute(
        text(
            "SELECT coalesce(p.tenant_id, v.tenant_id) AS tenant_id,"
            " coalesce(p.id, v.plan_id) AS plan_id, p.version, v.first, v.last, v.total"
            " FROM pricing.plans p FULL JOIN ("
            "   SELECT tenant_id, plan_id, min(version) AS first, max(version) AS last,"
            "     count(*) AS total FROM pricing.plan_versions GROUP BY tenant_id, plan_id"
            " ) v ON v.tenant_id = p.tenant_id AND v.plan_id = p.id"
            " WHERE (p.version = v.last AND v.first = 1 AND v.total = v.last) IS NOT TRUE LIMIT 100"
        )
    )
    return [
        Violation(
            "versions_have_no_gaps",
            row.tenant_id,
            row.plan_id,
            f"the plan is at version {row.version}; there are {row.total or 0},"
            f" from {row.first} to {row.last}",
        )
        for row in rows
    ]


async def versions_have_their_prices(session: AsyncSession) -> list[Violation]:
    """Check that each version has one price per charge."""
    rows = await session.execute(
        text(
            "SELECT v.tenant_id, v.plan_id, v.version, jsonb_array_length(v.spec -> 'charges') AS"
            " charges, count(p.id) AS prices"
            " FROM pricing.plan_versions v LEFT JOIN pricing.prices p"
            " ON p.tenant_id = v.tenant_id AND p.plan_id = v.plan_id AND p.version = v.version"
            " GROUP BY v.tenant_id, v.id, v.plan_id, v.version, v.spec"
            " HAVING count(p.id) <> jsonb_array_length(v.spec -> 'charges') LIMIT 100"
        )
    )
    return [
        Violation(
            "versions_have_their_prices",
            row.tenant_id,
            row.plan_id,
            f"version {row.version} has {row.charges} charges and {row.prices} prices",
        )
        for row in rows
    ]


async def plans_ask_for_what_they_run(session: AsyncSession) -> list[Violation]:
    """Check that the newest version of each plan has the spec that was asked for last."""
    rows = await session.execute(
        text(
            "SELECT p.tenant_id, p.id, p.version FROM pricing.plans p"
            " JOIN pricing.plan_versions v ON v.tenant_id = p.tenant_id AND v.plan_id = p.id"
            " AND v.version = p.version WHERE v.spec <> p.spec LIMIT 100"
        )
    )
    return [
        Violation(
            "plans_ask_for_what_they_run",
            row.tenant_id,
            row.id,
            f"version {row.version} has another spec than the plan",
        )
        for row in rows
    ]


async def stored_specs_are_valid(session: AsyncSession) -> list[Violation]:
    """Check that every version can still be rated."""
    found = []
    rows = await session.stream_scalars(
        select(PlanVersionRow).execution_options(yield_per=_AT_ONCE)
    )
    async for row in rows:
        try:
            BillingPlanSpec.parse(row.spec)
        except SpecError as error:
            subject = f"{row.plan_id} version {row.version}"
            found.append(
                Violation("stored_specs_are_valid", row.tenant_id, subject, str(error)[:200])
            )
    return found
