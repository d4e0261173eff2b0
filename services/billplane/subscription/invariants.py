"""What must always be true of subscription."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation


async def billed_periods_follow_each_other(session: AsyncSession) -> list[Violation]:
    """Check that billed periods have neither overlap nor any gap but a pause."""
    rows = await session.execute(
        text(
            "SELECT p.tenant_id, subscription_id, p.starts_at, before FROM ("
            " SELECT tenant_id, subscription_id, starts_at, lag(ends_at) OVER ("
            "  PARTITION BY tenant_id, subscription_id ORDER BY starts_at) AS before"
            " FROM subscription.billed_periods) p"
            " JOIN subscription.subscriptions s"
            "  ON s.tenant_id = p.tenant_id AND s.id = p.subscription_id"
            " WHERE before <> p.starts_at AND NOT EXISTS ("
            "  SELECT FROM jsonb_array_elements(s.pauses) pause"
            "  WHERE (pause->>'starts_at')::timestamptz = before"
            "   AND (pause->>'ends_at')::timestamptz = p.starts_at) LIMIT 100"
        )
    )
    return [
        Violation(
            "billed_periods_follow_each_other",
            row.tenant_id,
            row.subscription_id,
            f"a period begins {row.starts_at}, the one before ends {row.before}",
        )
        for row in rows
    ]


async def invoices_bill_one_period(session: AsyncSession) -> list[Violation]:
    """Check that no invoice stands for two periods."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, invoice_id, count(*) AS total FROM subscription.billed_periods"
            " GROUP BY tenant_id, invoice_id HAVING count(*) > 1 LIMIT 100"
        )
    )
    return [
        Violation("invoices_bill_one_period", row.tenant_id, row.invoice_id, f"{row.total} periods")
        for row in rows
    ]
