"""What must always be true of billing_core."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation

# What an operation takes counts from the decision on, what it brings once it is done.
_COUNTS = "(o.state = 'done' OR (o.state = 'pending' AND o.amount_minor < 0))"
_WALLETS = f"""
    SELECT w.tenant_id, w.id, w.posted_minor, coalesce(s.moved, 0) AS moved
    FROM billing_core.wallets w
    LEFT JOIN (SELECT tenant_id, wallet_id, sum(amount_minor) AS moved
      FROM billing_core.operations o WHERE {_COUNTS} GROUP BY 1, 2) s
      ON (s.tenant_id, s.wallet_id) = (w.tenant_id, w.id)
    WHERE w.posted_minor <> coalesce(s.moved, 0) LIMIT 100
"""  # noqa: S608 - fixed words
_RESERVED = """
    SELECT w.tenant_id, w.id, w.reserved_minor, coalesce(r.remaining, 0) AS remaining
    FROM billing_core.wallets w
    LEFT JOIN (SELECT tenant_id, wallet_id, sum(remaining_minor) AS remaining
      FROM billing_core.reservations GROUP BY 1, 2) r
      ON (r.tenant_id, r.wallet_id) = (w.tenant_id, w.id)
    WHERE w.reserved_minor <> coalesce(r.remaining, 0) LIMIT 100
"""
_COMMITTED = """
    SELECT r.tenant_id, r.id, r.committed_minor, coalesce(s.moved, 0) AS moved
    FROM billing_core.reservations r
    LEFT JOIN (SELECT tenant_id, reservation_id, -sum(amount_minor) AS moved
      FROM billing_core.operations WHERE kind = 'commit' AND state <> 'refused' GROUP BY 1, 2) s
      ON (s.tenant_id, s.reservation_id) = (r.tenant_id, r.id)
    WHERE r.committed_minor <> coalesce(s.moved, 0) LIMIT 100
"""
_CREDITS = """
    SELECT c.tenant_id, c.id, c.remaining_minor, coalesce(m.moved, 0) AS moved
    FROM billing_core.credits c
    LEFT JOIN (SELECT tenant_id, credit_id, sum(amount_minor) AS moved
      FROM billing_core.credit_moves GROUP BY 1, 2) m
      ON (m.tenant_id, m.credit_id) = (c.tenant_id, c.id)
    WHERE c.remaining_minor <> coalesce(m.moved, 0) LIMIT 100
"""
_REFUNDS = """
    SELECT o.tenant_id, o.id, o.refunded_minor, coalesce(s.given, 0) AS given
    FROM billing_core.operations o
    LEFT JOIN (SELECT tenant_id, refunded_id, sum(amount_minor) AS given
      FROM billing_core.operations WHERE refunded_id <> '' AND state <> 'refused' GROUP BY 1, 2) s
      ON (s.tenant_id, s.refunded_id) = (o.tenant_id, o.id)
    WHERE o.refunded_minor <> coalesce(s.given, 0) LIMIT 100
"""
# While something is on its way between the two, they differ by it.
_ACCOUNTS = """
    SELECT w.tenant_id, w.id, w.posted_minor, w.reserved_minor, w.account_posted_minor,
      w.account_reserved_minor
    FROM billing_core.wallets w
    WHERE w.state <> 'opening'
      AND (w.posted_minor, w.reserved_minor) <> (w.account_posted_minor, w.account_reserved_minor)
      AND NOT EXISTS (SELECT FROM billing_core.operations o
        WHERE (o.tenant_id, o.wallet_id) = (w.tenant_id, w.id) AND o.state = 'pending')
    LIMIT 100
"""


async def _differences(
    session: AsyncSession, name: str, query: str, columns: tuple[str, str]
) -> list[Violation]:
    return [
        Violation(
            name,
            row.tenant_id,
            row.id,
            ", ".join(f"{column} {getattr(row, column)}" for column in columns),
        )
        for row in await session.execute(text(query))
    ]


async def wallets_equal_their_operations(session: AsyncSession) -> list[Violation]:
    """Check that each balance is the sum of what moved it."""
    return await _differences(
        session, "wallets_equal_their_operations", _WALLETS, ("posted_minor", "moved")
    )


async def reservations_add_up(session: AsyncSession) -> list[Violation]:
    """Check what wallets have reserved, and what was committed of each reservation."""
    return [
        *await _differences(
            session, "reservations_add_up", _RESERVED, ("reserved_minor", "remaining")
        ),
        *await _differences(
            session, "reservations_add_up", _COMMITTED, ("committed_minor", "moved")
        ),
    ]


async def credits_add_up(session: AsyncSession) -> list[Violation]:
    """Check that what is left of each credit is the sum of what moved it."""
    return await _differences(session, "credits_add_up", _CREDITS, ("remaining_minor", "moved"))


async def refunds_add_up(session: AsyncSession) -> list[Violation]:
    """Check that what each operation gave back is the sum of its refunds."""
    return await _differences(session, "refunds_add_up", _REFUNDS, ("refunded_minor", "given"))


async def wallets_equal_their_accounts(session: AsyncSession) -> list[Violation]:
    """Check wallets where nothing is on its way against what the ledger last said of them."""
    return [
        Violation(
            "wallets_equal_their_accounts",
            row.tenant_id,
            row.id,
            f"wallet {row.posted_minor}, reserved {row.reserved_minor};"
            f" account {row.account_posted_minor}, reserved {row.account_reserved_minor}",
        )
        for row in await session.execute(text(_ACCOUNTS))
    ]
