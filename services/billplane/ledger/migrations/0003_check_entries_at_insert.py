"""Check entries where they are inserted, and find what wrote an invoice off.

Why: the entries of a transaction come by one statement and none can be added later, so that one
look at the end of that statement, at all of them at once, does what a deferred look at each
transaction did.
Locks: ACCESS EXCLUSIVE on entries while triggers change, SHARE on transactions for the index.
Kind: expand
"""

import runpy
from pathlib import Path

from alembic import op
from billplane.chassis.migrations import worker_function

revision = "0003"
down_revision = "0002"

_CHECKED = """
-- The entries of a transaction come by one statement, so that one look at its end sees them all.
DECLARE
  bad text;
BEGIN
  SELECT a.transaction_id INTO bad FROM added a
    GROUP BY a.tenant_id, a.transaction_id HAVING min(a.position) <> 1 LIMIT 1;
  IF bad IS NOT NULL THEN
    RAISE EXCEPTION 'an entry was added to transaction %, which was recorded before', bad
      USING ERRCODE = 'check_violation';
  END IF;
  SELECT a.transaction_id INTO bad FROM added a
    GROUP BY a.tenant_id, a.transaction_id, a.currency_code, a.phase
    HAVING sum(CASE a.direction WHEN 'debit' THEN a.amount_minor ELSE -a.amount_minor END) <> 0
    LIMIT 1;
  IF bad IS NOT NULL THEN
    RAISE EXCEPTION 'transaction % does not balance', bad USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END
"""


def upgrade() -> None:
    op.execute("DROP TRIGGER entries_balance ON ledger.entries")
    op.execute("DROP TRIGGER entries_together ON ledger.entries")
    op.execute("DROP FUNCTION ledger.entries_together()")
    worker_function("ledger", "entries_balance", "", "trigger", _CHECKED)
    op.execute(
        "CREATE TRIGGER entries_balance AFTER INSERT ON ledger.entries"
        " REFERENCING NEW TABLE AS added FOR EACH STATEMENT"
        " EXECUTE FUNCTION ledger.entries_balance()"
    )
    # Which transaction wrote an invoice off, so that it is taken back once the invoice is settled.
    op.execute(
        "CREATE INDEX ix_transactions_written_off ON ledger.transactions"
        " (tenant_id, livemode, (metadata ->> 'written_off'))"
        " WHERE metadata ? 'written_off'"
    )


def downgrade() -> None:
    op.execute("DROP INDEX ledger.ix_transactions_written_off")
    op.execute("DROP TRIGGER entries_balance ON ledger.entries")
    before = Path(__file__).with_name("0001_create_ledger.py")
    runpy.run_path(str(before))["create_entry_checks"]()
