"""Create ledger's tables.

Why: accounts with their balances, transactions and entries that are never changed, the chain of
hashes over them, and what pending transactions still reserve. The app role
opens accounts and reads; what moves money is a function of the next revision.
Locks: none, the tables are new.
Kind: expand
"""

from alembic import op
from billplane.chassis.migrations import (
    create_foundation,
    create_tenant_table,
    drop_foundation,
    worker_function,
)

revision = "0001"
down_revision = None

TABLES = ("accounts", "transactions", "entries", "holds", "batches", "books")
APPEND_ONLY = ("transactions", "entries", "batches")

# What is hashed of a transaction: every column of it and of its entries, as JSON, whose text does
# not depend on settings of the session.
_DIGESTS = """
  CREATE VIEW ledger.transaction_digests WITH (security_invoker = true) AS
  SELECT t.tenant_id, t.livemode, t.number, t.id, sha256(convert_to(jsonb_build_array(
    t.tenant_id, t.livemode, t.number, t.id, t.kind, t.parent_id, t.currency_code, t.external_id,
    t.fingerprint, t.description, t.metadata, t.rate_id, extract(epoch FROM t.recorded_at),
    extract(epoch FROM t.expires_at), (
      SELECT jsonb_agg(jsonb_build_array(e.position, e.account_id, e.direction, e.phase,
        e.amount_minor, e.currency_code, e.number, e.posted_after_minor,
        e.pending_in_after_minor, e.pending_out_after_minor,
        extract(epoch FROM e.recorded_at)) ORDER BY e.position)
      FROM ledger.entries e
      WHERE (e.tenant_id, e.transaction_id) = (t.tenant_id, t.id)))::text, 'UTF8')) AS digest
  FROM ledger.transactions t
"""

# At COMMIT Postgres before 18 runs this as the session's role, so it is the worker's own.
_BALANCED = """
BEGIN
  IF EXISTS (
    SELECT FROM entries e
    WHERE (e.tenant_id, e.transaction_id) = (NEW.tenant_id, NEW.transaction_id)
    GROUP BY e.currency_code, e.phase
    HAVING sum(CASE e.direction WHEN 'debit' THEN e.amount_minor ELSE -e.amount_minor END) <> 0)
  THEN
    RAISE EXCEPTION 'transaction % does not balance', NEW.transaction_id
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END
"""

# The entries of a transaction come by one statement, so that one look at its end, by the first of
# them, sees them all.
_TOGETHER = """
BEGIN
  IF EXISTS (SELECT FROM added GROUP BY tenant_id, transaction_id HAVING min(position) <> 1) THEN
    RAISE EXCEPTION 'an entry was added to a transaction that was recorded before'
      USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END
"""

_REFUSE = """
BEGIN
  RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END
"""


def upgrade() -> None:
    create_foundation("ledger")
    _create_accounts()
    _create_transactions()
    _create_chain()
    for table in TABLES:
        create_tenant_table("ledger", table, append_only=True)
        op.execute(f"REVOKE INSERT ON ledger.{table} FROM ledger_app")
    op.execute(
        "GRANT INSERT (tenant_id, id, livemode, external_id, name, type, currency_code,"
        " allow_negative, credit_limit_minor, metadata, created_at) ON ledger.accounts"
        " TO ledger_app"
    )
    op.execute(
        f"CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $${_REFUSE}$$"
    )
    for table in APPEND_ONLY:
        op.execute(f"REVOKE UPDATE, DELETE ON ledger.{table} FROM ledger_worker")
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.{table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()"
        )
    op.execute(_DIGESTS)
    op.execute(
        "GRANT SELECT ON ledger.transaction_digests TO ledger_app, ledger_worker, ledger_reader"
    )
    create_entry_checks()
    worker_function(
        "ledger",
        "due_holds",
        "before timestamptz, row_limit integer",
        "TABLE (tenant_id text, livemode boolean, transaction_id text)",
        "SELECT tenant_id, livemode, transaction_id FROM holds"
        " WHERE state = 'pending' AND expires_at <= before ORDER BY expires_at LIMIT row_limit",
        language="sql",
    )


def create_entry_checks() -> None:
    worker_function("ledger", "entries_balance", "", "trigger", _BALANCED)
    op.execute(
        "CREATE CONSTRAINT TRIGGER entries_balance AFTER INSERT ON ledger.entries"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.position = 1)"
        " EXECUTE FUNCTION ledger.entries_balance()"
    )
    worker_function("ledger", "entries_together", "", "trigger", _TOGETHER)
    op.execute(
        "CREATE TRIGGER entries_together AFTER INSERT ON ledger.entries"
        " REFERENCING NEW TABLE AS added FOR EACH STATEMENT"
        " EXECUTE FUNCTION ledger.entries_together()"
    )


def _create_accounts() -> None:
    op.execute("""
        CREATE TABLE ledger.accounts (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            external_id text NOT NULL,
            name text NOT NULL,
            type text NOT NULL
                CHECK (type IN ('asset', 'liability', 'income', 'expense', 'equity')),
            currency_code char(3) NOT NULL CHECK (currency_code ~ '^[A-Z]{3}$'),
            allow_negative boolean NOT NULL,
            credit_limit_minor bigint CHECK (credit_limit_minor >= 0),
            metadata jsonb NOT NULL,
            posted_minor bigint NOT NULL DEFAULT 0,
            pending_in_minor bigint NOT NULL DEFAULT 0 CHECK (pending_in_minor >= 0),
            pending_out_minor bigint NOT NULL DEFAULT 0 CHECK (pending_out_minor >= 0),
            entry_count bigint NOT NULL DEFAULT 0,
            created_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, id),
            CONSTRAINT ck_accounts_floor CHECK (
                allow_negative AND credit_limit_minor IS NULL
                OR posted_minor - pending_out_minor >= -coalesce(credit_limit_minor, 0))
        ) WITH (fillfactor = 70)""")
    op.execute(
        "CREATE UNIQUE INDEX uq_accounts_external_id ON ledger.accounts"
        " (tenant_id, livemode, external_id) WHERE external_id <> ''"
    )


def _create_transactions() -> None:
    op.execute("""
        CREATE TABLE ledger.transactions (
            tenant_id text NOT NULL,
            id text NOT NULL,
            livemode boolean NOT NULL,
            number bigint NOT NULL,
            kind text NOT NULL
                CHECK (kind IN ('record', 'hold', 'commit', 'release', 'expire', 'reverse')),
            parent_id text NOT NULL,
            currency_code char(3) NOT NULL,
            external_id text NOT NULL,
            fingerprint text NOT NULL,
            description text NOT NULL,
            metadata jsonb NOT NULL,
            rate_id text NOT NULL,
            recorded_at timestamptz NOT NULL,
            expires_at timestamptz,
            PRIMARY KEY (tenant_id, id),
            CHECK ((parent_id <> '') = (kind NOT IN ('record', 'hold')))
        )""")
    op.execute(
        "CREATE UNIQUE INDEX uq_transactions_number ON ledger.transactions"
        " (tenant_id, livemode, number)"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_transactions_external_id ON ledger.transactions"
        " (tenant_id, livemode, external_id) WHERE external_id <> ''"
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_transactions_reversed ON ledger.transactions"
        " (tenant_id, parent_id) WHERE kind = 'reverse'"
    )
    op.execute("""
        CREATE TABLE ledger.entries (
            tenant_id text NOT NULL,
            transaction_id text NOT NULL,
            position integer NOT NULL,
            livemode boolean NOT NULL,
            account_id text NOT NULL,
            direction text NOT NULL CHECK (direction IN ('debit', 'credit')),
            phase text NOT NULL CHECK (phase IN ('posted', 'pending', 'released')),
            amount_minor bigint NOT NULL CHECK (amount_minor > 0),
            currency_code char(3) NOT NULL,
            number bigint NOT NULL,
            posted_after_minor bigint NOT NULL,
            pending_in_after_minor bigint NOT NULL,
            pending_out_after_minor bigint NOT NULL,
            recorded_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, transaction_id, position)
        )""")
    # An account's entries in order, and the last one before an instant.
    op.execute(
        "CREATE UNIQUE INDEX uq_entries_account ON ledger.entries"
        " (tenant_id, account_id, recorded_at, number)"
    )
    op.execute("""
        CREATE TABLE ledger.holds (
            tenant_id text NOT NULL,
            transaction_id text NOT NULL,
            livemode boolean NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'posted', 'voided', 'expired')),
            divisible boolean NOT NULL,
            amount_minor bigint NOT NULL,
            committed_minor bigint NOT NULL,
            remaining_minor bigint NOT NULL CHECK (remaining_minor >= 0),
            expires_at timestamptz,
            closed_at timestamptz,
            PRIMARY KEY (tenant_id, transaction_id),
            CHECK ((state = 'pending') = (remaining_minor > 0)),
            CHECK ((state = 'pending') = (closed_at IS NULL)),
            CHECK (committed_minor + remaining_minor <= amount_minor)
        )""")
    op.execute(
        "CREATE INDEX ix_holds_expires_at ON ledger.holds (expires_at) WHERE state = 'pending'"
    )


def _create_chain() -> None:
    """Create the batches of a tenant's books in a mode, each with a hash over the one before."""
    op.execute("""
        CREATE TABLE ledger.batches (
            tenant_id text NOT NULL,
            livemode boolean NOT NULL,
            number bigint NOT NULL,
            first_transaction bigint NOT NULL,
            last_transaction bigint NOT NULL CHECK (last_transaction >= first_transaction),
            digests bytea[] NOT NULL,
            previous_hash bytea NOT NULL,
            hash bytea NOT NULL,
            writer text NOT NULL,
            recorded_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, livemode, number)
        )""")
    op.execute("""
        CREATE TABLE ledger.books (
            tenant_id text NOT NULL,
            livemode boolean NOT NULL,
            batch_number bigint NOT NULL,
            transaction_number bigint NOT NULL,
            hash bytea NOT NULL,
            recorded_at timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, livemode)
        ) WITH (fillfactor = 50)""")


def downgrade() -> None:
    op.execute("DROP FUNCTION ledger.due_holds(timestamptz, integer)")
    op.execute("DROP VIEW ledger.transaction_digests")
    for table in TABLES:
        op.execute(f"DROP TABLE ledger.{table}")
    op.execute("DROP FUNCTION ledger.entries_together()")
    op.execute("DROP FUNCTION ledger.entries_balance()")
    op.execute("DROP FUNCTION ledger.refuse_change()")
    drop_foundation("ledger")
