"""What must always be true of ledger."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from billplane.chassis.invariants import Violation

_UNBALANCED = """
    SELECT tenant_id, transaction_id, currency_code, phase,
      sum(CASE direction WHEN 'debit' THEN amount_minor ELSE -amount_minor END) AS difference
    FROM ledger.entries
    GROUP BY tenant_id, transaction_id, currency_code, phase
    HAVING sum(CASE direction WHEN 'debit' THEN amount_minor ELSE -amount_minor END) <> 0
    LIMIT 100
"""
_SIGNED = """
    SELECT e.*, CASE WHEN e.phase = 'posted' THEN
        CASE WHEN grows THEN e.amount_minor ELSE -e.amount_minor END ELSE 0 END AS posted,
      CASE WHEN e.phase <> 'posted' AND grows THEN
        CASE e.phase WHEN 'pending' THEN e.amount_minor ELSE -e.amount_minor END ELSE 0 END
        AS pending_in,
      CASE WHEN e.phase <> 'posted' AND NOT grows THEN
        CASE e.phase WHEN 'pending' THEN e.amount_minor ELSE -e.amount_minor END ELSE 0 END
        AS pending_out
    FROM (SELECT e.*, (e.direction = 'debit') = (a.type IN ('asset', 'expense')) AS grows
      FROM ledger.entries e JOIN ledger.accounts a ON (a.tenant_id, a.id, a.livemode,
        a.currency_code) = (e.tenant_id, e.account_id, e.livemode, e.currency_code)) e
"""
_DIFFERING = f"""
    SELECT a.tenant_id, a.id, a.posted_minor, a.pending_in_minor, a.pending_out_minor,
      a.entry_count, s.posted, s.pending_in, s.pending_out, s.entries
    FROM ledger.accounts a
    LEFT JOIN (SELECT tenant_id, account_id, sum(posted) AS posted,
        sum(pending_in) AS pending_in, sum(pending_out) AS pending_out, count(*) AS entries
      FROM ({_SIGNED}) signed GROUP BY tenant_id, account_id) s
      ON (s.tenant_id, s.account_id) = (a.tenant_id, a.id)
    WHERE (a.posted_minor, a.pending_in_minor, a.pending_out_minor, a.entry_count)
      IS DISTINCT FROM (coalesce(s.posted, 0), coalesce(s.pending_in, 0),
        coalesce(s.pending_out, 0), coalesce(s.entries, 0))
    LIMIT 100
"""  # noqa: S608 - fixed words
_STEPS = f"""
    SELECT tenant_id, transaction_id, account_id, number FROM (
      SELECT signed.*, row_number() OVER w AS counted, sum(posted) OVER w AS running,
        sum(pending_in) OVER w AS running_in, sum(pending_out) OVER w AS running_out
      FROM ({_SIGNED}) signed
      WINDOW w AS (PARTITION BY tenant_id, account_id ORDER BY recorded_at, number)) steps
    WHERE (number, posted_after_minor, pending_in_after_minor, pending_out_after_minor)
      <> (counted, running, running_in, running_out)
    ORDER BY tenant_id, account_id, recorded_at, number LIMIT 100
"""  # noqa: S608 - fixed words
_CHANGED = """
    SELECT coalesce(b.tenant_id, d.tenant_id) AS tenant_id,
      coalesce(b.livemode, d.livemode) AS livemode, b.batch_number,
      coalesce(b.transaction_number, d.number) AS number, d.id,
      CASE WHEN d.digest IS NULL THEN 'is gone' WHEN b.digest IS NULL THEN 'is in no batch'
        ELSE 'was changed after it was recorded' END AS what
    FROM (SELECT tenant_id, livemode, number AS batch_number,
        first_transaction + ordinal - 1 AS transaction_number, digest
      FROM ledger.batches, unnest(digests) WITH ORDINALITY AS u (digest, ordinal)) b
    FULL JOIN ledger.transaction_digests d ON (d.tenant_id, d.livemode, d.number)
      = (b.tenant_id, b.livemode, b.transaction_number)
    WHERE b.digest IS DISTINCT FROM d.digest
    LIMIT 100
"""
_BROKEN = """
    SELECT tenant_id, livemode, number, what FROM (
      SELECT tenant_id, livemode, number, CASE
          WHEN hash <> sha256(previous_hash || (
            SELECT string_agg(digest, ''::bytea ORDER BY ordinal)
            FROM unnest(digests) WITH ORDINALITY AS u (digest, ordinal)))
            THEN 'its hash is not that of what it holds'
          WHEN number <> row_number() OVER w THEN 'the batch before it is gone'
          WHEN previous_hash <> coalesce(lag(hash) OVER w, sha256(''))
            THEN 'its hash does not follow the batch before it'
          WHEN first_transaction <> coalesce(lag(last_transaction) OVER w, 0) + 1
            OR cardinality(digests) <> last_transaction - first_transaction + 1
            THEN 'its transactions do not follow those before it' END AS what
      FROM ledger.batches WINDOW w AS (PARTITION BY tenant_id, livemode ORDER BY number)
      UNION ALL
      SELECT k.tenant_id, k.livemode, k.batch_number, 'the books end with another batch'
      FROM ledger.books k LEFT JOIN (SELECT DISTINCT ON (tenant_id, livemode) *
          FROM ledger.batches ORDER BY tenant_id, livemode, number DESC) b
        USING (tenant_id, livemode)
      WHERE (k.batch_number, k.transaction_number, k.hash) IS DISTINCT FROM
        (coalesce(b.number, 0), coalesce(b.last_transaction, 0), coalesce(b.hash, sha256('')))
    ) batches
    WHERE what IS NOT NULL
    LIMIT 100
"""
_HOLDS = """
    SELECT h.tenant_id, h.transaction_id, h.remaining_minor, h.committed_minor,
      coalesce(s.pending, 0) AS pending, coalesce(s.posted, 0) AS posted
    FROM ledger.holds h LEFT JOIN (
      SELECT e.tenant_id, CASE t.parent_id WHEN '' THEN t.id ELSE t.parent_id END AS hold_id,
        sum(CASE e.phase WHEN 'pending' THEN e.amount_minor WHEN 'released' THEN -e.amount_minor
          ELSE 0 END) AS pending,
        sum(CASE e.phase WHEN 'posted' THEN e.amount_minor ELSE 0 END) AS posted
      FROM ledger.entries e
      JOIN ledger.transactions t ON (t.tenant_id, t.id) = (e.tenant_id, e.transaction_id)
      WHERE e.direction = 'debit' AND t.kind IN ('hold', 'commit', 'release', 'expire')
      GROUP BY 1, 2) s ON (s.tenant_id, s.hold_id) = (h.tenant_id, h.transaction_id)
    WHERE (h.remaining_minor, h.committed_minor)
      <> (coalesce(s.pending, 0), coalesce(s.posted, 0))
    LIMIT 100
"""


async def transactions_balance(session: AsyncSession) -> list[Violation]:
    """Check that debits equal credits in each transaction, currency and phase."""
    return [
        Violation(
            "transactions_balance",
            row.tenant_id,
            f"transaction {row.transaction_id}",
            f"{row.phase} debits less credits are {row.difference} {row.currency_code}",
        )
        for row in await session.execute(text(_UNBALANCED))
    ]


async def balances_equal_entries(session: AsyncSession) -> list[Violation]:
    """Check that stored balances are the sum of entries, now and after each of them."""
    found = [
        Violation(
            "balances_equal_entries",
            row.tenant_id,
            f"account {row.id}",
            f"stored {row.posted_minor}, in {row.pending_in_minor}, out {row.pending_out_minor}"
            f" of {row.entry_count}; summed {row.posted}, {row.pending_in}, {row.pending_out}"
            f" of {row.entries}",
        )
        for row in await session.execute(text(_DIFFERING))
    ]
    found += [
        Violation(
            "balances_equal_entries",
            row.tenant_id,
            f"account {row.account_id}, entry {row.number}",
            f"the balances after the entry of {row.transaction_id} do not follow those before it",
        )
        for row in await session.execute(text(_STEPS))
    ]
    return found


async def holds_equal_entries(session: AsyncSession) -> list[Violation]:
    """Check that each hold reserves and has posted what its entries say."""
    return [
        Violation(
            "holds_equal_entries",
            row.tenant_id,
            f"hold {row.transaction_id}",
            f"remaining {row.remaining_minor}, committed {row.committed_minor};"
            f" entries {row.pending}, {row.posted}",
        )
        for row in await session.execute(text(_HOLDS))
    ]


async def chain_is_intact(session: AsyncSession) -> list[Violation]:
    """Check the hash of each transaction and batch, and that batches follow each other."""
    found = [
        Violation(
            "chain_is_intact",
            row.tenant_id,
            f"{_mode(row.livemode)}, batch {row.batch_number or '-'}, transaction {row.id or '-'}",
            f"transaction number {row.number} {row.what}",
        )
        for row in await session.execute(text(_CHANGED))
    ]
    found += [
        Violation(
            "chain_is_intact", row.tenant_id, f"{_mode(row.livemode)}, batch {row.number}", row.what
        )
        for row in await session.execute(text(_BROKEN))
    ]
    return found


def _mode(livemode: bool) -> str:
    return "live mode" if livemode else "test mode"
